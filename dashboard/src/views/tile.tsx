// One door. It reads its own signal, so a push repaints this and no other tile.
import { useComputed, type ReadonlySignal } from '@preact/signals';
import { useLayoutEffect } from 'preact/hooks';
import type { DoorModel } from '../live/board';
import { markPainted } from '../paint';
import { lockerUrl } from '../route';
import { isoOf, timeOf } from '../time';
import { StatusIcon } from './icons';
import { STATUS } from './words';

export interface TileProps {
  readonly building: string;
  readonly locker: string;
  readonly door: DoorModel;
  /** Keys of the doors that were left open. */
  readonly leftOpen: ReadonlySignal<ReadonlySet<string>>;
  /** Key of the door that Tab reaches; the arrow keys reach the others. */
  readonly reachable: ReadonlySignal<string | null>;
}

export function Tile({ building, locker, door, leftOpen, reachable }: TileProps) {
  const { tile, shown, flips } = door.view.value;
  const isLeftOpen = useComputed(() => leftOpen.value.has(door.key)).value;
  const tabIndex = useComputed(() => (reachable.value === door.key ? 0 : -1));
  useLayoutEffect(() => {
    markPainted(door.key, tile.version);
  }, [door.key, tile.version]);
  const left = isLeftOpen && shown === 'open';
  return (
    <li>
      <a
        class="tile"
        href={lockerUrl(building, locker, { door: door.id })}
        tabIndex={tabIndex}
        data-door={door.key}
        data-status={shown}
        data-version={tile.version}
        data-left-open={left || undefined}
        data-flip={flips === 0 ? undefined : flips % 2 === 0 ? 'even' : 'odd'}
      >
        <StatusIcon status={left ? 'left-open' : shown} />
        <span class="tile-door">
          <span class="for-screen-readers">Door </span>
          {door.id}
        </span>
        <span class="tile-word">{left ? 'Left open' : STATUS[shown]}</span>
        <time class="tile-time" dateTime={isoOf(tile.receivedAt)}>
          {timeOf(tile.receivedAt)}
        </time>
      </a>
    </li>
  );
}
