// What a person chose, kept in this browser.
import { effect, signal, type Signal } from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';

export const LEFT_OPEN_MINUTES = [1, 2, 5, 10, 30] as const;

function setting<Value extends string | number | boolean>(
  name: string,
  allowed: readonly Value[],
  byDefault: Value,
): Signal<Value> {
  const key = `latchline.${name}`;
  const stored = localStorage.getItem(key);
  const value = signal(allowed.find((each) => String(each) === stored) ?? byDefault);
  effect(() => {
    localStorage.setItem(key, String(value.value));
  });
  return value;
}

export const theme = setting<Theme>('theme', ['system', 'light', 'dark'], 'system');
/** Minutes after which an open door counts as left open. */
export const leftOpenMinutes = setting<number>('left-open-minutes', LEFT_OPEN_MINUTES, 5);
/** Single keys as shortcuts; they get in the way of speech input, so one can switch them off. */
export const shortcuts = setting<boolean>('shortcuts', [true, false], true);

export function applyTheme(): void {
  effect(() => {
    document.documentElement.dataset.theme = theme.value;
  });
}
