// The counts, each of them a switch that shows its doors alone.
import type { ReadonlySignal, Signal } from '@preact/signals';
import type { Finding, Overview } from '../live/overview';
import { StatusIcon } from './icons';

export type Show = 'all' | 'vacant' | 'occupied' | 'open' | 'attention';

const COUNTS = [
  { show: 'vacant', label: 'Vacant', icon: 'vacant' },
  { show: 'occupied', label: 'Occupied', icon: 'occupied' },
  { show: 'open', label: 'Open', icon: 'open' },
  { show: 'attention', label: 'Needs attention', icon: 'forced' },
] as const;

interface SummaryProps {
  readonly overview: ReadonlySignal<Overview>;
  readonly findings: ReadonlySignal<readonly Finding[]>;
  readonly show: Signal<Show>;
}

export function Summary({ overview, findings, show }: SummaryProps) {
  const { counts } = overview.value;
  const attention = findings.value.length;
  const numbers = { ...counts, attention };
  return (
    <div class="summary" role="group" aria-label="Show only doors that are">
      {COUNTS.map((each) => (
        <button
          key={each.show}
          type="button"
          class="count"
          data-count={each.show}
          data-none={numbers[each.show] === 0 || undefined}
          aria-pressed={show.value === each.show}
          onClick={() => {
            show.value = show.peek() === each.show ? 'all' : each.show;
          }}
        >
          <StatusIcon status={each.icon} />
          <span class="count-number">{numbers[each.show].toLocaleString('en')}</span>
          <span class="count-label">{each.label}</span>
        </button>
      ))}
    </div>
  );
}
