// A live view's driver: does what the feed's plan says, with a socket, a timer and the page's
// events. What is watched (a building, the attention list) says how to load it and takes the pushes.
import { signal, type ReadonlySignal, type Signal } from '@preact/signals';
import type { Document } from '../api/document';
import { ApiError, type GraphqlClient, type TokenSource } from '../api/graphql';
import { Subscription } from '../api/realtime';
import type { Effect, Event, Feed, Step } from './feed';
import { nextDue, start, step } from './feed';

export interface Api {
  readonly client: GraphqlClient;
  readonly realtime: string;
  /** Host, with port, of the GraphQL URL. */
  readonly host: string;
  readonly token: TokenSource;
}

/** What a view shows of how fresh it is. */
export interface Live {
  readonly feed: ReadonlySignal<Feed>;
  /** When the newest change of what is watched was received, epoch ms; null if none is known. */
  readonly lastEventAt: ReadonlySignal<number | null>;
  /** Somebody is looking, or asks for it: do not wait for the next attempt. */
  retry(): void;
}

interface Source<Data, Variables> {
  readonly document: Document<Data, Variables>;
  readonly variables: Variables;
  push(data: Data): void;
  /** Load the snapshot and take it. Throws ApiError; the reason of `givenUp` if that is aborted. */
  load(givenUp: AbortSignal): Promise<void>;
}

export class Watch<Data, Variables> {
  readonly feed: ReadonlySignal<Feed>;
  readonly #feed: Signal<Feed>;
  readonly #stopped = new AbortController();
  #subscription: Subscription<Data, Variables> | null = null;
  /** Aborted when a connection, or the attempt to make one, is given up. */
  #connection = new AbortController();
  #timer: number | undefined;

  constructor(
    private readonly api: Api,
    private readonly source: Source<Data, Variables>,
  ) {
    const { feed, effects } = start(Date.now());
    this.#feed = signal(feed);
    this.feed = this.#feed;
    this.#listenToPage();
    this.#perform({ feed, effects });
  }

  retry(): void {
    this.#on({ type: 'attended' });
  }

  /** End for good. */
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
        this.source.document,
        this.source.variables,
        {
          acked: () => {
            this.#on({ type: 'acked' });
          },
          heard: () => {
            this.#on({ type: 'frame' });
          },
          data: (data) => {
            this.source.push(data);
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
      await this.source.load(givenUp);
      givenUp.throwIfAborted();
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

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
