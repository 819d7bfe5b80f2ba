// The buildings one may open. An operator may open any, and the API has no list of them.
import { useSignal } from '@preact/signals';
import { buildingUrl } from '../route';
import { recentBuildings } from '../recent';
import type { Person } from '../session';
import { ChevronIcon } from './icons';
import { Message } from './message';
import { useTitle } from './title';

export function BuildingsPage({ person }: { readonly person: Person }) {
  useTitle('Buildings');
  const known = person.operator
    ? [...new Set([...person.buildings, ...recentBuildings.value])].sort()
    : person.buildings;
  if (known.length === 0 && !person.operator) {
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
      {person.operator && <OpenBuilding />}
      {known.length > 0 && (
        <ul class="building-list panel">
          {known.map((building) => (
            <li key={building}>
              <a href={buildingUrl(building)}>
                <span>{building}</span>
                <ChevronIcon />
              </a>
            </li>
          ))}
        </ul>
      )}
      {person.operator && (
        <p class="muted">
          Listed are the buildings of your groups, those on the{' '}
          <a href="#/attention">attention list</a>, and those opened here before.
        </p>
      )}
    </div>
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
