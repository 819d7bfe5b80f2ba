// What the page works with, put together once; and the one building that is watched now.
import { effect, signal } from '@preact/signals';
import { GraphqlClient } from './api/graphql';
import type { Config } from './config';
import { LiveBuilding } from './live/live';
import type { Api } from './live/watch';
import { route } from './route';
import { accessToken, session } from './session';

export interface AppState {
  readonly config: Config;
  readonly api: Api;
}

export function makeState(config: Config): AppState {
  const client = new GraphqlClient(config.graphql, accessToken);
  const host = new URL(config.graphql).host;
  return { config, api: { client, realtime: config.realtime, host, token: accessToken } };
}

export const live = signal<LiveBuilding | null>(null);

/** Watch the building of the route while somebody is signed in; a locker's page watches it too. */
export function watchBuilding(api: Api): void {
  effect(() => {
    const at = route.value;
    const signedIn = session.value.kind === 'signed-in';
    const wanted = signedIn && 'building' in at ? at.building : null;
    const current = live.peek();
    if (current?.buildingId === wanted) return;
    current?.stop();
    live.value = wanted === null ? null : new LiveBuilding(wanted, api);
  });
}
