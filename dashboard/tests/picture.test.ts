import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isOnline, Picture, shownStatus, supersedes, type Batch } from '../src/live/picture';
import { anyLocker, anyTile, locker, NOW, tile, versionOf } from './samples';

const anyBatch: fc.Arbitrary<Batch> = fc.record({
  tiles: fc.array(anyTile, { maxLength: 6 }),
  lockers: fc.array(anyLocker, { maxLength: 3 }),
});

/** What people see, without the moment since when a door is known to be open. */
function seen(picture: Picture) {
  const lockers = [...picture.lockers.values()].map((state) => ({
    id: state.id,
    presence: state.presence,
    heardAt: state.heardAt,
    doors: [...state.doors.values()]
      .map((door) => ({ tile: door.tile, shown: shownStatus(state, door) }))
      .sort((a, b) => a.tile.doorId.localeCompare(b.tile.doorId)),
  }));
  return lockers.sort((a, b) => a.id.localeCompare(b.id));
}

function pictureOf(batches: readonly Batch[]): Picture {
  const picture = new Picture();
  for (const each of batches) picture.take(each);
  return picture;
}

describe('the merge', () => {
  test('does not depend on the order of arrival, on duplicates, or on how it was batched', () => {
    fc.assert(
      fc.property(
        fc.array(anyBatch, { maxLength: 8 }),
        fc.infiniteStream(fc.nat()),
        (batches, picks) => {
          const one = seen(pictureOf(batches));
          const single = batches.flatMap(({ tiles, lockers }) => [
            ...tiles.map((each) => ({ tiles: [each], lockers: [] })),
            ...lockers.map((each) => ({ tiles: [], lockers: [each] })),
          ]);
          const shuffled = [...single, ...single]
            .map((each) => ({ each, at: Number(picks.next().value) }))
            .sort((a, b) => a.at - b.at)
            .map(({ each }) => each);
          expect(seen(pictureOf(shuffled))).toEqual(one);
        },
      ),
    );
  });

  test('shows the highest version of each door, of equal ones the earliest received', () => {
    fc.assert(
      fc.property(fc.array(anyTile, { minLength: 1, maxLength: 20 }), (tiles) => {
        const picture = pictureOf([{ tiles, lockers: [] }]);
        for (const each of tiles) {
          const shown = picture.lockers.get(each.lockerId)?.doors.get(each.doorId)?.tile;
          expect(shown).toBeDefined();
          if (shown !== undefined) expect(supersedes(each, shown)).toBe(false);
        }
      }),
    );
  });

  test('of a redelivery the earliest stamp counts, whichever came first', () => {
    const early = tile({ receivedAt: NOW });
    const late = tile({ receivedAt: NOW + 1 });
    expect(supersedes(early, late)).toBe(true);
    expect(supersedes(late, early)).toBe(false);
    expect(supersedes(early, early)).toBe(false);
  });

  test('an event that arrives out of order changes nothing', () => {
    const picture = new Picture();
    picture.take({ tiles: [tile({ version: versionOf(9), status: 'occupied' })], lockers: [] });
    const late = tile({ version: versionOf(8), status: 'open', receivedAt: NOW + 1000 });
    expect(picture.take({ tiles: [late], lockers: [] }).size).toBe(0);
  });

  test('versions beyond what a number can hold are told apart', () => {
    const boot = 1_790_000_000n << 32n;
    const [one, two] = [boot + 1n, boot + 2n].map((each) => String(each).padStart(20, '0'));
    const older = tile({ version: one ?? '' });
    const newer = tile({ version: two ?? '' });
    expect(Number(one)).toBe(Number(two)); // which is why
    expect(supersedes(newer, older)).toBe(true);
    expect(supersedes(older, newer)).toBe(false);
  });

  test('an older revision of a locker changes nothing', () => {
    const picture = new Picture();
    picture.take({ tiles: [], lockers: [locker({ revision: 3, connected: false })] });
    expect(picture.take({ tiles: [], lockers: [locker({ revision: 2 })] }).size).toBe(0);
    expect(picture.lockers.get('l01')?.presence?.connected).toBe(false);
  });
});

describe('offline', () => {
  const gone = locker({ connected: false, since: NOW });
  const shown = (receivedAt: number, presence = gone): string | undefined => {
    const picture = pictureOf([{ tiles: [tile({ receivedAt })], lockers: [presence] }]);
    const state = picture.lockers.get('l01');
    const door = state?.doors.get('d01');
    return state && door && shownStatus(state, door);
  };

  test('while the locker is disconnected', () => {
    expect(shown(NOW - 1)).toBe('offline');
    expect(shown(NOW)).toBe('offline');
  });

  test('not any more once a door has an event received after the disconnect', () => {
    expect(shown(NOW + 1)).toBe('vacant');
  });

  test('not while connected, however old its events are', () => {
    expect(shown(NOW - 9_000_000, locker({ connected: true, since: NOW }))).toBe('vacant');
  });

  test('not if nothing is known of the locker’s connection', () => {
    expect(isOnline({ id: 'l01', presence: null, heardAt: 0, doors: new Map() })).toBe(true);
  });
});

describe('since when a door is open', () => {
  const openSince = (
    ...events: readonly Parameters<typeof tile>[0][]
  ): number | null | undefined => {
    const tiles = events.map((each, index) => tile({ version: versionOf(index + 1), ...each }));
    return pictureOf([{ tiles, lockers: [] }])
      .lockers.get('l01')
      ?.doors.get('d01')?.openSince;
  };
  const opened = { kind: 'opened', status: 'open', receivedAt: NOW } as const;

  test('stays when a locker that reconnected reports it again', () => {
    const again = { kind: 'reported', status: 'open', receivedAt: NOW + 60_000 } as const;
    expect(openSince(opened, again)).toBe(NOW);
  });

  test('starts anew when it was opened again, and ends when it closes', () => {
    expect(openSince(opened, { ...opened, receivedAt: NOW + 60_000 })).toBe(NOW + 60_000);
    expect(openSince(opened, { kind: 'closed', status: 'vacant' })).toBeNull();
  });
});
