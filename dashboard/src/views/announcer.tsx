// One live region for all of the page.
import { signal } from '@preact/signals';

const said = signal('');

export function announce(text: string): void {
  said.value = text;
}

export function Announcer() {
  return (
    <p class="for-screen-readers" aria-live="polite">
      {said}
    </p>
  );
}
