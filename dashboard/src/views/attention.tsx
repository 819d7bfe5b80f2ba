// Operators: what needs somebody, in any building.
import { useEffect, useMemo } from 'preact/hooks';
import type { GraphqlClient } from '../api/graphql';
import type { Attention } from '../api/types';
import { ATTENTIONS, AttentionList, type AttentionItem, type Section } from '../live/attention';
import { buildingUrl, lockerUrl } from '../route';
import type { Person } from '../session';
import { exactTimeOf, isoOf, timeOf } from '../time';
import { Age } from './age';
import { StatusIcon } from './icons';
import { Message } from './message';
import { useTitle } from './title';
import { CONCERN, doorName } from './words';

interface AttentionPageProps {
  readonly client: GraphqlClient;
  readonly person: Person;
}

export function AttentionPage({ client, person }: AttentionPageProps) {
  if (!person.operator) {
    return (
      <Message title="For operators">
        <p>
          The attention list covers every building. Yours shows what needs attention on its own
          page: <a href="#/buildings">your buildings</a>
        </p>
      </Message>
    );
  }
  return <List client={client} />;
}

function List({ client }: { readonly client: GraphqlClient }) {
  const list = useMemo(() => new AttentionList(client), [client]);
  useEffect(
    () => () => {
      list.stop();
    },
    [list],
  );
  useTitle('Attention');
  const view = list.view.value;
  const failure = list.failure.value;
  return (
    <div class="narrow">
      <div class="page-head">
        <h1>Attention</h1>
        <p class="muted">All buildings</p>
      </div>
      <div class="freshness" data-state={failure === null ? 'list' : 'stale'}>
        <p class="freshness-line" role="status">
          {failure === null ? '' : `The list could not be loaded: ${failure}.`}
        </p>
        <p class="freshness-line">
          {view === null ? (
            failure === null && 'Loading…'
          ) : (
            <span>
              As of {exactTimeOf(view.at)} (<Age since={view.at} /> ago)
            </span>
          )}
        </p>
        <button
          type="button"
          class="button"
          aria-disabled={list.loading.value}
          onClick={() => {
            void list.refresh();
          }}
        >
          Refresh
        </button>
      </div>
      {view !== null &&
        ATTENTIONS.map((status) => (
          <SectionPanel
            key={status}
            status={status}
            section={view.sections[status]}
            onMore={() => {
              void list.loadMore(status);
            }}
          />
        ))}
    </div>
  );
}

interface SectionPanelProps {
  readonly status: Attention;
  readonly section: Section;
  readonly onMore: () => void;
}

function SectionPanel({ status, section, onMore }: SectionPanelProps) {
  const heading = `attention-${status}`;
  const { items, nextToken } = section;
  return (
    <section class="panel" aria-labelledby={heading} data-attention={status}>
      <h2 id={heading} class="section-head">
        <span class="badge" data-status={status}>
          <StatusIcon status={status} />
        </span>
        {CONCERN[status]}
        <span class="panel-count" data-none={items.length === 0 || undefined}>
          {items.length}
          {nextToken !== null && '+'}
        </span>
      </h2>
      {items.length === 0 && <p class="muted panel-empty">None.</p>}
      <ul class="finding-list">
        {items.map((item) => (
          <Row key={`${item.buildingId}:${item.lockerId}/${item.doorId ?? ''}`} item={item} />
        ))}
      </ul>
      {nextToken !== null && (
        <button type="button" class="button" onClick={onMore}>
          Load more
        </button>
      )}
    </section>
  );
}

function Row({ item }: { readonly item: AttentionItem }) {
  const { buildingId, lockerId, doorId } = item;
  const since = item.locker?.since ?? item.receivedAt;
  const detail = item.tile?.fault ?? item.locker?.reason ?? '';
  return (
    <li class="attention-row">
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
