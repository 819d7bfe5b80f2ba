// Line drawings of 20 by 20, in the colour of the text beside them, which says the same in words.
import type { ComponentChildren } from 'preact';
import type { Concern } from '../live/overview';
import type { ShownStatus } from '../live/picture';

function Drawing({ children }: { readonly children: ComponentChildren }) {
  return (
    <svg
      class="icon"
      viewBox="0 0 20 20"
      width="20"
      height="20"
      fill="none"
      stroke="currentColor"
      stroke-width="1.6"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {children}
    </svg>
  );
}

const VACANT = (
  <>
    <rect x="3.5" y="3.5" width="13" height="13" rx="1.5" />
    <path d="M13.2 9v2" />
  </>
);
const OCCUPIED = (
  <>
    <path d="M3.5 6.5 10 3.2l6.5 3.3v7L10 16.8l-6.5-3.3z" fill="currentColor" fill-opacity=".18" />
    <path d="M3.5 6.5 10 9.8l6.5-3.3M10 9.8v7M6.7 4.9l6.6 3.3" />
  </>
);
const OPEN = (
  <>
    <path d="M8.5 3.5h6.6c.8 0 1.4.6 1.4 1.4v10.2c0 .8-.6 1.4-1.4 1.4H8.5" />
    <path d="M8.5 3.5v13L3.2 18V5.4z" fill="currentColor" fill-opacity=".28" />
  </>
);
const FORCED = (
  <>
    <path d="M10 2.8 18 16.8H2z" />
    <path d="M10 8v4M10 14.4v.1" stroke-width="2" />
  </>
);
const FAULT = (
  <path
    d="M12.2 6.6a3.9 3.9 0 0 1 4.9-3.7l-2.3 2.3 1 2.3 2.3.9a3.9 3.9 0 0 1-4.7 2.6L6.6 17.8a1.8 1.8 0 0 1-2.6-2.6l6.9-6.7a3.9 3.9 0 0 1 1.3-1.9z"
    transform="translate(-1 -.6)"
  />
);
const OFFLINE = (
  <>
    <path d="M2.6 8.2a10.6 10.6 0 0 1 4.2-2.4M5.4 11.4a6.6 6.6 0 0 1 4-2M17.4 8.2A10.6 10.6 0 0 0 10 5.1M8 14.2a2.9 2.9 0 0 1 3.3-.5" />
    <path d="M3.2 3.2l13.6 13.6M10 16.6v.1" />
  </>
);
const LEFT_OPEN = (
  <>
    <circle cx="10" cy="10" r="7" />
    <path d="M10 6v4.2l2.8 1.7" />
  </>
);

const BY_STATUS: Readonly<Record<ShownStatus | Concern, ComponentChildren>> = {
  vacant: VACANT,
  occupied: OCCUPIED,
  open: OPEN,
  forced: FORCED,
  fault: FAULT,
  offline: OFFLINE,
  'left-open': LEFT_OPEN,
};

export function StatusIcon({ status }: { readonly status: ShownStatus | Concern }) {
  return <Drawing>{BY_STATUS[status]}</Drawing>;
}

export function LiveIcon() {
  return (
    <Drawing>
      <path d="M3 10.5l4.2 4.3L17 5.2" stroke-width="2.2" />
    </Drawing>
  );
}

export function HourglassIcon() {
  return (
    <Drawing>
      <path d="M5.5 3h9M5.5 17h9M6.5 3c0 4 3.5 5 3.5 7s-3.5 3-3.5 7M13.5 3c0 4-3.5 5-3.5 7s3.5 3 3.5 7" />
    </Drawing>
  );
}

export function ChevronIcon() {
  return (
    <Drawing>
      <path d="M7.5 4.5 13 10l-5.5 5.5" />
    </Drawing>
  );
}

/** A locker: two columns of doors, one of them open. */
export function BrandIcon() {
  return (
    <svg class="brand-icon" viewBox="0 0 24 24" width="26" height="26" aria-hidden="true">
      <rect x="2" y="2" width="20" height="20" rx="4.5" fill="currentColor" />
      <g class="brand-doors">
        <rect x="5.4" y="5.4" width="5.8" height="5.8" rx="1.2" />
        <rect x="5.4" y="12.8" width="5.8" height="5.8" rx="1.2" />
        <rect x="12.8" y="12.8" width="5.8" height="5.8" rx="1.2" />
      </g>
      <rect class="brand-open" x="12.8" y="5.4" width="5.8" height="5.8" rx="1.2" />
    </svg>
  );
}
