// One Tab stop for a thousand tiles: the arrow keys, Home and End go from tile to tile.

const TILE = '[data-door]';

/** The tile that `key` leads to from `from`; null if the key means nothing here. */
export function tileAfter(board: Element, from: HTMLElement, key: string): HTMLElement | null {
  const tiles = [...board.querySelectorAll<HTMLElement>(TILE)].filter(
    (tile) => tile.getClientRects().length > 0,
  );
  const at = tiles.indexOf(from);
  switch (key) {
    case 'ArrowRight':
      return tiles[at + 1] ?? null;
    case 'ArrowLeft':
      return tiles[at - 1] ?? null;
    case 'Home':
      return tiles[0] ?? null;
    case 'End':
      return tiles.at(-1) ?? null;
    case 'ArrowDown':
      return nearestInRow(from, tiles.slice(at + 1), 1);
    case 'ArrowUp':
      return nearestInRow(from, tiles.slice(0, Math.max(0, at)).reverse(), -1);
    default:
      return null;
  }
}

/** Of the nearest row in that direction, the tile nearest to the column one is in. */
function nearestInRow(
  from: HTMLElement,
  tiles: readonly HTMLElement[],
  direction: 1 | -1,
): HTMLElement | null {
  const own = from.getBoundingClientRect();
  const x = own.left + own.width / 2;
  let best: { tile: HTMLElement; row: number; distance: number } | null = null;
  for (const tile of tiles) {
    const place = tile.getBoundingClientRect();
    const row = (place.top - own.top) * direction;
    if (row < own.height / 2) continue;
    const distance = Math.abs(place.left + place.width / 2 - x);
    const isNearer =
      best === null ||
      row < best.row - own.height / 2 ||
      (row < best.row + own.height / 2 && distance < best.distance);
    if (isNearer) best = { tile, row, distance };
  }
  return best?.tile ?? null;
}
