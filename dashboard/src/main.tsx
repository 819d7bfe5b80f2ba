import { render } from 'preact';
import { makeState, watchBuilding } from './app-state';
import { startClock } from './clock';
import { ConfigError, loadConfig } from './config';
import { followHash } from './route';
import { startSession } from './session';
import { applyTheme } from './settings';
import './styles/base.css';
import './styles/frame.css';
import './styles/building.css';
import './styles/findings.css';
import './styles/pages.css';
import { App } from './views/app';
import { Message } from './views/message';

async function main(page: HTMLElement): Promise<void> {
  applyTheme();
  followHash();
  startClock();
  const state = makeState(await loadConfig());
  render(<App state={state} />, page);
  await startSession(state.config);
  watchBuilding(state.api);
}

const page = document.getElementById('app');
if (page === null) throw new Error('index.html has no element "app"');
main(page).catch((error: unknown) => {
  const reason = error instanceof ConfigError ? error.message : String(error);
  render(
    <main>
      <div role="alert">
        <Message title="The dashboard cannot start">
          <p>{reason}</p>
          <p>
            This is a fault of its deployment, not of your account. Tell whoever runs it, with the
            sentence above; reload this page once it is mended.
          </p>
        </Message>
      </div>
    </main>,
    page,
  );
});
