// The names of all buildings, for operators: as many pages as somebody asks for.
import { signal, type ReadonlySignal, type Signal } from '@preact/signals';
import { BUILDINGS } from '../api/document';
import type { GraphqlClient } from '../api/graphql';

export interface Names {
  readonly buildingIds: readonly string[];
  readonly nextToken: string | null;
}

const PAGE = 100;

export class BuildingList {
  readonly names: ReadonlySignal<Names | null>;
  readonly failure: ReadonlySignal<string | null>;
  readonly #names: Signal<Names | null> = signal(null);
  readonly #failure: Signal<string | null> = signal(null);
  readonly #stopped = new AbortController();
  #loading = false;

  constructor(private readonly client: GraphqlClient) {
    this.names = this.#names;
    this.failure = this.#failure;
    void this.more();
  }

  stop(): void {
    this.#stopped.abort();
  }

  /** Load the next page; the first one if there is none, or if loading it failed. */
  async more(): Promise<void> {
    if (this.#loading) return;
    this.#loading = true;
    const known = this.#names.peek();
    try {
      const { buildings } = await this.client.query(
        BUILDINGS,
        { limit: PAGE, nextToken: known?.nextToken ?? null },
        this.#stopped.signal,
      );
      const buildingIds = [...(known?.buildingIds ?? []), ...buildings.buildingIds];
      this.#names.value = { buildingIds, nextToken: buildings.nextToken };
      this.#failure.value = null;
    } catch (error) {
      if (this.#stopped.signal.aborted) return;
      this.#failure.value = error instanceof Error ? error.message : String(error);
    } finally {
      this.#loading = false;
    }
  }
}
