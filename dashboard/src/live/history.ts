// The events of one locker, newest first, as far back as somebody asked for.
import { signal, type ReadonlySignal, type Signal } from '@preact/signals';
import { LOCKER_HISTORY } from '../api/document';
import type { GraphqlClient } from '../api/graphql';
import type { LockerHistoryQuery } from '../api/types';

export type DoorEvent = LockerHistoryQuery['lockerHistory']['items'][number];
type Page = LockerHistoryQuery['lockerHistory'];

export interface Events {
  /** By falling version, without holes down to the oldest. */
  readonly items: readonly DoorEvent[];
  /** Where older ones begin; null at the beginning of what is kept. */
  readonly nextToken: string | null;
}

export interface Filters {
  readonly door: string | null;
  readonly kind: string | null;
}

export const PAGE = 50;
/** With filters on, a click looks back through at most so many pages for a handful of events. */
const PAGES_A_CLICK = 5;
const HANDFUL = 10;

export function matching(items: readonly DoorEvent[], filters: Filters): readonly DoorEvent[] {
  return items.filter(
    (event) =>
      (filters.door === null || event.doorId === filters.door) &&
      (filters.kind === null || event.kind === filters.kind),
  );
}

export function withOlder(known: Events, page: Page): Events {
  return { items: merged(known.items, page.items), nextToken: page.nextToken };
}

/**
 * Put the newest page before what is known. If both do not meet, more than a page has happened in
 * between: then start again from the page, so that there is no hole.
 */
export function withNewest(known: Events, page: Page): Events {
  const oldest = page.items.at(-1);
  const newest = known.items[0];
  const meets = oldest !== undefined && newest !== undefined && oldest.version <= newest.version;
  if (!meets) return { items: page.items, nextToken: page.nextToken };
  return { items: merged(known.items, page.items), nextToken: known.nextToken };
}

function merged(some: readonly DoorEvent[], more: readonly DoorEvent[]): readonly DoorEvent[] {
  const byVersion = new Map([...some, ...more].map((event) => [event.version, event]));
  return [...byVersion.values()].sort((a, b) => (a.version < b.version ? 1 : -1));
}

export class History {
  readonly events: ReadonlySignal<Events | null>;
  readonly loading: ReadonlySignal<boolean>;
  readonly failure: ReadonlySignal<string | null>;
  readonly #events: Signal<Events | null> = signal(null);
  readonly #loading = signal(false);
  readonly #failure: Signal<string | null> = signal(null);
  readonly #stopped = new AbortController();
  #again = false;

  constructor(
    private readonly client: GraphqlClient,
    private readonly building: string,
    private readonly locker: string,
  ) {
    this.events = this.#events;
    this.loading = this.#loading;
    this.failure = this.#failure;
  }

  stop(): void {
    this.#stopped.abort();
  }

  /** Load what is new; while something is being loaded, do so right after it. */
  async refresh(): Promise<void> {
    if (this.#loading.peek()) {
      this.#again = true;
      return;
    }
    await this.#work(async () => {
      const page = await this.#page(null);
      const known = this.#events.peek();
      this.#events.value = known === null ? page : withNewest(known, page);
    });
  }

  /** Load older events, until there are some more that the filters let through. */
  async loadOlder(filters: Filters): Promise<void> {
    if (this.#loading.peek()) return;
    await this.#work(async () => {
      const before = matching(this.#events.peek()?.items ?? [], filters).length;
      for (let pages = 0; pages < PAGES_A_CLICK; pages += 1) {
        const known = this.#events.peek();
        if (known?.nextToken == null) return;
        const older = withOlder(known, await this.#page(known.nextToken));
        this.#events.value = older;
        if (matching(older.items, filters).length - before >= HANDFUL) return;
      }
    });
  }

  async #work(work: () => Promise<void>): Promise<void> {
    this.#loading.value = true;
    try {
      await work();
      this.#failure.value = null;
    } catch (error) {
      if (this.#stopped.signal.aborted) return;
      this.#failure.value = error instanceof Error ? error.message : String(error);
    } finally {
      this.#loading.value = false;
    }
    if (this.#again && !this.#stopped.signal.aborted) {
      this.#again = false;
      await this.refresh();
    }
  }

  async #page(nextToken: string | null): Promise<Page> {
    const { lockerHistory } = await this.client.query(
      LOCKER_HISTORY,
      { buildingId: this.building, lockerId: this.locker, limit: PAGE, nextToken },
      this.#stopped.signal,
    );
    return lockerHistory;
  }
}
