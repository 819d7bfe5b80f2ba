// What is known of a building, merged by version: the same merge as pipeline/merge.py, so that a
// push that comes late or twice, or a snapshot older than a push, changes nothing. No clock, no
// network, no signals.
import type { BuildingQuery, TileStatus } from '../api/types';

export type Tile = BuildingQuery['building']['tiles'][number];
export type Locker = BuildingQuery['building']['lockers'][number];
/** As shown: a disconnected locker's doors are `offline`, whatever they last said. */
export type ShownStatus = TileStatus | 'offline';

export interface Batch {
  readonly tiles: readonly Tile[];
  readonly lockers: readonly Locker[];
}

/** The latest event of a door, and since when (epoch ms) it has been open, as far as we saw it. */
export interface DoorState {
  readonly tile: Tile;
  readonly openSince: number | null;
}

export interface LockerState {
  readonly id: string;
  presence: Locker | null;
  /** When the latest event of any door was received, epoch ms; 0 if none was. */
  heardAt: number;
  readonly doors: Map<string, DoorState>;
}

export const isOpen = (tile: Tile): boolean => tile.status === 'open' || tile.status === 'forced';

/**
 * Whether `candidate` takes the place of `known`. Versions have one length, so text order is
 * numeric order. Of equal versions the earliest received counts: a redelivery has the same content.
 */
export function supersedes(candidate: Tile, known: Tile): boolean {
  if (candidate.version !== known.version) return candidate.version > known.version;
  return candidate.receivedAt < known.receivedAt;
}

/**
 * Whether to show the locker alive. A door event received after the disconnect proves that it is
 * back, although its `connected` may still be on its way (docs/decisions/0006).
 */
export function isOnline(locker: LockerState): boolean {
  const presence = locker.presence;
  return presence === null || presence.connected || locker.heardAt > presence.since;
}

export function shownStatus(locker: LockerState, door: DoorState): ShownStatus {
  return isOnline(locker) ? door.tile.status : 'offline';
}

export class Picture {
  readonly lockers = new Map<string, LockerState>();

  /** Take a push or a page of a snapshot; return the lockers that changed. */
  take(batch: Batch): ReadonlySet<LockerState> {
    const changed = new Set<LockerState>();
    for (const tile of batch.tiles) {
      const locker = this.#locker(tile.lockerId);
      if (this.#putTile(locker, tile)) changed.add(locker);
    }
    for (const presence of batch.lockers) {
      const locker = this.#locker(presence.lockerId);
      if (locker.presence === null || presence.revision > locker.presence.revision) {
        locker.presence = presence;
        changed.add(locker);
      }
    }
    return changed;
  }

  #locker(id: string): LockerState {
    let locker = this.lockers.get(id);
    if (locker === undefined) {
      locker = { id, presence: null, heardAt: 0, doors: new Map() };
      this.lockers.set(id, locker);
    }
    return locker;
  }

  #putTile(locker: LockerState, tile: Tile): boolean {
    const known = locker.doors.get(tile.doorId);
    if (known !== undefined && !supersedes(tile, known.tile)) return false;
    locker.doors.set(tile.doorId, { tile, openSince: openSince(tile, known) });
    // Nothing here may depend on the order of arrival, so a tile that loses adds nothing either.
    locker.heardAt = Math.max(0, ...[...locker.doors.values()].map((door) => door.tile.receivedAt));
    return true;
  }
}

/** Kinds of event that tell of a door that is open already, not of its opening. */
const RESTATING: ReadonlySet<Tile['kind']> = new Set(['reported', 'cleared']);

/** A locker that reconnects reports its open door anew: it has been open for longer than that. */
function openSince(tile: Tile, known: DoorState | undefined): number | null {
  if (!isOpen(tile)) return null;
  const before = RESTATING.has(tile.kind) ? known?.openSince : null;
  return Math.min(tile.receivedAt, before ?? Infinity);
}
