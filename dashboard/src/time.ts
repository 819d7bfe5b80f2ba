// Times and ages for people. Everything here takes epoch milliseconds.

const TIME = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const SECONDS = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
});
const DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY_MS = 24 * HOUR;

/** `14:05`, or `3 Nov 14:05` if it was not today. */
export function timeOf(at: number, now: number = Date.now()): string {
  return `${dayBefore(at, now)}${TIME.format(at)}`;
}

/** As `timeOf`, with seconds. */
export function exactTimeOf(at: number, now: number = Date.now()): string {
  return `${dayBefore(at, now)}${SECONDS.format(at)}`;
}

export function isoOf(at: number): string {
  return new Date(at).toISOString();
}

/** `3 s`, `12 min`, `2 h 5 min`, `4 d 3 h`; a negative age, by clocks that disagree, is `0 s`. */
export function ageOf(ms: number): string {
  const age = Math.max(0, ms);
  if (age < MINUTE) return `${Math.floor(age / 1000)} s`;
  if (age < HOUR) return `${Math.floor(age / MINUTE)} min`;
  if (age < DAY_MS)
    return pair(Math.floor(age / HOUR), 'h', Math.floor((age % HOUR) / MINUTE), 'min');
  return pair(Math.floor(age / DAY_MS), 'd', Math.floor((age % DAY_MS) / HOUR), 'h');
}

function pair(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}

function dayBefore(at: number, now: number): string {
  return DAY.format(at) === DAY.format(now) ? '' : `${DAY.format(at)} `;
}
