// All doors of a building, locker by locker.
import { useComputed, useSignal, type ReadonlySignal, type Signal } from '@preact/signals';
import { useRef } from 'preact/hooks';
import type { LiveBuilding } from '../live/live';
import type { Finding } from '../live/overview';
import { LockerCard } from './locker';
import { tileAfter } from './roving';
import type { Show } from './summary';

interface DoorBoardProps {
  readonly live: LiveBuilding;
  /** Lower case; lockers whose id contains it are shown. */
  readonly search: ReadonlySignal<string>;
  readonly findings: ReadonlySignal<readonly Finding[]>;
  readonly show: Signal<Show>;
}

export function DoorBoard({ live, search, findings, show }: DoorBoardProps) {
  const lockers = live.board.lockers.value;
  const leftOpen = useLeftOpen(findings);
  const chosen = useSignal<string | null>(null);
  const reachable = useComputed(() => chosen.value ?? firstDoor(live));
  const none = useComputed(
    () =>
      search.value !== '' &&
      !live.board.lockers.value.some((locker) => locker.id.toLowerCase().includes(search.value)),
  );
  const go = (event: KeyboardEvent): void => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (!(event.target instanceof HTMLElement) || !(event.currentTarget instanceof Element)) return;
    if (event.target.dataset.door === undefined) return;
    const next = tileAfter(event.currentTarget, event.target, event.key);
    if (next === null) return;
    event.preventDefault();
    next.focus();
  };
  const board = useRef<HTMLDivElement>(null);
  return (
    // Focus and arrow keys arrive here from the links within.
    // eslint-disable-next-line jsx-a11y/no-static-element-interactions
    <div
      class="board"
      ref={board}
      data-show={show}
      onKeyDown={go}
      onFocusCapture={(event) => {
        const door = event.target instanceof HTMLElement ? event.target.dataset.door : undefined;
        if (door !== undefined) chosen.value = door;
      }}
    >
      {lockers.map((locker) => (
        <LockerCard
          key={locker.id}
          building={live.buildingId}
          locker={locker}
          search={search}
          leftOpen={leftOpen}
          reachable={reachable}
        />
      ))}
      {none.value && <p class="empty">No locker’s name contains “{search}”.</p>}
      {show.value !== 'all' && (
        <p class="empty empty-filter">
          Only some doors are shown.{' '}
          <button
            type="button"
            class="button"
            onClick={() => {
              show.value = 'all';
              board.current?.querySelector<HTMLElement>('.tile[tabindex="0"]')?.focus();
            }}
          >
            Show all doors
          </button>
        </p>
      )}
    </div>
  );
}

/** The same set until its content changes, so that tiles look again only then. */
function useLeftOpen(findings: ReadonlySignal<readonly Finding[]>) {
  const last = useRef<ReadonlySet<string>>(new Set());
  return useComputed(() => {
    const keys = findings.value
      .filter((finding) => finding.concern === 'left-open')
      .map((finding) => `${finding.lockerId}/${finding.doorId ?? ''}`);
    const known = last.current;
    if (keys.length !== known.size || keys.some((key) => !known.has(key))) {
      last.current = new Set(keys);
    }
    return last.current;
  });
}

function firstDoor(live: LiveBuilding): string | null {
  for (const locker of live.board.lockers.value) {
    const first = locker.doors.value[0];
    if (first !== undefined) return first.key;
  }
  return null;
}
