// What the page must know of its deployment: `/config.json`, written by whoever serves it.

export interface Config {
  readonly region: string;
  readonly userPoolId: string;
  readonly userPoolClientId: string;
  /** Where Cognito is, for an emulator; null on AWS. */
  readonly userPoolEndpoint: string | null;
  readonly graphql: string;
  readonly realtime: string;
  readonly stage: string;
}

export class ConfigError extends Error {}

/** Load and check it. Throws ConfigError, with a message for whoever deployed the page. */
export async function loadConfig(url = 'config.json'): Promise<Config> {
  const answer = await fetch(url, { cache: 'no-cache' }).catch((error: unknown) => {
    throw new ConfigError(`${url} cannot be fetched (${String(error)}).`);
  });
  if (!answer.ok) throw new ConfigError(`${url} cannot be fetched (HTTP ${answer.status}).`);
  const fields: unknown = await answer.json().catch(() => {
    throw new ConfigError(`${url} is not JSON.`);
  });
  return readConfig(fields);
}

/** Throws ConfigError naming the field. */
export function readConfig(fields: unknown): Config {
  if (typeof fields !== 'object' || fields === null) {
    throw new ConfigError('config.json is not a JSON object.');
  }
  const known = fields as Record<string, unknown>;
  const text = (name: string): string => {
    const value = known[name];
    if (typeof value === 'string' && value !== '') return value;
    throw new ConfigError(`config.json: "${name}" is not a text, but ${JSON.stringify(value)}.`);
  };
  const url = (name: string, schemes: readonly string[]): string => {
    const value = text(name);
    if (URL.canParse(value) && schemes.includes(new URL(value).protocol)) return value;
    throw new ConfigError(
      `config.json: "${name}" is ${JSON.stringify(value)}, not a ${schemes.join(' or ')} URL.`,
    );
  };
  const optional = (name: string, schemes: readonly string[]): string | null =>
    known[name] === null || known[name] === undefined ? null : url(name, schemes);

  const graphql = url('graphql', ['https:', 'http:']);
  return {
    region: text('region'),
    userPoolId: text('userPoolId'),
    userPoolClientId: text('userPoolClientId'),
    userPoolEndpoint: optional('userPoolEndpoint', ['https:', 'http:']),
    graphql,
    realtime: optional('realtime', ['wss:', 'ws:']) ?? realtimeUrl(graphql),
    stage: text('stage'),
  };
}

/** AWS: an API's own host has a twin for real time; a custom domain has a path for it. */
export function realtimeUrl(graphql: string): string {
  const url = new URL(graphql);
  url.protocol = url.protocol === 'http:' ? 'ws:' : 'wss:';
  if (/\.appsync-api\.[^.]+\.amazonaws\.com(\.cn)?$/.test(url.hostname)) {
    url.hostname = url.hostname.replace('.appsync-api.', '.appsync-realtime-api.');
  } else {
    url.pathname = `${url.pathname.replace(/\/$/, '')}/realtime`;
  }
  return url.href;
}
