// One word for each thing, everywhere.
import type { DoorEventKind } from '../api/types';
import type { Concern } from '../live/overview';
import type { ShownStatus } from '../live/picture';

export const STATUS: Readonly<Record<ShownStatus, string>> = {
  vacant: 'Vacant',
  occupied: 'Occupied',
  open: 'Open',
  forced: 'Forced',
  fault: 'Fault',
  offline: 'Offline',
};

export const CONCERN: Readonly<Record<Concern, string>> = {
  forced: 'Forced open',
  fault: 'Faulty',
  'left-open': 'Left open',
  offline: 'Offline',
};

export const KIND: Readonly<Record<DoorEventKind, string>> = {
  opened: 'Opened',
  closed: 'Closed',
  forced: 'Forced open',
  faulted: 'Fault reported',
  cleared: 'Fault cleared',
  reported: 'State reported',
};

/** `door 1` for `1`, `door d1` for `d1`. */
export const doorName = (doorId: string): string => `door ${doorId}`;

export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
