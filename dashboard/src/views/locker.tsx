// A locker: its name, its connection, its doors.
import { useComputed, type ReadonlySignal } from '@preact/signals';
import type { LockerModel } from '../live/board';
import { lockerUrl } from '../route';
import { isoOf, timeOf } from '../time';
import { Age } from './age';
import { StatusIcon } from './icons';
import { Tile } from './tile';

/** As in building.css. */
const DOORS_A_ROW = 4;

export interface LockerProps {
  readonly building: string;
  readonly locker: LockerModel;
  readonly search: ReadonlySignal<string>;
  readonly leftOpen: ReadonlySignal<ReadonlySet<string>>;
  readonly reachable: ReadonlySignal<string | null>;
}

export function LockerCard({ building, locker, search, leftOpen, reachable }: LockerProps) {
  const { online, since } = locker.presence.value;
  const hidden = useComputed(() => !locker.id.toLowerCase().includes(search.value));
  const doors = locker.doors.value;
  const heading = `locker-${locker.id}`;
  return (
    <section
      class="locker"
      aria-labelledby={heading}
      data-locker={locker.id}
      data-online={online}
      style={{ '--rows': Math.ceil(doors.length / DOORS_A_ROW) }}
      hidden={hidden}
    >
      <header class="locker-head">
        <h3 id={heading}>
          <a href={lockerUrl(building, locker.id)} title={`History of locker ${locker.id}`}>
            <span class="for-screen-readers">Locker </span>
            {locker.id}
          </a>
        </h3>
        {!online && since !== null && (
          <p class="locker-offline">
            <StatusIcon status="offline" />
            <span>
              offline since <time dateTime={isoOf(since)}>{timeOf(since)}</time> (
              <Age since={since} />)
            </span>
          </p>
        )}
      </header>
      <ul class="tiles">
        {doors.map((door) => (
          <Tile
            key={door.id}
            building={building}
            locker={locker.id}
            door={door}
            leftOpen={leftOpen}
            reachable={reachable}
          />
        ))}
      </ul>
    </section>
  );
}
