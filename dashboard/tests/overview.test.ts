import { expect, test } from 'vitest';
import { findings, overview } from '../src/live/overview';
import { Picture } from '../src/live/picture';
import { locker, NOW, tile } from './samples';

const MINUTE = 60_000;

function building(): Picture {
  const picture = new Picture();
  picture.take({
    tiles: [
      tile({ doorId: 'd01', status: 'open', kind: 'opened', receivedAt: NOW - 7 * MINUTE }),
      tile({ doorId: 'd02', status: 'open', kind: 'opened', receivedAt: NOW - MINUTE }),
      tile({ doorId: 'd03', status: 'fault', kind: 'faulted', fault: 'jammed' }),
      tile({ doorId: 'd04', status: 'forced', kind: 'forced' }),
      tile({ lockerId: 'l02', status: 'forced', kind: 'forced', receivedAt: NOW - MINUTE }),
      tile({ lockerId: 'l03', status: 'occupied' }),
    ],
    lockers: [
      locker({
        lockerId: 'l02',
        connected: false,
        since: NOW - 1000,
        reason: 'MQTT_KEEP_ALIVE_TIMEOUT',
      }),
    ],
  });
  return picture;
}

test('counts doors as they are shown: those of an offline locker are offline', () => {
  expect(overview(building())).toEqual({
    lockers: 3,
    doors: 6,
    counts: { vacant: 0, occupied: 1, open: 2, forced: 1, fault: 1, offline: 1 },
    lastEventAt: NOW,
  });
  expect(overview(new Picture()).lastEventAt).toBeNull();
});

test('lists what stands out, the most urgent first; an offline locker once, not door by door', () => {
  const list = findings(building(), NOW, 5 * MINUTE);
  expect(list.map(({ concern, lockerId, doorId }) => [concern, lockerId, doorId])).toEqual([
    ['forced', 'l01', 'd04'],
    ['fault', 'l01', 'd03'],
    ['left-open', 'l01', 'd01'],
    ['offline', 'l02', null],
  ]);
  expect(list[1]?.detail).toBe('jammed');
  expect(list[3]).toMatchObject({ since: NOW - 1000, detail: 'MQTT_KEEP_ALIVE_TIMEOUT' });
});

test('a door is left open from the very minute', () => {
  const leftOpen = (now: number) =>
    findings(building(), now, 5 * MINUTE).filter((each) => each.concern === 'left-open').length;
  expect(leftOpen(NOW + 4 * MINUTE - 1)).toBe(1);
  expect(leftOpen(NOW + 4 * MINUTE)).toBe(2);
});
