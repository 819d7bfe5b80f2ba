import { describe, expect, test } from 'vitest';
import { ConfigError, readConfig, realtimeUrl } from '../src/config';
import { buildingUrl, lockerUrl, parseRoute } from '../src/route';
import { personOf } from '../src/session';
import { ageOf } from '../src/time';

describe('config.json', () => {
  const good = {
    region: 'eu-central-1',
    userPoolId: 'eu-central-1_abc',
    userPoolClientId: 'client',
    userPoolEndpoint: null,
    graphql: 'https://x.appsync-api.eu-central-1.amazonaws.com/graphql',
    realtime: null,
    stage: 'prod',
  };

  test('derives the real-time URL as AppSync does', () => {
    expect(readConfig(good).realtime).toBe(
      'wss://x.appsync-realtime-api.eu-central-1.amazonaws.com/graphql',
    );
    expect(realtimeUrl('https://api.example.com/graphql')).toBe(
      'wss://api.example.com/graphql/realtime',
    );
    expect(readConfig({ ...good, realtime: 'ws://127.0.0.1:1/x' }).realtime).toBe(
      'ws://127.0.0.1:1/x',
    );
  });

  test.each([
    ['userPoolId', ''],
    ['region', undefined],
    ['graphql', 'ftp://x'],
    ['graphql', 'nonsense'],
    ['realtime', 'https://x'],
  ])('names the field %s that is wrong: %j', (field, value) => {
    const read = () => readConfig({ ...good, [field]: value });
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(`"${field}"`);
  });

  test('must be an object', () => {
    expect(() => readConfig(null)).toThrow('config.json is not a JSON object.');
  });
});

describe('a route', () => {
  test.each([
    ['', { page: 'home' }],
    ['#/', { page: 'home' }],
    ['#/buildings', { page: 'buildings' }],
    ['#/attention', { page: 'attention' }],
    ['#/buildings/maple-court', { page: 'building', building: 'maple-court' }],
    ['#/buildings/a/lockers', { page: 'unknown' }],
    ['#/buildings/a/lockers/b/c', { page: 'unknown' }],
    ['#/buildings/%', { page: 'building', building: '%' }],
    ['#/nonsense', { page: 'unknown' }],
  ])('%s', (hash, route) => {
    expect(parseRoute(hash)).toEqual(route);
  });

  test('leads back to where its URL came from, whatever the names', () => {
    expect(parseRoute(buildingUrl('a/b?c#d'))).toEqual({ page: 'building', building: 'a/b?c#d' });
    expect(parseRoute(lockerUrl('a', 'l/1', { door: 'd&1', kind: 'opened' }))).toEqual({
      page: 'locker',
      building: 'a',
      locker: 'l/1',
      door: 'd&1',
      kind: 'opened',
    });
  });
});

test.each([
  [undefined, false, []],
  [['operators'], true, []],
  [['building:b', 'others', 'building:a'], false, ['a', 'b']],
])('groups %j say what is offered', (groups, operator, buildings) => {
  expect(personOf('mia', groups)).toEqual({ name: 'mia', operator, buildings });
});

test.each([
  [-5, '0 s'],
  [59_999, '59 s'],
  [60_000, '1 min'],
  [7_500_000, '2 h 5 min'],
  [7_200_000, '2 h'],
  [97_200_000, '1 d 3 h'],
])('an age of %d ms is %s', (ms, text) => {
  expect(ageOf(ms)).toBe(text);
});
