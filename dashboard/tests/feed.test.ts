import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  CONNECT_TIMEOUT_MS,
  freshness,
  LOAD_TIMEOUT_MS,
  nextDue,
  RETRY_MAX_MS,
  RETRY_MIN_MS,
  SECOND_SNAPSHOT_MS,
  SILENCE_MS,
  SNAPSHOT_EVERY_MS,
  SNAPSHOT_RETRY_MS,
  start,
  step,
  UNVERIFIED_MS,
  type Effect,
  type Event,
  type Feed,
} from '../src/live/feed';
import { NOW } from './samples';

/** A feed with a clock: says what happens, collects what it is told to do. */
class Story {
  feed: Feed;
  now = NOW;
  effects: Effect['type'][];

  constructor() {
    const first = start(NOW);
    this.feed = first.feed;
    this.effects = first.effects.map((each) => each.type);
  }

  on(event: Event, random = 0.5): this {
    const next = step(this.feed, event, this.now, random);
    this.feed = next.feed;
    this.effects = next.effects.map((each) => each.type);
    return this;
  }

  after(ms: number): this {
    this.now += ms;
    return this;
  }

  /** Let time pass as the driver would: a tick whenever one is due, keep-alives in between. */
  pass(ms: number, { alive = true } = {}): this {
    const end = this.now + ms;
    const done: Effect['type'][] = [];
    for (;;) {
      const due = Math.min(nextDue(this.feed) ?? Infinity, this.now + (alive ? 60_000 : Infinity));
      if (due > end) break;
      this.now = Math.max(due, this.now + 1);
      if (alive && this.feed.link === 'subscribed') this.on({ type: 'frame' });
      this.on({ type: 'tick' });
      done.push(...this.effects);
    }
    this.now = end;
    this.effects = done;
    return this;
  }

  loaded(): this {
    return this.on({ type: 'loaded', id: this.feed.load?.id ?? -1 });
  }

  get fresh() {
    return freshness(this.feed, this.now);
  }
}

const live = (): Story => new Story().after(100).on({ type: 'acked' }).after(100).loaded();
const closed = { type: 'closed', reason: 'gone' } as const;

describe('the plan', () => {
  test('subscribes first; the snapshot is asked for only after start_ack', () => {
    const story = new Story();
    expect(story.effects).toEqual(['connect']);
    expect(story.on({ type: 'frame' }).effects).toEqual([]);
    expect(story.on({ type: 'acked' }).effects).toEqual(['load']);
    expect(story.fresh.kind).toBe('loading');
    expect(story.loaded().fresh.kind).toBe('live');
  });

  test('loads the snapshot again shortly after, then every five minutes, and else never', () => {
    const story = live();
    expect(story.pass(SECOND_SNAPSHOT_MS).effects).toEqual(['load']);
    expect(story.loaded().pass(SNAPSHOT_EVERY_MS - 1).effects).toEqual([]);
    expect(story.pass(1).effects).toEqual(['load']);
    expect(story.fresh.kind).toBe('live');
  });

  test('loads the snapshot when somebody looks, unless one has just come or is on its way', () => {
    const story = live();
    expect(story.on({ type: 'attended' }).effects).toEqual([]);
    expect(story.after(SECOND_SNAPSHOT_MS - 1).on({ type: 'attended' }).effects).toEqual([]);
    expect(story.after(1).on({ type: 'attended' }).effects).toEqual(['load']);
    expect(story.on({ type: 'attended' }).effects).toEqual([]);
  });

  test('is stale from the last frame before the connection was lost, until the next snapshot', () => {
    const story = live().after(20_000).on({ type: 'frame' });
    const heard = story.now;
    story.after(3000).on(closed);
    expect(story.effects).toEqual(['disconnect']);
    expect(story.fresh).toMatchObject({ kind: 'stale', since: heard, doing: 'waiting' });
    story.pass(RETRY_MAX_MS);
    expect(story.fresh).toMatchObject({ kind: 'stale', since: heard, doing: 'connecting' });
    story.on({ type: 'acked' });
    expect(story.fresh).toMatchObject({ kind: 'stale', since: heard, doing: 'catching-up' });
    expect(story.loaded().fresh.kind).toBe('live');
  });

  test('a snapshot of a connection that is gone does not count', () => {
    const story = live();
    story.pass(SECOND_SNAPSHOT_MS);
    const id = story.feed.load?.id ?? -1;
    story.on(closed).on({ type: 'loaded', id });
    expect(story.fresh.kind).toBe('stale');
    story.pass(RETRY_MAX_MS).on({ type: 'acked' }).on({ type: 'loaded', id });
    expect(story.fresh.kind).toBe('stale');
  });

  test('a silent connection is dead, also when a sleeping machine wakes up', () => {
    const story = live();
    const last = story.now;
    story.pass(SECOND_SNAPSHOT_MS, { alive: false }).loaded();
    story.pass(SILENCE_MS, { alive: false });
    expect(story.fresh.kind).toBe('stale');
    const asleep = live()
      .on({ type: 'frame' })
      .after(SILENCE_MS - 1);
    expect(asleep.fresh.kind).toBe('live');
    asleep.after(1);
    expect(asleep.fresh).toMatchObject({ kind: 'stale', since: last });
    expect(asleep.on({ type: 'attended' }).effects).toEqual(['disconnect']);
  });

  test('somebody who looks does not have to wait for the next attempt', () => {
    const story = live().on(closed);
    expect(story.on({ type: 'attended' }).effects).toEqual(['connect']);
  });

  test('a device without network is stale at once', () => {
    expect(live().on({ type: 'network-lost' }).fresh.kind).toBe('stale');
  });

  test('a snapshot that fails is tried again; without one for long, pushes are not trusted', () => {
    const story = live();
    story.pass(SECOND_SNAPSHOT_MS).loaded();
    const verified = story.now;
    story.pass(SNAPSHOT_EVERY_MS);
    const fail = (): void => {
      story.on({ type: 'load-failed', id: story.feed.load?.id ?? -1, reason: 'HTTP 503' });
    };
    fail();
    expect(story.fresh.kind).toBe('live');
    expect(story.pass(SNAPSHOT_RETRY_MS).effects).toEqual(['load']);
    while (story.now < verified + UNVERIFIED_MS) {
      fail();
      story.pass(SNAPSHOT_RETRY_MS);
    }
    expect(story.fresh).toMatchObject({
      kind: 'stale',
      doing: 'unverified',
      since: verified + UNVERIFIED_MS,
      failure: 'HTTP 503',
    });
    expect(story.loaded().fresh.kind).toBe('live');
  });

  test('gives up an attempt or a snapshot that gets no answer', () => {
    const story = new Story().pass(CONNECT_TIMEOUT_MS);
    expect(story.effects).toEqual(['disconnect']);
    const loading = new Story().on({ type: 'acked' });
    expect(loading.pass(LOAD_TIMEOUT_MS).feed.load).toBeNull();
    expect(loading.pass(SECOND_SNAPSHOT_MS).effects).toEqual(['load']);
  });

  test('a refusal is final', () => {
    const story = live().on({ type: 'refused', reason: 'Not Authorized' });
    expect(story.effects).toEqual(['disconnect']);
    expect(nextDue(story.feed)).toBeNull();
    expect(story.on({ type: 'attended' }).on({ type: 'tick' }).effects).toEqual([]);
    expect(story.fresh).toEqual({ kind: 'refused', reason: 'Not Authorized' });
  });
});

