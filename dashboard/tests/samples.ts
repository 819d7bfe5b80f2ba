// Tiles and lockers as the API sends them, and any of them (fast-check).
import fc from 'fast-check';
import type { Locker, Tile } from '../src/live/picture';

export const NOW = Date.UTC(2026, 10, 21, 12);

export function versionOf(order: number): string {
  return String(order).padStart(20, '0');
}

export function tile(fields: Partial<Tile> = {}): Tile {
  return {
    lockerId: 'l01',
    doorId: 'd01',
    version: versionOf(1),
    kind: 'closed',
    status: 'vacant',
    occupied: false,
    fault: null,
    at: '2026-11-21T12:00:00.000Z',
    receivedAt: NOW,
    ...fields,
  };
}

export function locker(fields: Partial<Locker> = {}): Locker {
  return { lockerId: 'l01', connected: true, since: NOW, reason: null, revision: 1, ...fields };
}

const STATES = [
  { kind: 'opened', status: 'open' },
  { kind: 'closed', status: 'occupied' },
  { kind: 'forced', status: 'forced' },
  { kind: 'faulted', status: 'fault' },
  { kind: 'cleared', status: 'vacant' },
  { kind: 'reported', status: 'open' },
] as const;

/** A few doors and versions, so that they meet. The state of a version is always the same. */
export const anyTile: fc.Arbitrary<Tile> = fc
  .record({
    lockerId: fc.constantFrom('l01', 'l02'),
    doorId: fc.constantFrom('d01', 'd02'),
    order: fc.integer({ min: 1, max: 12 }),
    late: fc.integer({ min: 0, max: 5 }),
  })
  .map(({ order, late, ...place }) => {
    const state = STATES[order % STATES.length] ?? STATES[0];
    return tile({ ...place, ...state, version: versionOf(order), receivedAt: NOW + order + late });
  });

export const anyLocker: fc.Arbitrary<Locker> = fc
  .record({
    lockerId: fc.constantFrom('l01', 'l02'),
    revision: fc.integer({ min: 1, max: 8 }),
  })
  .map(({ lockerId, revision }) =>
    locker({ lockerId, revision, connected: revision % 2 === 0, since: NOW + revision }),
  );
