import { expect, test } from 'vitest';
import { matching, withNewest, withOlder, type DoorEvent } from '../src/live/history';
import { tile, versionOf } from './samples';

const event = (order: number, fields: Partial<DoorEvent> = {}): DoorEvent => {
  const { doorId, kind, status, occupied, fault, at, receivedAt } = tile();
  const eventId = `maple-court:l01/${doorId}@1.${order}`;
  const version = versionOf(order);
  return { doorId, kind, status, occupied, fault, at, receivedAt, version, eventId, ...fields };
};

const page = (nextToken: string | null, ...orders: readonly number[]) => ({
  items: orders.map((order) => event(order)),
  nextToken,
});

const orders = ({ items }: { readonly items: readonly DoorEvent[] }): number[] =>
  items.map((each) => Number(each.version));

test('older pages follow, and an event that both have stands once', () => {
  const events = withOlder(page('a', 5, 4), page(null, 4, 3));
  expect(orders(events)).toEqual([5, 4, 3]);
  expect(events.nextToken).toBeNull();
});

test('new events come before what was loaded, which stays', () => {
  const events = withNewest(page('a', 5, 4, 3), page('b', 7, 6, 5));
  expect(orders(events)).toEqual([7, 6, 5, 4, 3]);
  expect(events.nextToken).toBe('a');
});

test('if more than a page happened since, it begins again: there is never a hole', () => {
  const events = withNewest(page('a', 5, 4), page('b', 9, 8));
  expect(orders(events)).toEqual([9, 8]);
  expect(events.nextToken).toBe('b');
});

test('filters by door and by kind', () => {
  const items = [event(3), event(2, { doorId: 'd02' }), event(1, { kind: 'opened' })];
  expect(matching(items, { door: 'd01', kind: null })).toHaveLength(2);
  expect(matching(items, { door: 'd01', kind: 'opened' })).toHaveLength(1);
  expect(matching(items, { door: null, kind: null })).toHaveLength(3);
});
