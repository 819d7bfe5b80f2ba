// What is forced, faulted or offline in any building. The API pushes nothing across buildings, so
// this is a list as of a moment, and says so: loaded when opened, looked at again, asked for, and
// every five minutes.
import { signal, type ReadonlySignal, type Signal } from '@preact/signals';
import { ATTENTION } from '../api/document';
import type { GraphqlClient } from '../api/graphql';
import type { Attention, AttentionListQuery } from '../api/types';
import { SNAPSHOT_EVERY_MS } from './feed';

export type AttentionItem = AttentionListQuery['attention']['items'][number];

export const ATTENTIONS = ['forced', 'fault', 'offline'] as const satisfies readonly Attention[];

export interface Section {
  /** Newest first. */
  readonly items: readonly AttentionItem[];
  readonly nextToken: string | null;
}

export interface AttentionView {
  readonly sections: Readonly<Record<Attention, Section>>;
  /** When it was asked for, epoch ms. */
  readonly at: number;
}

const PAGE = 100;

export class AttentionList {
  readonly view: ReadonlySignal<AttentionView | null>;
  readonly loading: ReadonlySignal<boolean>;
  readonly failure: ReadonlySignal<string | null>;
  readonly #view: Signal<AttentionView | null> = signal(null);
  readonly #loading = signal(false);
  readonly #failure: Signal<string | null> = signal(null);
  readonly #stopped = new AbortController();
  #timer: number | undefined;

  constructor(private readonly client: GraphqlClient) {
    this.view = this.#view;
    this.loading = this.#loading;
    this.failure = this.#failure;
    const { signal: stopped } = this.#stopped;
    const attended = (): void => {
      if (document.visibilityState === 'visible') void this.refresh();
    };
    document.addEventListener('visibilitychange', attended, { signal: stopped });
    window.addEventListener('focus', attended, { signal: stopped });
    window.addEventListener('online', attended, { signal: stopped });
    void this.refresh();
  }

  stop(): void {
    this.#stopped.abort();
    window.clearTimeout(this.#timer);
  }

  async refresh(): Promise<void> {
    await this.#work(async () => {
      const at = Date.now();
      const [forced, fault, offline] = await Promise.all([
        this.#page('forced', null),
        this.#page('fault', null),
        this.#page('offline', null),
      ]);
      this.#view.value = { sections: { forced, fault, offline }, at };
    });
    if (this.#stopped.signal.aborted) return;
    window.clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => {
      void this.refresh();
    }, SNAPSHOT_EVERY_MS);
  }

  async loadMore(status: Attention): Promise<void> {
    const known = this.#view.peek();
    const section = known?.sections[status];
    if (known === null || section?.nextToken == null) return;
    await this.#work(async () => {
      const page = await this.#page(status, section.nextToken);
      const items = [...section.items, ...page.items];
      const sections = { ...known.sections, [status]: { items, nextToken: page.nextToken } };
      this.#view.value = { ...known, sections };
    });
  }

  async #work(work: () => Promise<void>): Promise<void> {
    if (this.#loading.peek()) return;
    this.#loading.value = true;
    try {
      await work();
      this.#failure.value = null;
    } catch (error) {
      if (this.#stopped.signal.aborted) return;
      this.#failure.value = error instanceof Error ? error.message : String(error);
    } finally {
      this.#loading.value = false;
    }
  }

  async #page(status: Attention, nextToken: string | null): Promise<Section> {
    const { attention } = await this.client.query(
      ATTENTION,
      { status, limit: PAGE, nextToken },
      this.#stopped.signal,
    );
    return attention;
  }
}
