// A building, live.
import { computed, type ReadonlySignal } from '@preact/signals';
import { BUILDING, ON_TILES } from '../api/document';
import type {
  BuildingQuery,
  OnTilesSubscription,
  OnTilesSubscriptionVariables,
} from '../api/types';
import { Board } from './board';
import type { Feed } from './feed';
import { Watch, type Api, type Live } from './watch';

export class LiveBuilding implements Live {
  readonly board = new Board();
  readonly feed: ReadonlySignal<Feed>;
  readonly lastEventAt = computed(() => this.board.overview.value.lastEventAt);
  readonly #watch: Watch<OnTilesSubscription, OnTilesSubscriptionVariables>;

  constructor(
    readonly buildingId: string,
    private readonly api: Api,
  ) {
    this.#watch = new Watch(api, {
      document: ON_TILES,
      variables: { buildingId },
      push: ({ onTiles }) => {
        if (onTiles !== null) this.board.take(onTiles);
      },
      load: (givenUp) => this.#load(givenUp),
    });
    this.feed = this.#watch.feed;
  }

  retry(): void {
    this.#watch.retry();
  }

  /** End for good; the board keeps what it shows. */
  stop(): void {
    this.#watch.stop();
  }

  async #load(givenUp: AbortSignal): Promise<void> {
    let nextToken: string | null = null;
    do {
      const { building }: BuildingQuery = await this.api.client.query(
        BUILDING,
        { buildingId: this.buildingId, nextToken },
        givenUp,
      );
      givenUp.throwIfAborted();
      this.board.take(building);
      nextToken = building.nextToken;
    } while (nextToken !== null);
  }
}
