// The frame around each page: who is signed in, where one can go.
import type { RefObject } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { live, type AppState } from '../app-state';
import { buildingUrl, pageOf, route } from '../route';
import { session, signOut, type Person } from '../session';
import { Announcer } from './announcer';
import { AttentionPage } from './attention';
import { BuildingPage } from './building';
import { BuildingsPage } from './buildings';
import { HelpButton } from './help';
import { HistoryPage } from './history';
import { BrandIcon } from './icons';
import { Message } from './message';
import { SignInPage } from './sign-in';

export function App({ state }: { readonly state: AppState }) {
  const main = useRef<HTMLElement>(null);
  const at = session.value;
  useFocusOnNewPage(main);
  if (at.kind === 'starting') return <main />;
  if (at.kind !== 'signed-in') {
    return (
      <main>
        <SignInPage session={at} />
      </main>
    );
  }
  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault(); // the hash is the route
          main.current?.focus();
        }}
      >
        Skip to the content
      </a>
      <Header person={at.person} stage={state.config.stage} />
      <main id="main" tabIndex={-1} ref={main}>
        <Page state={state} person={at.person} />
      </main>
      <Announcer />
    </>
  );
}

/** Whoever follows a link by keyboard or ear goes on at the top of the page it led to. */
function useFocusOnNewPage(main: RefObject<HTMLElement | null>): void {
  const page = pageOf(route.value);
  const shown = useRef(page);
  useEffect(() => {
    if (shown.current === page) return;
    shown.current = page;
    main.current?.focus();
  }, [main, page]);
}

function Page({ state, person }: { readonly state: AppState; readonly person: Person }) {
  const at = route.value;
  const watched = live.value;
  const [only, another] = person.buildings;
  switch (at.page) {
    case 'home':
      if (only !== undefined && another === undefined && !person.operator) {
        window.location.replace(buildingUrl(only));
        return null;
      }
      return <BuildingsPage client={state.api.client} person={person} />;
    case 'buildings':
      return <BuildingsPage client={state.api.client} person={person} />;
    case 'building':
      return watched && <BuildingPage key={watched.buildingId} live={watched} />;
    case 'locker':
      return (
        watched && (
          <HistoryPage
            key={`${watched.buildingId}/${at.locker}`}
            client={state.api.client}
            live={watched}
            locker={at.locker}
            door={at.door}
            kind={at.kind}
          />
        )
      );
    case 'attention':
      return <AttentionPage api={state.api} person={person} />;
    case 'unknown':
      return (
        <Message title="There is no such page">
          <p>
            The address may be misspelt. <a href="#/buildings">Your buildings</a>
          </p>
        </Message>
      );
  }
}

function Header({ person, stage }: { readonly person: Person; readonly stage: string }) {
  const page = route.value.page;
  return (
    <header class="top">
      <a class="brand" href="#/" aria-label="Latchline">
        <BrandIcon /> <span>Latchline</span>
      </a>
      {stage !== 'prod' && <span class="stage">{stage}</span>}
      <nav aria-label="Pages">
        <a href="#/buildings" aria-current={page === 'buildings' ? 'page' : undefined}>
          Buildings
        </a>
        {person.operator && (
          <a href="#/attention" aria-current={page === 'attention' ? 'page' : undefined}>
            Attention
          </a>
        )}
      </nav>
      <span class="person">{person.name}</span>
      <HelpButton person={person} stage={stage} />
      <button
        type="button"
        class="button"
        onClick={() => {
          void signOut();
        }}
      >
        Sign out
      </button>
    </header>
  );
}
