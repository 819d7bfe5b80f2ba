// GraphQL over HTTP, as AppSync answers it: a refusal may come as a status or inside an HTTP 200.
import type { Document } from './document';

export type Failure = 'network' | 'refused' | 'session' | 'server';

/** Why a request has no answer. `refused`: this person may not; `session`: sign in again. */
export class ApiError extends Error {
  readonly failure: Failure;

  constructor(failure: Failure, message: string) {
    super(message);
    this.failure = failure;
  }
}

/** Return a token that is valid now. Throws ApiError `session` if there is none any more. */
export type TokenSource = () => Promise<string>;

export interface GraphqlError {
  readonly message?: string;
  readonly errorType?: string;
}

export function isRefusal(errors: readonly GraphqlError[]): boolean {
  return errors.some((error) => error.errorType === 'Unauthorized');
}

export function describe(errors: readonly GraphqlError[]): string {
  return errors.map((error) => error.message ?? error.errorType ?? 'unknown error').join('; ');
}

export class GraphqlClient {
  readonly #url: string;
  readonly #token: TokenSource;

  constructor(url: string, token: TokenSource) {
    this.#url = url;
    this.#token = token;
  }

  /** Throws ApiError; an aborted request throws the signal's reason. */
  async query<Data, Variables>(
    document: Document<Data, Variables>,
    variables: Variables,
    signal: AbortSignal,
  ): Promise<Data> {
    const token = await this.#token();
    const answer = await fetch(this.#url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: token },
      body: JSON.stringify({ query: document.text, variables }),
      signal,
    }).catch((error: unknown) => {
      signal.throwIfAborted();
      throw new ApiError('network', `the API cannot be reached (${String(error)})`);
    });
    const body = (await answer.json().catch(() => null)) as {
      data?: Data | null;
      errors?: readonly GraphqlError[];
    } | null;
    const errors = body?.errors ?? [];
    if (answer.status === 401) throw new ApiError('session', describe(errors));
    if (isRefusal(errors)) throw new ApiError('refused', describe(errors));
    if (errors.length > 0) throw new ApiError('server', describe(errors));
    if (!answer.ok || body?.data === undefined || body.data === null) {
      throw new ApiError('server', `the API answered HTTP ${answer.status} without data`);
    }
    return body.data;
  }
}
