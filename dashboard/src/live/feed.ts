// The plan of a live view as a state machine: when to connect, when to load the snapshot, and
// whether what is shown may be stale. No clock, no socket, no timer: `step` is told the time and
// returns what to do; the driver (live.ts) does it and comes back at `nextDue`.
//
// A snapshot counts only if it was asked for after `start_ack`: a change between a snapshot and a
// later subscription would never be told. AppSync may lose a push even after `start_ack`
// (aws-appsync-community#405), so the snapshot comes again: shortly after, when somebody looks at
// the page, and every five minutes. Nothing else is ever polled.

/** AppSync sends `ka` every 60 s; after one and a half the connection counts as dead. */
export const SILENCE_MS = 90_000;
export const CONNECT_TIMEOUT_MS = 15_000;
export const LOAD_TIMEOUT_MS = 30_000;
export const SECOND_SNAPSHOT_MS = 5_000;
export const SNAPSHOT_EVERY_MS = 300_000;
/** A snapshot that failed while pushes arrive is tried again this often. */
export const SNAPSHOT_RETRY_MS = 10_000;
/** Without a good snapshot for so long, pushes alone are not trusted. */
export const UNVERIFIED_MS = SNAPSHOT_EVERY_MS + 60_000;
export const RETRY_MIN_MS = 250;
export const RETRY_MAX_MS = 15_000;

export type Link = 'connecting' | 'subscribed' | 'waiting' | 'refused';

export interface Feed {
  readonly link: Link;
  /** Since when the link is as it is. */
  readonly linkSince: number;
  /** When the last frame, a keep-alive too, arrived on this connection. */
  readonly heardAt: number;
  readonly failures: number;
  readonly retryAt: number;
  /** The number of the snapshot being loaded, and since when; null if none is. */
  readonly load: { readonly id: number; readonly since: number } | null;
  readonly loads: number;
  readonly snapshotDue: number | null;
  /** When the last snapshot of this connection was complete; null before the first. */
  readonly verifiedAt: number | null;
  /** The last moment at which the view was known to be true; null before the first snapshot. */
  readonly trueAt: number | null;
  readonly failure: string | null;
}

export type Event =
  | { readonly type: 'acked' }
  | { readonly type: 'frame' }
  | { readonly type: 'closed'; readonly reason: string }
  | { readonly type: 'refused'; readonly reason: string }
  | { readonly type: 'loaded'; readonly id: number }
  | { readonly type: 'load-failed'; readonly id: number; readonly reason: string }
  /** The page came to the front, or the network is back. */
  | { readonly type: 'attended' }
  | { readonly type: 'network-lost' }
  | { readonly type: 'tick' };

export type Effect =
  | { readonly type: 'connect' }
  | { readonly type: 'disconnect' }
  | { readonly type: 'load'; readonly id: number };

export interface Step {
  readonly feed: Feed;
  readonly effects: readonly Effect[];
}

export function start(now: number): Step {
  const feed: Feed = {
    link: 'connecting',
    linkSince: now,
    heardAt: now,
    failures: 0,
    retryAt: 0,
    load: null,
    loads: 0,
    snapshotDue: null,
    verifiedAt: null,
    trueAt: null,
    failure: null,
  };
  return { feed, effects: [{ type: 'connect' }] };
}

/** `random` is uniform in [0, 1), for the jitter of the next attempt. */
export function step(feed: Feed, event: Event, now: number, random: number): Step {
  switch (event.type) {
    case 'acked':
      if (feed.link !== 'connecting') return unchanged(feed);
      return load({ ...feed, link: 'subscribed', linkSince: now, heardAt: now }, now);
    case 'frame':
      return unchanged({ ...feed, heardAt: now });
    case 'closed':
      if (feed.link !== 'connecting' && feed.link !== 'subscribed') return unchanged(feed);
      return lost(feed, event.reason, now, random);
    case 'refused':
      return {
        feed: { ...down(feed, 'refused', now), failure: event.reason },
        effects: [{ type: 'disconnect' }],
      };
    case 'loaded':
      return event.id === feed.load?.id ? unchanged(loaded(feed, now)) : unchanged(feed);
    case 'load-failed':
      if (event.id !== feed.load?.id) return unchanged(feed);
      return unchanged(loadFailed(feed, event.reason, now));
    case 'attended':
      return attended(feed, now, random);
    case 'network-lost':
      if (feed.link !== 'connecting' && feed.link !== 'subscribed') return unchanged(feed);
      return lost(feed, 'this device is offline', now, random);
    case 'tick':
      return tick(feed, now, random);
  }
}

/** When `step` wants a `tick` at the latest, epoch ms; null if never. */
export function nextDue(feed: Feed): number | null {
  if (feed.link === 'refused') return null;
  if (feed.link === 'waiting') return feed.retryAt;
  if (feed.link === 'connecting') return feed.linkSince + CONNECT_TIMEOUT_MS;
  return Math.min(
    feed.heardAt + SILENCE_MS,
    feed.snapshotDue ?? Infinity,
    feed.load === null ? Infinity : feed.load.since + LOAD_TIMEOUT_MS,
  );
}

