// Counts and the list of what somebody should look at, out of a picture. Pure.
import type { DoorState, LockerState, Picture, ShownStatus } from './picture';
import { isOnline, shownStatus } from './picture';

export type Concern = 'forced' | 'fault' | 'left-open' | 'offline';

/** A door, or without `doorId` a locker, that stands out. `since` is epoch ms. */
export interface Finding {
  readonly concern: Concern;
  readonly lockerId: string;
  readonly doorId: string | null;
  readonly since: number;
  readonly detail: string | null;
}

/** What tells one finding from the others of its building. */
export const keyOf = (finding: Finding): string =>
  `${finding.concern} ${finding.lockerId}/${finding.doorId ?? ''}`;

export interface Overview {
  readonly lockers: number;
  readonly doors: number;
  readonly counts: Readonly<Record<ShownStatus, number>>;
  /** When the newest event of any door was received, epoch ms; null if there is none. */
  readonly lastEventAt: number | null;
}

export function overview(picture: Picture): Overview {
  const counts = { vacant: 0, occupied: 0, open: 0, forced: 0, fault: 0, offline: 0 };
  let doors = 0;
  let lastEventAt = 0;
  for (const locker of picture.lockers.values()) {
    lastEventAt = Math.max(lastEventAt, locker.heardAt);
    for (const door of locker.doors.values()) {
      counts[shownStatus(locker, door)] += 1;
      doors += 1;
    }
  }
  return { lockers: picture.lockers.size, doors, counts, lastEventAt: lastEventAt || null };
}

const URGENCY: readonly Concern[] = ['forced', 'fault', 'left-open', 'offline'];

/** What stands out at `now`, the most urgent first, then the longest. Times in epoch ms. */
export function findings(picture: Picture, now: number, leftOpenAfterMs: number): Finding[] {
  const found: Finding[] = [];
  for (const locker of picture.lockers.values()) {
    if (isOnline(locker)) {
      for (const door of locker.doors.values()) {
        const finding = doorFinding(locker.id, door, now, leftOpenAfterMs);
        if (finding !== null) found.push(finding);
      }
    } else {
      found.push(offlineFinding(locker));
    }
  }
  return found.sort(
    (a, b) => URGENCY.indexOf(a.concern) - URGENCY.indexOf(b.concern) || a.since - b.since,
  );
}

function doorFinding(
  lockerId: string,
  { tile, openSince }: DoorState,
  now: number,
  leftOpenAfterMs: number,
): Finding | null {
  const door = { lockerId, doorId: tile.doorId, detail: tile.fault };
  if (tile.status === 'forced' || tile.status === 'fault') {
    return { ...door, concern: tile.status, since: tile.receivedAt };
  }
  if (openSince !== null && now - openSince >= leftOpenAfterMs) {
    return { ...door, concern: 'left-open', since: openSince };
  }
  return null;
}

function offlineFinding(locker: LockerState): Finding {
  return {
    concern: 'offline',
    lockerId: locker.id,
    doorId: null,
    since: locker.presence?.since ?? 0,
    detail: locker.presence?.reason ?? null,
  };
}
