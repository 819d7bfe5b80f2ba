import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  Concerns,
  INDEX_LAG_MS,
  type AttentionBatch,
  type AttentionItem,
  type Entry,
} from '../src/live/concerns';
import { NOW, versionOf } from './samples';

type Door = AttentionBatch['tiles'][number];

const STATES = ['forced', 'vacant', 'fault', 'open'] as const;

/** The state of a version is always the same. */
const door = (order: number, doorId = 'd01'): Door => ({
  lockerId: 'l01',
  doorId,
  version: versionOf(order),
  status: STATES[order % STATES.length] ?? 'open',
  fault: null,
  receivedAt: NOW + order,
});

const batch = (...tiles: readonly Door[]): AttentionBatch => ({
  buildingId: 'maple-court',
  tiles,
  lockers: [],
});

const offline = (revision: number, connected = false): AttentionBatch => ({
  buildingId: 'maple-court',
  tiles: [],
  lockers: [
    { lockerId: 'l01', connected, since: NOW, reason: 'TIMEOUT', revision, receivedAt: NOW },
  ],
});

/** What the index holds of a door; nothing unless it is forced or faulty. */
function indexed(each: Door): readonly AttentionItem[] {
  const { lockerId, doorId, version, status, fault, receivedAt } = each;
  if (status !== 'forced' && status !== 'fault') return [];
  const tile = { version, fault };
  const place = { buildingId: 'maple-court', lockerId, doorId, receivedAt };
  return [{ ...place, attention: status, tile, locker: null }];
}

const places = (entries: readonly Entry[]): string[] => entries.map((entry) => entry.key);

test('a push puts a door on the list, and takes it off', () => {
  const list = new Concerns();
  expect(places(list.push(batch(door(4)), NOW))).toEqual(['maple-court:l01/d01']);
  expect(list.sections().forced).toHaveLength(1);
  expect(list.push(batch(door(5)), NOW)).toEqual([]);
  expect(list.sections().forced).toEqual([]);
});

test('a door that changes from one concern to another stands in one section', () => {
  const list = new Concerns();
  list.push(batch(door(4)), NOW);
  expect(places(list.push(batch(door(6)), NOW))).toEqual(['maple-court:l01/d01']);
  expect(list.sections().forced).toEqual([]);
  expect(list.sections().fault).toHaveLength(1);
});

test('a locker is listed from its disconnect to its next connect', () => {
  const list = new Concerns();
  list.push(offline(9), NOW);
  expect(list.sections().offline.map((entry) => entry.doorId)).toEqual([null]);
  list.push(offline(10, true), NOW);
  expect(list.sections().offline).toEqual([]);
});

test('a page of the index that is older than a push changes nothing', () => {
  const list = new Concerns();
  list.push(batch(door(5)), NOW);
  list.replace(indexed(door(4)), NOW + 1);
  expect(list.sections().forced).toEqual([]);
  list.push(batch(door(8)), NOW + 2);
  list.replace([], NOW + 3);
  expect(list.sections().forced).toHaveLength(1);
});

test('a while after a push the index is believed: a lost push leaves no trace', () => {
  const list = new Concerns();
  list.push(batch(door(4)), NOW);
  list.replace([], NOW + INDEX_LAG_MS + 1);
  expect(list.sections().forced).toEqual([]);
});

test('what only the index said goes with the next snapshot, however soon', () => {
  const list = new Concerns();
  list.replace(indexed(door(4)), NOW);
  list.replace([], NOW + 1);
  expect(list.sections().forced).toEqual([]);
});

test('a further page adds, newest first, and repeats nobody', () => {
  const list = new Concerns();
  list.replace([...indexed(door(12)), ...indexed(door(8, 'd02'))], NOW);
  list.add([...indexed(door(8, 'd02')), ...indexed(door(4, 'd03'))]);
  expect(list.sections().forced.map((entry) => entry.doorId)).toEqual(['d01', 'd02', 'd03']);
});

test('any order of pushes, with repeats, ends with the newest of each door', () => {
  const order = fc.integer({ min: 1, max: 12 });
  fc.assert(
    fc.property(fc.array(order, { minLength: 1, maxLength: 20 }), (orders) => {
      const list = new Concerns();
      for (const each of orders) list.push(batch(door(each)), NOW);
      const newest = door(Math.max(...orders));
      const { forced, fault } = list.sections();
      const expected = indexed(newest).map(() => newest.version);
      expect([...forced, ...fault].map((entry) => entry.order)).toEqual(expected);
    }),
  );
});
