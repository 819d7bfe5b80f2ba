// Whether what is shown is true, always in the same place, so that nothing moves when it changes.
import { freshness, type Freshness } from '../live/feed';
import type { Live } from '../live/watch';
import { now } from '../clock';
import { exactTimeOf } from '../time';
import { Age } from './age';
import { HourglassIcon, LiveIcon, StatusIcon } from './icons';

export function FreshnessBar({ live }: { readonly live: Live }) {
  const fresh = freshness(live.feed.value, now.value);
  return (
    <div class="freshness" data-testid="connection" data-state={fresh.kind}>
      <Statement fresh={fresh} live={live} />
    </div>
  );
}

function Statement({ fresh, live }: { readonly fresh: Freshness; readonly live: Live }) {
  switch (fresh.kind) {
    case 'live':
      return <Alive live={live} />;
    case 'loading':
      return (
        <p class="freshness-line" role="status">
          <HourglassIcon />
          <span>
            Loading…
            {fresh.failure !== null && ` It did not work yet: ${fresh.failure}. Trying again.`}
          </span>
        </p>
      );
    case 'stale':
      return <Stale fresh={fresh} live={live} />;
    case 'refused':
      return null;
  }
}

function Alive({ live }: { readonly live: Live }) {
  const lastEventAt = live.lastEventAt.value;
  return (
    <p class="freshness-line">
      <LiveIcon />
      <span>
        <strong>Live</strong>
        {lastEventAt !== null && (
          <>
            {' · last event '}
            <Age since={lastEventAt} /> ago
          </>
        )}
      </span>
    </p>
  );
}

type StaleState = Extract<Freshness, { kind: 'stale' }>;

function Stale({ fresh, live }: { readonly fresh: StaleState; readonly live: Live }) {
  return (
    <div class="stale" data-testid="stale" role="status">
      <StatusIcon status="forced" />
      <div class="stale-text">
        <p>
          <strong>May be out of date.</strong> As of {exactTimeOf(fresh.since)}
          <span aria-hidden="true">
            , <Age since={fresh.since} /> ago
          </span>
        </p>
        <p class="stale-doing" title={doing(fresh)}>
          {doing(fresh)}
        </p>
      </div>
      {fresh.doing === 'waiting' && (
        <button
          type="button"
          class="button"
          onClick={() => {
            live.retry();
          }}
        >
          Reconnect now
        </button>
      )}
    </div>
  );
}

function doing(fresh: StaleState): string {
  switch (fresh.doing) {
    case 'waiting':
    case 'connecting':
      return `Reconnecting: ${fresh.failure ?? 'connection lost'}`;
    case 'catching-up':
      return 'Connected again, loading what was missed';
    case 'unverified':
      return `Changes arrive, but the check for missed ones fails: ${fresh.failure ?? 'no answer'}`;
  }
}
