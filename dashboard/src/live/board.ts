// A picture as signals: one for each door, so that a push repaints the tiles it names, and no more.
import { batch, signal, type ReadonlySignal, type Signal } from '@preact/signals';
import type { Overview } from './overview';
import { overview } from './overview';
import type { Batch, LockerState, ShownStatus, Tile } from './picture';
import { Picture, isOnline, shownStatus } from './picture';

export interface DoorView {
  readonly tile: Tile;
  readonly shown: ShownStatus;
  /** How often what is shown has changed since the tile appeared. */
  readonly flips: number;
}

export interface DoorModel {
  readonly id: string;
  /** `<locker>/<door>` */
  readonly key: string;
  readonly view: ReadonlySignal<DoorView>;
}

export interface Presence {
  readonly online: boolean;
  /** Since when (epoch ms) it is so; null if the locker's presence is not known. */
  readonly since: number | null;
  readonly reason: string | null;
}

export interface LockerModel {
  readonly id: string;
  readonly presence: ReadonlySignal<Presence>;
  readonly doors: ReadonlySignal<readonly DoorModel[]>;
}

interface Door extends DoorModel {
  readonly view: Signal<DoorView>;
}

interface LockerSignals extends LockerModel {
  readonly presence: Signal<Presence>;
  readonly doors: Signal<readonly Door[]>;
}

const NATURAL = new Intl.Collator('en', { numeric: true });

function inOrder<Item extends { readonly id: string }>(
  items: readonly Item[],
  added: Item,
): Item[] {
  return [...items, added].sort((a, b) => NATURAL.compare(a.id, b.id));
}

export class Board {
  readonly lockers: ReadonlySignal<readonly LockerModel[]>;
  readonly overview: ReadonlySignal<Overview>;
  /** The picture, in a new wrapper whenever it has changed: it is no signal itself. */
  readonly shown: ReadonlySignal<{ readonly picture: Picture }>;
  readonly #lockers: Signal<readonly LockerSignals[]> = signal([]);
  readonly #picture = new Picture();
  readonly #overview: Signal<Overview> = signal(overview(this.#picture));
  readonly #shown = signal({ picture: this.#picture });
  readonly #byId = new Map<string, LockerSignals>();

  constructor() {
    this.lockers = this.#lockers;
    this.overview = this.#overview;
    this.shown = this.#shown;
  }

  take(news: Batch): void {
    const changed = this.#picture.take(news);
    if (changed.size === 0) return;
    batch(() => {
      for (const state of changed) this.#show(state);
      this.#overview.value = overview(this.#picture);
      this.#shown.value = { picture: this.#picture };
    });
  }

  /** Read in a computation, it moves when the locker appears. */
  locker(id: string): LockerModel | undefined {
    return this.#lockers.value.find((locker) => locker.id === id);
  }

  #show(state: LockerState): void {
    const locker = this.#byId.get(state.id) ?? this.#add(state);
    const next = presenceOf(state);
    const known = locker.presence.peek();
    if (next.online !== known.online || next.since !== known.since) locker.presence.value = next;
    for (const [doorId, door] of state.doors) {
      const shown = shownStatus(state, door);
      const model = locker.doors.peek().find((each) => each.id === doorId);
      if (model === undefined) {
        const view = signal<DoorView>({ tile: door.tile, shown, flips: 0 });
        const added: Door = { id: doorId, key: `${state.id}/${doorId}`, view };
        locker.doors.value = inOrder(locker.doors.peek(), added);
        continue;
      }
      const before = model.view.peek();
      if (before.tile !== door.tile || before.shown !== shown) {
        const flips = before.flips + (before.shown === shown ? 0 : 1);
        model.view.value = { tile: door.tile, shown, flips };
      }
    }
  }

  #add(state: LockerState): LockerSignals {
    const added: LockerSignals = {
      id: state.id,
      presence: signal(presenceOf(state)),
      doors: signal([]),
    };
    this.#byId.set(state.id, added);
    this.#lockers.value = inOrder(this.#lockers.peek(), added);
    return added;
  }
}

function presenceOf(state: LockerState): Presence {
  return {
    online: isOnline(state),
    since: state.presence?.since ?? null,
    reason: state.presence?.reason ?? null,
  };
}
