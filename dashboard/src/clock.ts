// The time as a signal, for what shows an age. It moves once a second.
import { signal } from '@preact/signals';

export const now = signal(Date.now());

export function startClock(): void {
  const move = (): void => {
    now.value = Date.now();
  };
  window.setInterval(move, 1000);
  // A page that comes back to the front must not show an age from before for a second.
  document.addEventListener('visibilitychange', move);
}
