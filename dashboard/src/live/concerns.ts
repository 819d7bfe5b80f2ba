// What needs somebody, of all buildings: entries of the index `attention` and pushes, merged by
// version. No clock, no network, no signals.
//
// The index follows the table a moment later (AWS: usually within a second), so a page of it may be
// older than a push: an entry that was pushed a moment ago stays although the index lacks it, and
// one that was pushed to have left stays away. After that moment the index is right: what a lost
// push would have told is in it. The moment is shorter than the one after which a second snapshot
// follows the first of a connection, so that what was pushed before an outage is gone after two.
import type { Attention, AttentionListQuery, OnAttentionSubscription } from '../api/types';
import { SECOND_SNAPSHOT_MS } from './feed';

export type AttentionItem = AttentionListQuery['attention']['items'][number];
export type AttentionBatch = NonNullable<OnAttentionSubscription['onAttention']>;

export const ATTENTIONS = ['forced', 'fault', 'offline'] as const satisfies readonly Attention[];
export const INDEX_LAG_MS = SECOND_SNAPSHOT_MS - 1_000;

/** A door, or without `doorId` a locker; `attention` is null once nobody need look any more. */
export interface Entry {
  readonly key: string;
  readonly attention: Attention | null;
  /** A tile's version or a locker's revision, as text that sorts. */
  readonly order: string;
  readonly buildingId: string;
  readonly lockerId: string;
  readonly doorId: string | null;
  readonly receivedAt: number;
  /** Epoch ms. */
  readonly since: number;
  readonly detail: string | null;
}

export type Sections = Readonly<Record<Attention, readonly Entry[]>>;

interface Known {
  readonly entry: Entry;
  /** Epoch ms of the page; null if the index said so. */
  readonly pushedAt: number | null;
}

export class Concerns {
  #known = new Map<string, Known>();

  /** Take a push that arrived at `now`; return what newly stands out. */
  push(batch: AttentionBatch, now: number): readonly Entry[] {
    const entries = [
      ...batch.tiles.map((tile) => doorEntry(batch.buildingId, tile, attentionOf(tile.status))),
      ...batch.lockers.map((locker) => lockerEntry(batch.buildingId, locker)),
    ];
    return entries.filter((entry) => {
      const before = this.#known.get(entry.key)?.entry.attention ?? null;
      return this.#put(entry, now) && entry.attention !== null && entry.attention !== before;
    });
  }

  /** Take what the index held at `askedAt` (epoch ms of the page) or later: the snapshot. */
  replace(items: readonly AttentionItem[], askedAt: number): void {
    const since = askedAt - INDEX_LAG_MS;
    this.#known = new Map(
      [...this.#known].filter(([, { pushedAt }]) => pushedAt !== null && pushedAt >= since),
    );
    this.add(items);
  }

  /** Take a further page. */
  add(items: readonly AttentionItem[]): void {
    for (const item of items) {
      const entry = entryOf(item);
      if (entry !== null) this.#put(entry, null);
    }
  }

  /** Newest first. */
  sections(): Sections {
    const standing = [...this.#known.values()].map(({ entry }) => entry).sort(newestFirst);
    const of = (attention: Attention): readonly Entry[] =>
      standing.filter((entry) => entry.attention === attention);
    return { forced: of('forced'), fault: of('fault'), offline: of('offline') };
  }

  #put(entry: Entry, pushedAt: number | null): boolean {
    const known = this.#known.get(entry.key);
    if (known !== undefined && known.entry.order >= entry.order) return false;
    this.#known.set(entry.key, { entry, pushedAt });
    return true;
  }
}

const keyOf = (buildingId: string, lockerId: string, doorId: string | null): string =>
  `${buildingId}:${lockerId}/${doorId ?? ''}`;

function attentionOf(status: string): Attention | null {
  return ATTENTIONS.find((attention) => attention === status) ?? null;
}

function entryOf(item: AttentionItem): Entry | null {
  const place = { buildingId: item.buildingId, lockerId: item.lockerId };
  if (item.tile !== null && item.doorId !== null) {
    const tile = { ...place, ...item.tile, doorId: item.doorId, receivedAt: item.receivedAt };
    return doorEntry(item.buildingId, tile, item.attention);
  }
  if (item.locker === null) return null;
  const locker = { ...place, ...item.locker, connected: false, receivedAt: item.receivedAt };
  return lockerEntry(item.buildingId, locker);
}

type Door = Pick<
  AttentionBatch['tiles'][number],
  'lockerId' | 'doorId' | 'version' | 'fault' | 'receivedAt'
>;

function doorEntry(buildingId: string, door: Door, attention: Attention | null): Entry {
  const { lockerId, doorId, version, receivedAt, fault } = door;
  return {
    key: keyOf(buildingId, lockerId, doorId),
    attention,
    order: version,
    buildingId,
    lockerId,
    doorId,
    receivedAt,
    since: receivedAt,
    detail: fault,
  };
}

function lockerEntry(buildingId: string, locker: AttentionBatch['lockers'][number]): Entry {
  const { lockerId, connected, revision, receivedAt, since, reason } = locker;
  return {
    key: keyOf(buildingId, lockerId, null),
    attention: connected ? null : 'offline',
    order: String(revision).padStart(20, '0'),
    buildingId,
    lockerId,
    doorId: null,
    receivedAt,
    since,
    detail: reason,
  };
}

function newestFirst(a: Entry, b: Entry): number {
  return b.receivedAt - a.receivedAt || (a.key < b.key ? -1 : 1);
}
