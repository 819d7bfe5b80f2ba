import { afterEach, expect, test, vi } from 'vitest';
import { GraphqlClient } from '../src/api/graphql';
import {
  ENOUGH,
  History,
  LARGE_PAGE,
  matching,
  PAGE,
  PAGES_A_LOOK,
  withNewest,
  withOlder,
  type DoorEvent,
} from '../src/live/history';
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

/** A locker with so many events, of which every `rare`-th is of door d02; an API to page them. */
function locker(count: number, rare: number) {
  const items = Array.from({ length: count }, (_, index) =>
    event(count - index, index % rare === rare - 1 ? { doorId: 'd02' } : {}),
  );
  const limits: number[] = [];
  const answer = (_: string, request: { readonly body: string }): Promise<Response> => {
    const { variables } = JSON.parse(request.body) as {
      variables: { limit: number; nextToken: string | null };
    };
    limits.push(variables.limit);
    const from = Number(variables.nextToken ?? 0);
    const to = from + variables.limit;
    const nextToken = to < count ? String(to) : null;
    const data = { lockerHistory: { items: items.slice(from, to), nextToken } };
    return Promise.resolve(Response.json({ data }));
  };
  vi.stubGlobal('fetch', answer);
  const client = new GraphqlClient('http://api.test/graphql', () => Promise.resolve('token'));
  return { history: new History(client, 'maple-court', 'l01'), limits };
}

afterEach(() => {
  vi.unstubAllGlobals();
});

const ONLY_D02 = { door: 'd02', kind: null };

test('without filters a page is loaded, and one more for each time it is asked for', async () => {
  const { history, limits } = locker(500, 10);
  await history.refresh();
  await history.loadOlder();
  expect(history.events.value?.items).toHaveLength(2 * PAGE);
  expect(limits).toEqual([PAGE, PAGE]);
});

test('a filter with few hits looks back by itself until it has a good many', async () => {
  const { history, limits } = locker(2000, 40);
  await history.refresh();
  await history.filter(ONLY_D02);
  const items = history.events.value?.items ?? [];
  expect(matching(items, ONLY_D02).length).toBeGreaterThanOrEqual(ENOUGH);
  expect(limits.slice(1).every((limit) => limit === LARGE_PAGE)).toBe(true);
  expect(items.length).toBeLessThan(2000);
});

test('a look ends after so many pages, and the next one goes on from there', async () => {
  const { history } = locker(5000, 5000);
  await history.filter(ONLY_D02);
  await history.refresh();
  const first = history.events.value?.items.length ?? 0;
  expect(first).toBe((PAGES_A_LOOK + 1) * LARGE_PAGE);
  await history.loadOlder();
  expect(history.events.value?.items).toHaveLength(first + PAGES_A_LOOK * LARGE_PAGE);
});

test('a look ends at the beginning of what is kept', async () => {
  const { history } = locker(730, 730);
  await history.filter(ONLY_D02);
  await history.refresh();
  expect(history.events.value?.nextToken).toBeNull();
  expect(matching(history.events.value?.items ?? [], ONLY_D02)).toHaveLength(1);
});

test('a filter that is chosen during a look is looked for', async () => {
  const { history } = locker(3000, 100);
  const looking = history.refresh();
  await history.filter(ONLY_D02);
  await looking;
  expect(matching(history.events.value?.items ?? [], ONLY_D02).length).toBeGreaterThan(5);
});

test('a page that cannot be loaded ends the look with a reason', async () => {
  const { history } = locker(3000, 100);
  await history.refresh();
  vi.stubGlobal('fetch', () => Promise.reject(new Error('unplugged')));
  await history.filter(ONLY_D02);
  expect(history.failure.value).toContain('unplugged');
  expect(history.loading.value).toBe(false);
  expect(history.events.value?.items).toHaveLength(PAGE);
});
