// The page that stays open all day: what stands out, the counts, and every door.
import { useComputed, useSignal, type ReadonlySignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { now } from '../clock';
import { freshness } from '../live/feed';
import type { LiveBuilding } from '../live/live';
import { findings, keyOf, type Finding } from '../live/overview';
import { leftOpenMinutes } from '../settings';
import { announce } from './announcer';
import { DoorBoard } from './board';
import { FindingsPanel } from './findings';
import { FreshnessBar } from './freshness';
import { Refused } from './message';
import { Summary, type Show } from './summary';
import { useTitle } from './title';
import { CONCERN, doorName, plural } from './words';

export function BuildingPage({ live }: { readonly live: LiveBuilding }) {
  const show = useSignal<Show>('all');
  const search = useSignal('');
  const found = useFindings(live);
  const state = useComputed(() => freshness(live.feed.value, now.value).kind);
  // Numbers of their own: this page is not to be gone through with every push.
  const doors = useComputed(() => live.board.overview.value.doors).value;
  const lockers = useComputed(() => live.board.overview.value.lockers).value;
  const waiting = useComputed(() => found.value.length).value;
  useAnnouncements(live, found);
  useTitle(live.buildingId, waiting);

  if (state.value === 'refused') return <Refused building={live.buildingId} />;
  return (
    <div class="building">
      <div class="page-head">
        <h1>{live.buildingId}</h1>
        <p class="muted">
          {doors > 0 && `${plural(doors, 'door')} in ${plural(lockers, 'locker')}`}
        </p>
        <label class="search">
          <span class="for-screen-readers">Find a locker</span>
          <input
            id="search"
            type="search"
            placeholder="Find a locker"
            autocomplete="off"
            onInput={(event) => {
              search.value = event.currentTarget.value.trim().toLowerCase();
            }}
          />
        </label>
      </div>
      <FreshnessBar live={live} />
      <Summary overview={live.board.overview} findings={found} show={show} />
      <div class="columns">
        <FindingsPanel
          building={live.buildingId}
          findings={found}
          loading={state.value === 'loading'}
        />
        {doors === 0 && state.value === 'live' ? (
          <p class="empty">
            No door of <strong>{live.buildingId}</strong> has reported yet. Tiles appear here by
            themselves with the first event of each door. If lockers are connected and this stays
            empty, check that the name of the building is right.
          </p>
        ) : (
          <DoorBoard live={live} search={search} findings={found} show={show} />
        )}
      </div>
    </div>
  );
}

function useFindings(live: LiveBuilding): ReadonlySignal<readonly Finding[]> {
  return useComputed(() => {
    const { picture } = live.board.shown.value;
    return findings(picture, now.value, leftOpenMinutes.value * 60_000);
  });
}

/** Tell those who do not see the page what newly stands out; not what already did at first sight. */
function useAnnouncements(live: LiveBuilding, found: ReadonlySignal<readonly Finding[]>): void {
  useEffect(() => {
    let known: ReadonlySet<string> | null = null;
    return found.subscribe((list) => {
      if (live.feed.peek().verifiedAt === null) return;
      const keys = new Map(list.map((finding) => [keyOf(finding), finding]));
      if (known !== null) {
        const before = known;
        const fresh = [...keys].filter(([key]) => !before.has(key)).map(([, each]) => each);
        if (fresh.length > 0) announce(fresh.slice(0, 3).map(sentence).join(' '));
      }
      known = new Set(keys.keys());
    });
  }, [live, found]);
}

const sentence = ({ lockerId, doorId, concern }: Finding): string =>
  `Locker ${lockerId}${doorId === null ? '' : `, ${doorName(doorId)}`}: ${CONCERN[concern]}.`;
