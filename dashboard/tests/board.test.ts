import { effect } from '@preact/signals';
import { expect, test } from 'vitest';
import { Board } from '../src/live/board';
import { locker, NOW, tile, versionOf } from './samples';

function door(board: Board, lockerId: string, doorId: string) {
  const model = board.locker(lockerId)?.doors.value.find((each) => each.id === doorId);
  if (model === undefined) throw new Error(`no ${lockerId}/${doorId}`);
  return model;
}

test('a push touches the tiles it names, and no other', () => {
  const board = new Board();
  board.take({ tiles: [tile(), tile({ doorId: 'd02' })], lockers: [] });
  const painted: string[] = [];
  for (const id of ['d01', 'd02']) {
    const { view } = door(board, 'l01', id);
    effect(() => {
      painted.push(`${id} ${view.value.shown}`);
    });
  }
  painted.length = 0;
  board.take({ tiles: [tile({ version: versionOf(2), status: 'open' })], lockers: [] });
  expect(painted).toEqual(['d01 open']);
});

test('a flip is a change of what is shown; a snapshot that says the same is none', () => {
  const board = new Board();
  const { view } = (board.take({ tiles: [tile()], lockers: [] }), door(board, 'l01', 'd01'));
  const flips = (batch: Parameters<Board['take']>[0]): number => {
    board.take(batch);
    return view.value.flips;
  };
  expect(flips({ tiles: [tile()], lockers: [] })).toBe(0);
  expect(flips({ tiles: [tile({ version: versionOf(2), kind: 'reported' })], lockers: [] })).toBe(
    0,
  );
  expect(flips({ tiles: [tile({ version: versionOf(3), status: 'open' })], lockers: [] })).toBe(1);
  expect(flips({ tiles: [], lockers: [locker({ connected: false, since: NOW + 1 })] })).toBe(2);
});

test('lockers and doors stand in the order people count in', () => {
  const board = new Board();
  board.take({
    tiles: ['l10', 'l2', 'l1'].flatMap((lockerId) =>
      ['d10', 'd9'].map((doorId) => tile({ lockerId, doorId })),
    ),
    lockers: [],
  });
  expect(board.lockers.value.map((each) => each.id)).toEqual(['l1', 'l2', 'l10']);
  expect(board.lockers.value[0]?.doors.value.map((each) => each.id)).toEqual(['d9', 'd10']);
});