export type Freshness =
  | { readonly kind: 'loading'; readonly failure: string | null }
  | { readonly kind: 'live' }
  | {
      readonly kind: 'stale';
      /** The last moment at which the view was known to be true, epoch ms. */
      readonly since: number;
      readonly doing: 'waiting' | 'connecting' | 'catching-up' | 'unverified';
      readonly retryAt: number | null;
      readonly failure: string | null;
    }
  | { readonly kind: 'refused'; readonly reason: string };

export function freshness(feed: Feed, now: number): Freshness {
  if (feed.link === 'refused') return { kind: 'refused', reason: feed.failure ?? '' };
  if (feed.trueAt === null) return { kind: 'loading', failure: feed.failure };
  if (isTrue(feed, now)) return { kind: 'live' };
  const retryAt = feed.link === 'waiting' ? feed.retryAt : null;
  return {
    kind: 'stale',
    since: trueUntil(feed),
    doing: doing(feed),
    retryAt,
    failure: feed.failure,
  };
}

function doing(feed: Feed): 'waiting' | 'connecting' | 'catching-up' | 'unverified' {
  if (feed.link === 'waiting') return 'waiting';
  if (feed.link === 'connecting') return 'connecting';
  return feed.verifiedAt === null ? 'catching-up' : 'unverified';
}

function isTrue(feed: Feed, now: number): boolean {
  return (
    feed.link === 'subscribed' &&
    feed.verifiedAt !== null &&
    now - feed.verifiedAt < UNVERIFIED_MS &&
    now - feed.heardAt < SILENCE_MS
  );
}

/** What came last proves that the connection lived: until then, not longer, the view was true. */
function trueUntil(feed: Feed): number {
  if (feed.link !== 'subscribed' || feed.verifiedAt === null) return feed.trueAt ?? 0;
  return Math.max(feed.trueAt ?? 0, Math.min(feed.heardAt, feed.verifiedAt + UNVERIFIED_MS));
}

function tick(feed: Feed, now: number, random: number): Step {
  switch (feed.link) {
    case 'refused':
      return unchanged(feed);
    case 'waiting':
      return now >= feed.retryAt ? connect(feed, now) : unchanged(feed);
    case 'connecting':
      if (now < feed.linkSince + CONNECT_TIMEOUT_MS) return unchanged(feed);
      return lost(feed, 'no answer while connecting', now, random);
    case 'subscribed':
      if (now - feed.heardAt >= SILENCE_MS) {
        return lost(feed, 'the connection went silent', now, random);
      }
      if (feed.load !== null && now - feed.load.since >= LOAD_TIMEOUT_MS) {
        return unchanged(loadFailed(feed, 'no answer while loading', now));
      }
      return now >= (feed.snapshotDue ?? Infinity) ? load(feed, now) : unchanged(feed);
  }
}

/** A machine that slept finds its connection dead: do not wait for a timer to notice. */
function attended(feed: Feed, now: number, random: number): Step {
  if (feed.link === 'waiting') return connect(feed, now);
  if (feed.link !== 'subscribed' || now - feed.heardAt >= SILENCE_MS) {
    return tick(feed, now, random);
  }
  const justLoaded = feed.verifiedAt !== null && now - feed.verifiedAt < SECOND_SNAPSHOT_MS;
  return feed.load !== null || justLoaded ? tick(feed, now, random) : load(feed, now);
}

function connect(feed: Feed, now: number): Step {
  return {
    feed: { ...feed, link: 'connecting', linkSince: now, heardAt: now },
    effects: [{ type: 'connect' }],
  };
}

function load(feed: Feed, now: number): Step {
  const id = feed.loads + 1;
  return {
    feed: { ...feed, load: { id, since: now }, loads: id, snapshotDue: null },
    effects: [{ type: 'load', id }],
  };
}

function loaded(feed: Feed, now: number): Feed {
  const first = feed.verifiedAt === null;
  return {
    ...feed,
    load: null,
    failures: 0,
    failure: null,
    verifiedAt: now,
    trueAt: now,
    snapshotDue: now + (first ? SECOND_SNAPSHOT_MS : SNAPSHOT_EVERY_MS),
  };
}

function loadFailed(feed: Feed, reason: string, now: number): Feed {
  const wait = feed.verifiedAt === null ? SECOND_SNAPSHOT_MS : SNAPSHOT_RETRY_MS;
  return { ...feed, load: null, failure: reason, snapshotDue: now + wait };
}

function lost(feed: Feed, reason: string, now: number, random: number): Step {
  const failures = feed.failures + 1;
  const ceiling = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** failures);
  const wait = RETRY_MIN_MS + random * (ceiling - RETRY_MIN_MS);
  return {
    feed: { ...down(feed, 'waiting', now), failures, failure: reason, retryAt: now + wait },
    effects: [{ type: 'disconnect' }],
  };
}

function down(feed: Feed, link: 'waiting' | 'refused', now: number): Feed {
  const trueAt = feed.trueAt === null ? null : trueUntil(feed);
  return { ...feed, link, linkSince: now, load: null, snapshotDue: null, verifiedAt: null, trueAt };
}

function unchanged(feed: Feed): Step {
  return { feed, effects: [] };
}
