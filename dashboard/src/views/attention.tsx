// Operators: what needs somebody, in any building.
import { useComputed } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import type { Attention } from '../api/types';
import { now } from '../clock';
import { AttentionList } from '../live/attention';
import { ATTENTIONS, type Entry } from '../live/concerns';
import { freshness } from '../live/feed';
import type { Api } from '../live/watch';
import { buildingUrl, lockerUrl } from '../route';
import type { Person } from '../session';
import { isoOf, timeOf } from '../time';
import { Age } from './age';
import { announce } from './announcer';
import { FreshnessBar } from './freshness';
import { StatusIcon } from './icons';
import { Message } from './message';
import { useTitle } from './title';
import { CONCERN, doorName } from './words';

interface AttentionPageProps {
  readonly api: Api;
  readonly person: Person;
}

export function AttentionPage({ api, person }: AttentionPageProps) {
  if (!person.operator) return <ForOperators />;
  return <List api={api} />;
}

function ForOperators() {
  return (
    <Message title="For operators">
      <p>
        The attention list covers every building. Yours shows what needs attention on its own page:{' '}
        <a href="#/buildings">your buildings</a>
      </p>
    </Message>
  );
}

function List({ api }: { readonly api: Api }) {
  const list = useMemo(() => new AttentionList(api, tell), [api]);
  useEffect(
    () => () => {
      list.stop();
    },
    [list],
  );
  useTitle('Attention');
  // The API refuses: the groups of a session may be older than those that the person has now.
  const isRefused = useComputed(
    () => freshness(list.feed.value, now.value).kind === 'refused',
  ).value;
  if (isRefused) return <ForOperators />;
  const view = list.view.value;
  const failure = list.failure.value;
  return (
    <div class="narrow">
      <div class="page-head">
        <h1>Attention</h1>
        <p class="muted">All buildings</p>
      </div>
      <FreshnessBar live={list} />
      {failure !== null && (
        <p class="problem" role="alert">
          More could not be loaded: {failure}. Try again.
        </p>
      )}
      {view !== null &&
        ATTENTIONS.map((status) => (
          <SectionPanel
            key={status}
            status={status}
            items={view.sections[status]}
            more={view.nextTokens[status] !== null}
            onMore={() => {
              void list.loadMore(status);
            }}
          />
        ))}
    </div>
  );
}

/** Those who do not see the page hear what newly stands out. */
function tell(entries: readonly Entry[]): void {
  announce(entries.slice(0, 3).map(sentence).join(' '));
}

const sentence = ({ buildingId, lockerId, doorId, attention }: Entry): string =>
  `${buildingId}, locker ${lockerId}${doorId === null ? '' : `, ${doorName(doorId)}`}: ` +
  `${attention === null ? '' : CONCERN[attention]}.`;

interface SectionPanelProps {
  readonly status: Attention;
  readonly items: readonly Entry[];
  readonly more: boolean;
  readonly onMore: () => void;
}

function SectionPanel({ status, items, more, onMore }: SectionPanelProps) {
  const heading = `attention-${status}`;
  return (
    <section class="panel" aria-labelledby={heading} data-attention={status}>
      <h2 id={heading} class="section-head">
        <span class="badge" data-status={status}>
          <StatusIcon status={status} />
        </span>
        {CONCERN[status]}
        <span class="panel-count" data-none={items.length === 0 || undefined}>
          {items.length}
          {more && '+'}
        </span>
      </h2>
      {items.length === 0 && <p class="muted panel-empty">None.</p>}
      <ul class="finding-list">
        {items.map((item) => (
          <Row key={item.key} entry={item} />
        ))}
      </ul>
      {more && (
        <button type="button" class="button" onClick={onMore}>
          Load more
        </button>
      )}
    </section>
  );
}

function Row({ entry }: { readonly entry: Entry }) {
  const { key, buildingId, lockerId, doorId, since } = entry;
  const detail = entry.detail ?? '';
  return (
    <li class="attention-row" data-entry={key}>
      <a class="attention-building" href={buildingUrl(buildingId)}>
        {buildingId}
      </a>
      <a href={lockerUrl(buildingId, lockerId, { door: doorId })}>
        {lockerId}
        {doorId !== null && `, ${doorName(doorId)}`}
      </a>
      <span class="muted">
        {detail
          .replace(/^MQTT_/, '')
          .replaceAll('_', ' ')
          .toLowerCase()}
      </span>
      <span class="finding-when">
        <time dateTime={isoOf(since)}>{timeOf(since)}</time>
        <Age since={since} />
      </span>
    </li>
  );
}
