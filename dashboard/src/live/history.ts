// The events of one locker, newest first, as far back as somebody asked for.
//
// The filters run here, not in the API: in the table events stand by version, so there, too, every
// event would be read (and paid) that a filter then drops, and a page of the API would still be
// empty or not by chance. Instead a look goes on, page after page, until it has found enough.
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

export const NO_FILTERS: Filters = { door: null, kind: null };
export const PAGE = 50;
/** The most that the API gives at once: for a look through filters. */
export const LARGE_PAGE = 100;
/** A look goes on for so many pages at most, */
export const PAGES_A_LOOK = 10;
/** or until it has found so many more events that pass the filters. */
export const ENOUGH = 20;

export const isFiltered = ({ door, kind }: Filters): boolean => door !== null || kind !== null;

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
  #filters = NO_FILTERS;
  /** What is to be loaded: the newest page, and older ones until so many events pass, or so often. */
  #newest = false;
  #wanted = ENOUGH;
  #pagesLeft = 0;

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

  /** Load what is new. */
  async refresh(): Promise<void> {
    this.#newest = true;
    await this.#work();
  }

  /** From now on show what passes; look back for some, if what is loaded has too few. */
  async filter(filters: Filters): Promise<void> {
    this.#filters = filters;
    this.#look(ENOUGH);
    await this.#work();
  }

  /** Look back for some more events that pass. */
  async loadOlder(): Promise<void> {
    this.#look(this.#passing() + ENOUGH);
    await this.#work();
  }

  #look(wanted: number): void {
    this.#wanted = wanted;
    this.#pagesLeft = PAGES_A_LOOK;
  }

  #passing(): number {
    return matching(this.#events.peek()?.items ?? [], this.#filters).length;
  }

  /** One request at a time; what is asked for meanwhile follows. */
  async #work(): Promise<void> {
    if (this.#loading.peek()) return;
    this.#loading.value = true;
    try {
      while (this.#newest || this.#olderIsWanted()) {
        if (this.#newest) await this.#loadNewest();
        else await this.#loadNext();
        this.#failure.value = null;
      }
    } catch (error) {
      this.#newest = false;
      this.#pagesLeft = 0;
      if (this.#stopped.signal.aborted) return;
      this.#failure.value = error instanceof Error ? error.message : String(error);
    } finally {
      this.#loading.value = false;
    }
  }

  #olderIsWanted(): boolean {
    const more = this.#events.peek()?.nextToken != null;
    return more && this.#pagesLeft > 0 && this.#passing() < this.#wanted;
  }

  async #loadNewest(): Promise<void> {
    this.#newest = false;
    const page = await this.#page(null);
    const known = this.#events.peek();
    const events = known === null ? page : withNewest(known, page);
    // Begun again, so that there is no hole: then the look, too.
    if (events.nextToken !== known?.nextToken) this.#look(this.#wanted);
    this.#events.value = events;
  }

  async #loadNext(): Promise<void> {
    const known = this.#events.peek();
    if (known?.nextToken == null) return;
    this.#pagesLeft -= 1;
    this.#events.value = withOlder(known, await this.#page(known.nextToken));
  }

  async #page(nextToken: string | null): Promise<Page> {
    const limit = isFiltered(this.#filters) ? LARGE_PAGE : PAGE;
    const { lockerHistory } = await this.client.query(
      LOCKER_HISTORY,
      { buildingId: this.building, lockerId: this.locker, limit, nextToken },
      this.#stopped.signal,
    );
    return lockerHistory;
  }
}
