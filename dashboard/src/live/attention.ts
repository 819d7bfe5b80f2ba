// The attention list, live: what is forced, faulted or offline in any building.
//
// Pushed is what enters or leaves the list, by one subscription for the whole fleet, which AppSync
// filters (`attention: true`). Watching every listed building would not do: a building that has
// nothing on the list yet would be missed, all 1,157 of December would take twelve connections (AWS:
// 100 subscriptions each), and each operator would be sent, and billed, every door of the fleet, a
// hundred times as much.
import { signal, type ReadonlySignal, type Signal } from '@preact/signals';
import { ATTENTION, ON_ATTENTION } from '../api/document';
import type {
  Attention,
  OnAttentionSubscription,
  OnAttentionSubscriptionVariables,
} from '../api/types';
import { ATTENTIONS, Concerns, type AttentionItem, type Entry, type Sections } from './concerns';
import type { Feed } from './feed';
import { Watch, messageOf, type Api, type Live } from './watch';

const PAGE = 100;

interface Page {
  readonly items: readonly AttentionItem[];
  readonly nextToken: string | null;
}

type Tokens = Readonly<Record<Attention, string | null>>;

export interface AttentionView {
  readonly sections: Sections;
  /** Where the rest of each section begins; null if all of it is here. */
  readonly nextTokens: Tokens;
}

export class AttentionList implements Live {
  readonly feed: ReadonlySignal<Feed>;
  readonly lastEventAt: ReadonlySignal<number | null>;
  /** Null until it has been loaded. */
  readonly view: ReadonlySignal<AttentionView | null>;
  /** Why more of a section could not be loaded. */
  readonly failure: ReadonlySignal<string | null>;
  readonly #view: Signal<AttentionView | null> = signal(null);
  readonly #failure: Signal<string | null> = signal(null);
  readonly #lastEventAt: Signal<number | null> = signal(null);
  readonly #concerns = new Concerns();
  readonly #watch: Watch<OnAttentionSubscription, OnAttentionSubscriptionVariables>;
  readonly #stopped = new AbortController();
  /** So many pages of each section somebody wants to see. */
  readonly #pages: Record<Attention, number> = { forced: 1, fault: 1, offline: 1 };

  /** `stoodOut` is told what a push has put on the list. */
  constructor(
    private readonly api: Api,
    stoodOut: (entries: readonly Entry[]) => void,
  ) {
    this.view = this.#view;
    this.failure = this.#failure;
    this.lastEventAt = this.#lastEventAt;
    this.#watch = new Watch<OnAttentionSubscription, OnAttentionSubscriptionVariables>(api, {
      document: ON_ATTENTION,
      variables: { attention: true },
      push: ({ onAttention }) => {
        if (onAttention === null) return;
        const fresh = this.#concerns.push(onAttention, Date.now());
        const times = [...onAttention.tiles, ...onAttention.lockers].map((each) => each.receivedAt);
        this.#lastEventAt.value = Math.max(this.#lastEventAt.peek() ?? 0, ...times);
        const known = this.#view.peek();
        if (known === null) return; // The snapshot is on its way.
        this.#view.value = { ...known, sections: this.#concerns.sections() };
        if (fresh.length > 0) stoodOut(fresh);
      },
      load: (givenUp) => this.#load(givenUp),
    });
    this.feed = this.#watch.feed;
  }

  retry(): void {
    this.#watch.retry();
  }

  /** End for good. */
  stop(): void {
    this.#stopped.abort();
    this.#watch.stop();
  }

  async loadMore(status: Attention): Promise<void> {
    const known = this.#view.peek();
    const nextToken = known?.nextTokens[status] ?? null;
    if (known === null || nextToken === null) return;
    try {
      const page = await this.#page(status, nextToken, this.#stopped.signal);
      this.#failure.value = null;
      const now = this.#view.peek();
      if (now?.nextTokens[status] !== nextToken) return; // Loaded anew meanwhile, or clicked twice.
      this.#pages[status] += 1;
      this.#concerns.add(page.items);
      this.#view.value = {
        sections: this.#concerns.sections(),
        nextTokens: { ...now.nextTokens, [status]: page.nextToken },
      };
    } catch (error) {
      if (this.#stopped.signal.aborted) return;
      this.#failure.value = messageOf(error);
    }
  }

  /** The snapshot: of each section as many pages as are shown. */
  async #load(givenUp: AbortSignal): Promise<void> {
    const askedAt = Date.now();
    const loaded = await Promise.all(ATTENTIONS.map((status) => this.#section(status, givenUp)));
    givenUp.throwIfAborted();
    const [forced, fault, offline] = loaded.map(({ nextToken }) => nextToken);
    this.#concerns.replace(
      loaded.flatMap(({ items }) => items),
      askedAt,
    );
    this.#view.value = {
      sections: this.#concerns.sections(),
      nextTokens: { forced: forced ?? null, fault: fault ?? null, offline: offline ?? null },
    };
  }

  async #section(status: Attention, givenUp: AbortSignal): Promise<Page> {
    const items: AttentionItem[] = [];
    let nextToken: string | null = null;
    for (let pages = 0; pages < this.#pages[status]; pages += 1) {
      const page: Page = await this.#page(status, nextToken, givenUp);
      items.push(...page.items);
      nextToken = page.nextToken;
      if (nextToken === null) break;
    }
    return { items, nextToken };
  }

  async #page(status: Attention, nextToken: string | null, givenUp: AbortSignal): Promise<Page> {
    const variables = { status, limit: PAGE, nextToken };
    const { attention } = await this.api.client.query(ATTENTION, variables, givenUp);
    return attention;
  }
}
