// Where one is, in the hash: a static host needs no rule for it.
import { computed, signal } from '@preact/signals';

export type Route =
  | { readonly page: 'home' }
  | { readonly page: 'buildings' }
  | { readonly page: 'attention' }
  | { readonly page: 'building'; readonly building: string }
  | {
      readonly page: 'locker';
      readonly building: string;
      readonly locker: string;
      readonly door: string | null;
      readonly kind: string | null;
    }
  | { readonly page: 'unknown' };

export function parseRoute(hash: string): Route {
  const [path = '', search = ''] = hash.replace(/^#/, '').split('?', 2);
  const parts = path.split('/').filter((part) => part !== '');
  const [first, building, third, locker] = parts.map(decode);
  if (first === undefined) return { page: 'home' };
  if (first === 'attention' && parts.length === 1) return { page: 'attention' };
  if (first !== 'buildings') return { page: 'unknown' };
  if (building === undefined) return { page: 'buildings' };
  if (parts.length === 2) return { page: 'building', building };
  if (third !== 'lockers' || locker === undefined || parts.length > 4) return { page: 'unknown' };
  const query = new URLSearchParams(search);
  return { page: 'locker', building, locker, door: query.get('door'), kind: query.get('kind') };
}

/** What stays the same while only filters change. */
export function pageOf(at: Route): string {
  return [at.page, 'building' in at && at.building, 'locker' in at && at.locker].join('/');
}

export function buildingUrl(building: string): string {
  return `#/buildings/${encodeURIComponent(building)}`;
}

export function lockerUrl(
  building: string,
  locker: string,
  filters: { readonly door?: string | null; readonly kind?: string | null } = {},
): string {
  const query = new URLSearchParams();
  if (filters.door) query.set('door', filters.door);
  if (filters.kind) query.set('kind', filters.kind);
  const search = query.size > 0 ? `?${query.toString()}` : '';
  return `${buildingUrl(building)}/lockers/${encodeURIComponent(locker)}${search}`;
}

const hash = signal('');
export const route = computed(() => parseRoute(hash.value));

export function followHash(): void {
  const read = (): void => {
    hash.value = window.location.hash;
  };
  window.addEventListener('hashchange', read);
  read();
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // A stray % that somebody typed.
  }
}
