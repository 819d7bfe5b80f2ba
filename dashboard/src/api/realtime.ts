// One AppSync subscription over one WebSocket. aws-amplify's own client hides what an honest view
// needs: when `start_ack` came, when the last frame came, and the moment the connection is lost (it
// reconnects by itself after 5 s, then every 60 s). Hence the protocol here, in a page of code.
//
// Source: AppSync developer guide, "Building a real-time WebSocket client".
import type { Document } from './document';
import type { GraphqlError } from './graphql';
import { describe, isRefusal } from './graphql';

export interface Listener<Data> {
  /** `start_ack`: every change from here on is pushed. */
  acked(): void;
  /** Any frame arrived, a keep-alive too. */
  heard(): void;
  data(data: Data): void;
  /** The connection is gone, and nothing follows. */
  closed(reason: string): void;
  /** This person may not subscribe to this; nothing follows. */
  refused(reason: string): void;
}

interface Frame {
  readonly type: string;
  readonly payload?: { readonly data?: unknown; readonly errors?: readonly GraphqlError[] };
}

const SUBSCRIPTION_ID = '1';

export class Subscription<Data, Variables> {
  readonly #socket: WebSocket;
  readonly #listener: Listener<Data>;
  readonly #start: string;
  #done = false;

  /** `host` is the host of the API's HTTP URL, which AppSync wants in the credentials. */
  constructor(
    url: string,
    host: string,
    token: string,
    document: Document<Data, Variables>,
    variables: Variables,
    listener: Listener<Data>,
    open = (url: string, protocols: string[]) => new WebSocket(url, protocols),
  ) {
    const authorization = { Authorization: token, host };
    this.#listener = listener;
    this.#start = JSON.stringify({
      id: SUBSCRIPTION_ID,
      type: 'start',
      payload: {
        data: JSON.stringify({ query: document.text, variables }),
        extensions: { authorization },
      },
    });
    this.#socket = open(url, ['graphql-ws', `header-${base64url(authorization)}`]);
    this.#socket.addEventListener('open', () => {
      this.#socket.send('{"type":"connection_init"}');
    });
    this.#socket.addEventListener('message', (message) => {
      if (!this.#done) this.#take(JSON.parse(String(message.data)) as Frame);
    });
    this.#socket.addEventListener('close', (event) => {
      this.#end(() => {
        listener.closed(event.reason || `the connection was closed (${event.code})`);
      });
    });
  }

  /** Close without a word to the listener. */
  close(): void {
    this.#done = true;
    this.#socket.close();
  }

  #take(frame: Frame): void {
    this.#listener.heard();
    const errors = frame.payload?.errors ?? [];
    switch (frame.type) {
      case 'connection_ack':
        this.#socket.send(this.#start);
        break;
      case 'start_ack':
        this.#listener.acked();
        break;
      case 'data':
        this.#data(frame.payload?.data, errors);
        break;
      case 'error':
      case 'connection_error':
        this.#end(() => {
          if (isRefusal(errors)) this.#listener.refused(describe(errors));
          else this.#listener.closed(describe(errors));
        });
        break;
      case 'complete':
        this.#end(() => {
          this.#listener.closed('the service ended the subscription');
        });
        break;
      default: // `ka`
    }
  }

  /** A push with errors is a push we cannot show: connect anew and load the snapshot. */
  #data(data: unknown, errors: readonly GraphqlError[]): void {
    if (errors.length > 0) {
      this.#end(() => {
        this.#listener.closed(describe(errors));
      });
    } else {
      this.#listener.data(data as Data);
    }
  }

  #end(tell: () => void): void {
    if (this.#done) return;
    this.close();
    tell();
  }
}

function base64url(value: unknown): string {
  return btoa(JSON.stringify(value)).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}
