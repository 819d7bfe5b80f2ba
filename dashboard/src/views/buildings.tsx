// The buildings one may open: a manager's own, an operator's all.
import { useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import type { GraphqlClient } from '../api/graphql';
import { BuildingList } from '../live/buildings';
import { buildingUrl } from '../route';
import type { Person } from '../session';
import { ChevronIcon } from './icons';
import { Message } from './message';
import { useTitle } from './title';

interface BuildingsPageProps {
  readonly client: GraphqlClient;
  readonly person: Person;
}

export function BuildingsPage({ client, person }: BuildingsPageProps) {
  useTitle('Buildings');
  if (person.operator) return <AllBuildings client={client} />;
  if (person.buildings.length === 0) {
    return (
      <Message title="No building yet">
        <p>
          Your account manages no building. Ask whoever manages accounts to add you to the group{' '}
          <code>building:&lt;name&gt;</code>, then sign out and in again.
        </p>
      </Message>
    );
  }
  return (
    <div class="narrow">
      <h1>Buildings</h1>
      <List buildingIds={person.buildings} />
    </div>
  );
}

function AllBuildings({ client }: { readonly client: GraphqlClient }) {
  const list = useMemo(() => new BuildingList(client), [client]);
  useEffect(
    () => () => {
      list.stop();
    },
    [list],
  );
  const names = list.names.value;
  const failure = list.failure.value;
  return (
    <div class="narrow">
      <h1>Buildings</h1>
      <OpenBuilding />
      <p class="muted" role="status">
        {failure !== null && `The list could not be loaded: ${failure}.`}
        {failure === null && names === null && 'Loading…'}
        {names?.buildingIds.length === 0 && 'No locker has ever connected.'}
      </p>
      {names !== null && names.buildingIds.length > 0 && <List buildingIds={names.buildingIds} />}
      {(failure !== null || (names !== null && names.nextToken !== null)) && (
        <button
          type="button"
          class="button"
          onClick={() => {
            void list.more();
          }}
        >
          {failure === null ? 'Load more' : 'Try again'}
        </button>
      )}
    </div>
  );
}

function List({ buildingIds }: { readonly buildingIds: readonly string[] }) {
  return (
    <ul class="building-list panel">
      {buildingIds.map((building) => (
        <li key={building}>
          <a href={buildingUrl(building)}>
            <span>{building}</span>
            <ChevronIcon />
          </a>
        </li>
      ))}
    </ul>
  );
}

function OpenBuilding() {
  const name = useSignal('');
  return (
    <form
      class="open-building"
      onSubmit={(event) => {
        event.preventDefault();
        const building = name.peek().trim();
        if (building !== '') window.location.hash = buildingUrl(building);
      }}
    >
      <label class="field">
        Open a building by name
        <input
          type="text"
          required
          autocomplete="off"
          autocapitalize="none"
          spellcheck={false}
          placeholder="maple-court"
          onInput={(event) => {
            name.value = event.currentTarget.value;
          }}
        />
      </label>
      <button class="button primary">Open</button>
    </form>
  );
}
