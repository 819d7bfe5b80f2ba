// A building, live: does what the feed's plan says, with a socket, a timer and the page's events.
import { signal, type ReadonlySignal, type Signal } from '@preact/signals';
import { BUILDING, ON_TILES } from '../api/document';
import { ApiError, type GraphqlClient, type TokenSource } from '../api/graphql';
import { Subscription } from '../api/realtime';
import type {
  BuildingQuery,
  OnTilesSubscription,
  OnTilesSubscriptionVariables,
} from '../api/types';
import { Board } from './board';
import type { Effect, Event, Feed, Step } from './feed';
import { nextDue, start, step } from './feed';

export interface Api {
  readonly client: GraphqlClient;
  readonly realtime: string;
  /** Host, with port, of the GraphQL URL. */
  readonly host: string;
  readonly token: TokenSource;
}

export class LiveBuilding {
  readonly board = new Board();
  readonly feed: ReadonlySignal<Feed>;
  readonly #feed: Signal<Feed>;
  readonly #stopped = new AbortController();
  #subscription: Subscription<OnTilesSubscription, OnTilesSubscriptionVariables> | null = null;
  /** Aborted when a connection, or the attempt to make one, is given up. */
  #connection = new AbortController();
  #timer: number | undefined;

  constructor(
    readonly buildingId: string,
    private readonly api: Api,
  ) {
    const { feed, effects } = start(Date.now());
    this.#feed = signal(feed);
    this.feed = this.#feed;
    this.#listenToPage();
    this.#perform({ feed, effects });
  }

  /** Somebody is looking, or asks for it: do not wait for the next attempt. */
  retry(): void {
    this.#on({ type: 'attended' });
  }

  /** End for good; the board keeps what it shows. */
  stop(): void {
    this.#stopped.abort();
    this.#disconnect();
    window.clearTimeout(this.#timer);
  }

  #on(event: Event): void {
    if (this.#stopped.signal.aborted) return;
    this.#perform(step(this.#feed.peek(), event, Date.now(), Math.random()));
  }

  #perform({ feed, effects }: Step): void {
    this.#feed.value = feed;
    for (const effect of effects) this.#do(effect);
    window.clearTimeout(this.#timer);
    const due = nextDue(this.#feed.peek());
    if (due === null) return;
    this.#timer = window.setTimeout(
      () => {
        this.#on({ type: 'tick' });
      },
      Math.max(0, due - Date.now()),
    );
  }

  #do(effect: Effect): void {
    switch (effect.type) {
      case 'connect':
        this.#disconnect();
        void this.#connect();
        break;
      case 'disconnect':
        this.#disconnect();
        break;
      case 'load':
        void this.#load(effect.id);
        break;
    }
  }

  #disconnect(): void {
    this.#connection.abort();
    this.#connection = new AbortController();
    this.#subscription?.close();
    this.#subscription = null;
  }

  async #connect(): Promise<void> {
    const { signal: givenUp } = this.#connection;
    try {
      const token = await this.api.token();
      if (givenUp.aborted) return;
      this.#subscription = new Subscription(
        this.api.realtime,
        this.api.host,
        token,
        ON_TILES,
        { buildingId: this.buildingId },
        {
          acked: () => {
            this.#on({ type: 'acked' });
          },
          heard: () => {
            this.#on({ type: 'frame' });
          },
          data: ({ onTiles }) => {
            if (onTiles !== null) this.board.take(onTiles);
          },
          closed: (reason) => {
            this.#on({ type: 'closed', reason });
          },
          refused: (reason) => {
            this.#on({ type: 'refused', reason });
          },
        },
      );
    } catch (error) {
      if (!givenUp.aborted) this.#on({ type: 'closed', reason: messageOf(error) });
    }
  }

  async #load(id: number): Promise<void> {
    const { signal: givenUp } = this.#connection;
    try {
      let nextToken: string | null = null;
      do {
        const { building }: BuildingQuery = await this.api.client.query(
          BUILDING,
          { buildingId: this.buildingId, nextToken },
          givenUp,
        );
        givenUp.throwIfAborted();
        this.board.take(building);
        nextToken = building.nextToken;
      } while (nextToken !== null);
      this.#on({ type: 'loaded', id });
    } catch (error) {
      if (givenUp.aborted) return;
      const reason = messageOf(error);
      if (error instanceof ApiError && error.failure === 'refused') {
        this.#on({ type: 'refused', reason });
      } else {
        this.#on({ type: 'load-failed', id, reason });
      }
    }
  }

  #listenToPage(): void {
    const options = { signal: this.#stopped.signal };
    const attended = (): void => {
      if (document.visibilityState === 'visible') this.#on({ type: 'attended' });
    };
    document.addEventListener('visibilitychange', attended, options);
    window.addEventListener('focus', attended, options);
    window.addEventListener('online', attended, options);
    window.addEventListener(
      'offline',
      () => {
        this.#on({ type: 'network-lost' });
      },
      options,
    );
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
