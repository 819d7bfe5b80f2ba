// What happened at a locker. New events come in by themselves while the building is watched.
import { useComputed } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import type { GraphqlClient } from '../api/graphql';
import { now } from '../clock';
import { freshness } from '../live/feed';
import {
  History,
  isFiltered,
  matching,
  type DoorEvent,
  type Events,
  type Filters,
} from '../live/history';
import type { LiveBuilding } from '../live/live';
import { buildingUrl, lockerUrl } from '../route';
import { exactTimeOf, isoOf } from '../time';
import { FreshnessBar } from './freshness';
import { StatusIcon } from './icons';
import { Refused } from './message';
import { useTitle } from './title';
import { KIND, STATUS, doorName, plural } from './words';

interface HistoryPageProps extends Filters {
  readonly client: GraphqlClient;
  readonly live: LiveBuilding;
  readonly locker: string;
}

export function HistoryPage({ client, live, locker, door, kind }: HistoryPageProps) {
  const history = useMemo(
    () => new History(client, live.buildingId, locker),
    [client, live.buildingId, locker],
  );
  useNewEvents(history, live, locker);
  useEffect(() => {
    void history.filter({ door, kind });
  }, [history, door, kind]);
  useTitle(`${live.buildingId} ${locker}`);
  const isRefused = useComputed(
    () => freshness(live.feed.value, now.value).kind === 'refused',
  ).value;
  if (isRefused) return <Refused building={live.buildingId} />;

  const events = history.events.value;
  const filters = { door, kind };
  const shown = matching(events?.items ?? [], filters);
  return (
    <div class="narrow">
      <nav class="crumbs" aria-label="Where you are">
        <a href={buildingUrl(live.buildingId)}>{live.buildingId}</a>
      </nav>
      <div class="page-head">
        <h1>Locker {locker}</h1>
      </div>
      <FreshnessBar live={live} />
      <FilterBar live={live} locker={locker} items={events?.items ?? []} filters={filters} />
      <EventTable items={shown} />
      <Older history={history} filters={filters} shown={shown.length} />
    </div>
  );
}

/** The history has changed when a door of the locker has a new version, or a snapshot came. */
function useNewEvents(history: History, live: LiveBuilding, locker: string): void {
  const latest = useComputed(() => {
    const doors = live.board.locker(locker)?.doors.value ?? [];
    return doors.map((each) => each.view.value.tile.version).join();
  });
  useEffect(() => {
    const stop = latest.subscribe(() => {
      void history.refresh();
    });
    return () => {
      stop();
      history.stop();
    };
  }, [history, latest]);
}

interface FilterBarProps {
  readonly live: LiveBuilding;
  readonly locker: string;
  readonly items: readonly DoorEvent[];
  readonly filters: Filters;
}

function FilterBar({ live, locker, items, filters }: FilterBarProps) {
  const known = live.board.locker(locker)?.doors.value.map((each) => each.id) ?? [];
  const chosen = filters.door === null ? [] : [filters.door];
  const doors = [...new Set([...known, ...items.map((each) => each.doorId), ...chosen])];
  doors.sort(new Intl.Collator('en', { numeric: true }).compare);
  const go = (changed: Partial<Filters>): void => {
    window.location.replace(lockerUrl(live.buildingId, locker, { ...filters, ...changed }));
  };
  return (
    <div class="filters" role="group" aria-label="Filters">
      <label class="field">
        Door
        <select
          value={filters.door ?? ''}
          onChange={(event) => {
            go({ door: event.currentTarget.value || null });
          }}
        >
          <option value="">All doors</option>
          {doors.map((each) => (
            <option key={each} value={each}>
              {each}
            </option>
          ))}
        </select>
      </label>
      <label class="field">
        Event
        <select
          value={filters.kind ?? ''}
          onChange={(event) => {
            go({ kind: event.currentTarget.value || null });
          }}
        >
          <option value="">All events</option>
          {Object.entries(KIND).map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </label>
      {(filters.door ?? filters.kind) !== null && (
        <a class="button" href={lockerUrl(live.buildingId, locker)}>
          Clear filters
        </a>
      )}
    </div>
  );
}

function EventTable({ items }: { readonly items: readonly DoorEvent[] }) {
  return (
    <table class="events">
      <caption class="for-screen-readers">Events, newest first</caption>
      <thead>
        <tr>
          <th scope="col">Time</th>
          <th scope="col">Door</th>
          <th scope="col">Event</th>
          <th scope="col">Then</th>
        </tr>
      </thead>
      <tbody>
        {items.map((event) => (
          <tr key={event.version} data-event={event.eventId}>
            <td>
              <time dateTime={isoOf(event.receivedAt)} title={`device clock: ${event.at}`}>
                {exactTimeOf(event.receivedAt)}
              </time>
            </td>
            <td>
              <span class="for-screen-readers">{doorName('')}</span>
              {event.doorId}
            </td>
            <td>
              {KIND[event.kind]}
              {event.fault !== null && <span class="muted"> {event.fault}</span>}
            </td>
            <td>
              <span class="pill" data-status={event.status}>
                <StatusIcon status={event.status} />
                {STATUS[event.status]}
              </span>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

interface OlderProps {
  readonly history: History;
  readonly filters: Filters;
  readonly shown: number;
}

function Older({ history, filters, shown }: OlderProps) {
  const events = history.events.value;
  const failure = history.failure.value;
  const loading = history.loading.value;
  return (
    <div class="older">
      {failure !== null && (
        <p class="problem" role="alert">
          The events could not be loaded: {failure}.{' '}
          <button
            type="button"
            class="button"
            onClick={() => {
              void history.refresh();
            }}
          >
            Try again
          </button>
        </p>
      )}
      {events === null && failure === null && <p class="empty">Loading…</p>}
      {events !== null && (
        <p class={shown === 0 ? 'empty' : 'muted'} role="status" data-testid="looked">
          {looked(events, filters, shown, loading)}
        </p>
      )}
      {events?.nextToken != null && (
        <button
          type="button"
          class="button"
          aria-disabled={loading}
          onClick={() => {
            if (!loading) void history.loadOlder();
          }}
        >
          Load older events
        </button>
      )}
    </div>
  );
}

/** How far what is shown goes back, in a sentence. */
function looked(events: Events, filters: Filters, shown: number, loading: boolean): string {
  const oldest = events.items.at(-1);
  if (oldest === undefined) return 'No event of this locker in the last 90 days.';
  const filtered = isFiltered(filters);
  if (events.nextToken === null) {
    if (filtered && shown === 0) return 'No event of the last 90 days passes the filters.';
    return 'That is all that is kept (90 days).';
  }
  const back = `back to ${exactTimeOf(oldest.receivedAt)}`;
  if (loading) return `Looking further, ${back} so far…`;
  if (!filtered) return `Events ${back}.`;
  const of = plural(events.items.length, 'event');
  return `${shown === 0 ? 'None' : shown.toLocaleString('en')} of ${of} ${back}.`;
}
