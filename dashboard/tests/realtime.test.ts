import { expect, test } from 'vitest';
import { Subscription } from '../src/api/realtime';

/** The server's end of a WebSocket, as the browser would show it. */
class FakeSocket extends EventTarget {
  readonly sent: unknown[] = [];
  open = true;

  constructor(
    readonly url: string,
    readonly protocols: readonly string[],
  ) {
    super();
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(): void {
    this.open = false;
  }

  receive(frame: unknown): void {
    this.dispatchEvent(new MessageEvent('message', { data: JSON.stringify(frame) }));
  }
}

function subscribe() {
  const told: unknown[] = [];
  const sockets: FakeSocket[] = [];
  const subscription = new Subscription(
    'wss://api/graphql/realtime',
    'api',
    'token',
    { text: 'subscription' },
    { buildingId: 'maple-court' },
    {
      acked: () => told.push('acked'),
      heard: () => undefined,
      data: (data) => told.push(data),
      closed: (reason) => told.push(`closed: ${reason}`),
      refused: (reason) => told.push(`refused: ${reason}`),
    },
    (url, protocols) => {
      const made = new FakeSocket(url, protocols);
      sockets.push(made);
      return made as unknown as WebSocket;
    },
  );
  const [socket] = sockets;
  if (socket === undefined) throw new Error('no socket was opened');
  return { subscription, socket, told };
}

function started() {
  const all = subscribe();
  all.socket.dispatchEvent(new Event('open'));
  all.socket.receive({ type: 'connection_ack', payload: { connectionTimeoutMs: 300_000 } });
  all.socket.receive({ type: 'start_ack', id: '1' });
  return all;
}

test('credentials travel in the subprotocol, base64url without padding', () => {
  const [name, credentials = ''] = subscribe().socket.protocols;
  expect(name).toBe('graphql-ws');
  expect(credentials).toMatch(/^header-[\w-]+$/);
  const text = atob(credentials.replace('header-', '').replaceAll('-', '+').replaceAll('_', '/'));
  expect(JSON.parse(text)).toEqual({ Authorization: 'token', host: 'api' });
});

test('starts after connection_ack, and tells of start_ack and of pushes', () => {
  const { socket, told } = started();
  expect(socket.sent).toEqual([
    { type: 'connection_init' },
    {
      id: '1',
      type: 'start',
      payload: {
        data: '{"query":"subscription","variables":{"buildingId":"maple-court"}}',
        extensions: { authorization: { Authorization: 'token', host: 'api' } },
      },
    },
  ]);
  socket.receive({ type: 'ka' });
  socket.receive({ type: 'data', id: '1', payload: { data: { onTiles: null } } });
  expect(told).toEqual(['acked', { onTiles: null }]);
});

test('a refusal is told apart from a connection that was lost', () => {
  const refused = subscribe();
  const errors = [{ errorType: 'Unauthorized', message: 'Not Authorized to access onTiles' }];
  refused.socket.receive({ type: 'error', id: '1', payload: { errors } });
  expect(refused.told).toEqual(['refused: Not Authorized to access onTiles']);
  expect(refused.socket.open).toBe(false);
  const expired = subscribe();
  const token = [{ errorType: 'UnauthorizedException', message: 'Token has expired.' }];
  expired.socket.receive({ type: 'connection_error', payload: { errors: token } });
  expect(expired.told).toEqual(['closed: Token has expired.']);
});

test('the end is told once, and nothing after it', () => {
  const { socket, told } = started();
  socket.receive({ type: 'complete', id: '1' });
  socket.receive({ type: 'data', id: '1', payload: { data: { onTiles: null } } });
  socket.dispatchEvent(Object.assign(new Event('close'), { code: 1006, reason: '' }));
  expect(told).toEqual(['acked', 'closed: the service ended the subscription']);
});

test('whoever closes it hears no more', () => {
  const { socket, subscription, told } = started();
  subscription.close();
  socket.dispatchEvent(Object.assign(new Event('close'), { code: 1000, reason: '' }));
  expect(told).toEqual(['acked']);
});

test('a push with errors ends the connection: its content is unknown', () => {
  const { socket, told } = started();
  const payload = { data: null, errors: [{ message: 'Cannot return null' }] };
  socket.receive({ type: 'data', id: '1', payload });
  expect(told).toEqual(['acked', 'closed: Cannot return null']);
});
