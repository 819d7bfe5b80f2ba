// What stands out in a building, the most urgent first, each with its time and a way to its history.
import { useSignal, type ReadonlySignal } from '@preact/signals';
import { keyOf, type Finding } from '../live/overview';
import { lockerUrl } from '../route';
import { LEFT_OPEN_MINUTES, leftOpenMinutes } from '../settings';
import { isoOf, timeOf } from '../time';
import { Age } from './age';
import { StatusIcon } from './icons';
import { CONCERN, doorName } from './words';

const FIRST = 8;
const WIDE = '(min-width: 64rem)';

interface FindingsPanelProps {
  readonly building: string;
  readonly findings: ReadonlySignal<readonly Finding[]>;
  readonly loading: boolean;
}

export function FindingsPanel({ building, findings, loading }: FindingsPanelProps) {
  const all = useSignal(false);
  const list = findings.value;
  const shown = all.value ? list : list.slice(0, FIRST);
  return (
    <details class="panel findings" open={window.matchMedia(WIDE).matches}>
      <summary>
        <h2>Needs attention</h2>
        <span class="panel-count" data-none={list.length === 0 || undefined}>
          {list.length}
        </span>
      </summary>
      {list.length === 0 && !loading && <p class="muted panel-empty">Nothing stands out.</p>}
      <ul class="finding-list">
        {shown.map((finding) => (
          <FindingRow key={keyOf(finding)} building={building} finding={finding} />
        ))}
      </ul>
      {list.length > FIRST && (
        <button
          type="button"
          class="button"
          onClick={() => {
            all.value = !all.value;
          }}
        >
          {all.value ? `Show the first ${FIRST}` : `Show all ${list.length}`}
        </button>
      )}
      <label class="panel-setting">
        Counts as left open after
        <select
          value={leftOpenMinutes.value}
          onChange={(event) => {
            leftOpenMinutes.value = Number(event.currentTarget.value);
          }}
        >
          {LEFT_OPEN_MINUTES.map((minutes) => (
            <option key={minutes} value={minutes}>
              {minutes} min
            </option>
          ))}
        </select>
      </label>
    </details>
  );
}

function FindingRow({
  building,
  finding,
}: {
  readonly building: string;
  readonly finding: Finding;
}) {
  const { concern, lockerId, doorId, since, detail } = finding;
  return (
    <li data-concern={concern}>
      <a class="finding" href={lockerUrl(building, lockerId, { door: doorId })}>
        <span class="badge" data-status={concern}>
          <StatusIcon status={concern} />
        </span>
        <span class="finding-what">
          <strong>
            {lockerId}
            {doorId !== null && `, ${doorName(doorId)}`}
          </strong>
          <span>
            {CONCERN[concern]}
            {detail !== null && detail !== '' && ` (${words(detail)})`}
          </span>
        </span>
        <span class="finding-when">
          <time dateTime={isoOf(since)}>{timeOf(since)}</time>
          <Age since={since} />
        </span>
      </a>
    </li>
  );
}

/** AWS's disconnect reasons read `MQTT_KEEP_ALIVE_TIMEOUT`. */
const words = (detail: string): string =>
  detail
    .replace(/^MQTT_/, '')
    .replaceAll('_', ' ')
    .toLowerCase();
