// Buildings that were opened or listed here: what an operator finds again, kept in this browser.
import { signal } from '@preact/signals';

const KEY = 'latchline.buildings';
const KEPT = 200;

export const recentBuildings = signal<readonly string[]>(read());

export function remember(buildings: Iterable<string>): void {
  const all = [...new Set([...buildings, ...recentBuildings.peek()])].slice(0, KEPT);
  if (all.length === recentBuildings.peek().length) return;
  recentBuildings.value = all;
  localStorage.setItem(KEY, JSON.stringify(all));
}

/** Whoever signs in here next starts with an empty list. */
export function forget(): void {
  recentBuildings.value = [];
  localStorage.removeItem(KEY);
}

function read(): readonly string[] {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    return Array.isArray(stored) ? stored.map(String) : [];
  } catch {
    return [];
  }
}
