// The keys that do something, and the switch for those that get in the way of speech input.
import { useEffect, useRef } from 'preact/hooks';
import type { Person } from '../session';
import { shortcuts, theme, type Theme } from '../settings';

interface Shortcut {
  readonly key: string;
  readonly what: string;
  readonly act: () => void;
}

const GO = (hash: string) => () => {
  window.location.hash = hash;
};

interface HelpProps {
  readonly person: Person;
  readonly stage: string;
}

export function HelpButton({ person, stage }: HelpProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const keys: readonly Shortcut[] = [
    { key: '?', what: 'This help', act: () => dialog.current?.showModal() },
    { key: '/', what: 'Find a locker', act: () => document.getElementById('search')?.focus() },
    { key: 'b', what: 'Buildings', act: GO('#/buildings') },
    ...(person.operator ? [{ key: 'a', what: 'Attention list', act: GO('#/attention') }] : []),
  ];
  useEffect(() => {
    const press = (event: KeyboardEvent): void => {
      if (!shortcuts.peek() || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.defaultPrevented || isTyping(event.target)) return;
      const pressed = keys.find((each) => each.key === event.key);
      if (pressed === undefined) return;
      event.preventDefault();
      pressed.act();
    };
    document.addEventListener('keydown', press);
    return () => {
      document.removeEventListener('keydown', press);
    };
  });
  return (
    <>
      <button
        type="button"
        class="button"
        aria-haspopup="dialog"
        onClick={() => dialog.current?.showModal()}
      >
        Help
      </button>
      <dialog ref={dialog} aria-labelledby="help-title">
        <h2 id="help-title">Keys</h2>
        <dl class="keys">
          {keys.map((each) => (
            <div key={each.key}>
              <dt>
                <kbd>{each.key}</kbd>
              </dt>
              <dd>{each.what}</dd>
            </div>
          ))}
          <div>
            <dt>
              <kbd>Tab</kbd>
            </dt>
            <dd>From part to part; all doors together are one stop</dd>
          </div>
          <div>
            <dt>
              <kbd>←</kbd> <kbd>→</kbd> <kbd>↑</kbd> <kbd>↓</kbd>
            </dt>
            <dd>From door to door; Home and End to the first and the last</dd>
          </div>
          <div>
            <dt>
              <kbd>Enter</kbd>
            </dt>
            <dd>History of the door</dd>
          </div>
        </dl>
        <h2>Settings</h2>
        <label class="setting">
          Colours
          <select
            value={theme.value}
            onChange={(event) => {
              theme.value = event.currentTarget.value as Theme;
            }}
          >
            <option value="system">As the system</option>
            <option value="light">Light</option>
            <option value="dark">Dark</option>
          </select>
        </label>
        <label class="check">
          <input
            type="checkbox"
            checked={shortcuts.value}
            onChange={(event) => {
              shortcuts.value = event.currentTarget.checked;
            }}
          />
          Single letters and signs are shortcuts
        </label>
        <p class="muted">
          Signed in as {person.name}, stage {stage}
        </p>
        <button type="button" class="button primary" onClick={() => dialog.current?.close()}>
          Close
        </button>
      </dialog>
    </>
  );
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.closest('dialog') !== null || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName))
  );
}
