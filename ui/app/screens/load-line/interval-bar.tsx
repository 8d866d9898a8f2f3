/** The load line itself: how much was good, from certainly to possibly, against the mark that must not go under. */
import type { JSX } from 'preact';
import type { GoodputRow } from '../../api/types';
import { percent, percentInterval } from '../../format';

interface Props {
  row: Pick<GoodputRow, 'attainment_low' | 'attainment_high' | 'target' | 'breached'>;
  from: number;
  slim?: boolean;
}

export function IntervalBar({ row, from, slim = false }: Props): JSX.Element {
  const { attainment_low: low, attainment_high: high, target, breached } = row;
  const at = (share: number) => `${Math.max(0, Math.min(1, (share - from) / (1 - from))) * 100}%`;
  const label = `${percentInterval(low, high)} good, objective ${percent(target)}${breached ? ', broken' : ''}`;
  return (
    <div class={`interval ${breached ? 'interval-breached' : ''} ${slim ? 'interval-slim' : ''}`} role="img" aria-label={label} title={label}>
      {low !== null && <span class="interval-sure" style={{ width: at(low) }} />}
      {low !== null && high !== null && high > low && <span class="interval-maybe" style={{ left: at(low), right: `calc(100% - ${at(high)})` }} />}
      <span class="interval-mark" style={{ left: at(target) }} />
    </div>
  );
}