const anyEvent: fc.Arbitrary<Event> = fc.oneof(
  fc.constantFrom<Event>(
    { type: 'acked' },
    { type: 'frame' },
    closed,
    { type: 'attended' },
    { type: 'network-lost' },
    { type: 'tick' },
  ),
  fc.integer({ min: 1, max: 6 }).map((id): Event => ({ type: 'loaded', id })),
  fc.integer({ min: 1, max: 6 }).map((id): Event => ({ type: 'load-failed', id, reason: 'x' })),
);

const anyStory = fc.array(
  fc.record({
    event: anyEvent,
    wait: fc.integer({ min: 0, max: 200_000 }),
    random: fc.double({ min: 0, max: 0.999, noNaN: true }),
  }),
  { maxLength: 60 },
);

describe('whatever happens', () => {
  test('live means: subscribed, and a snapshot asked for since is complete', () => {
    fc.assert(
      fc.property(anyStory, (happenings) => {
        const story = new Story();
        let loadsSinceAck: number[] | null = null;
        let verified = false;
        for (const { event, wait, random } of happenings) {
          const before = story.after(wait).feed;
          story.on(event, random);
          if (before.link !== 'subscribed' && story.feed.link === 'subscribed') loadsSinceAck = [];
          if (story.feed.link !== 'subscribed') [loadsSinceAck, verified] = [null, false];
          if (event.type === 'loaded' && loadsSinceAck?.includes(event.id)) verified = true;
          if (story.effects.includes('load')) loadsSinceAck?.push(story.feed.loads);
          if (story.fresh.kind === 'live') expect(verified).toBe(true);
          if (story.feed.load !== null) expect(story.feed.link).toBe('subscribed');
        }
      }),
    );
  });

  test('there is always a next step, and what is shown never claims to be younger than it is', () => {
    fc.assert(
      fc.property(anyStory, (happenings) => {
        const story = new Story();
        for (const { event, wait, random } of happenings) {
          story.after(wait).on(event, random);
          expect(nextDue(story.feed)).not.toBeNull();
          const { fresh } = story;
          if (fresh.kind === 'stale') expect(fresh.since).toBeLessThanOrEqual(story.now);
        }
      }),
    );
  });

  test('attempts are between a quarter of a second and 15 s apart', () => {
    fc.assert(
      fc.property(
        fc.nat(40),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (failures, random) => {
          const story = new Story();
          story.feed = { ...story.feed, failures };
          const wait = story.on(closed, random).feed.retryAt - story.now;
          expect(wait).toBeGreaterThanOrEqual(RETRY_MIN_MS);
          expect(wait).toBeLessThanOrEqual(RETRY_MAX_MS);
        },
      ),
    );
  });
});
