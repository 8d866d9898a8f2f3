/** Small drawings in table cells. Each has a text beside or under it: none is the only place of a number. */
import type { JSX } from 'preact';
import { CLASSES, type Ns, type TimeClass } from '../api/types';
import { duration, percent } from '../format';

interface SparklineProps {
  values: readonly (number | null)[];
  label: string;
  width?: number;
  height?: number;
  /** Marks the last steps as unfinished, since work in flight exports only at its end. */
  kind?: 'area' | 'bars';
}

export function Sparkline({ values, label, width = 92, height = 22, kind = 'area' }: SparklineProps): JSX.Element {
  const known = values.map((v) => v ?? 0);
  const top = Math.max(...known, 0);
  const x = (i: number) => (known.length < 2 ? 0 : (i / (known.length - 1)) * width);
  const y = (v: number) => height - 1 - (top === 0 ? 0 : (v / top) * (height - 3));
  if (kind === 'bars') {
    const w = width / Math.max(known.length, 1);
    return (
      <svg class="spark" width={width} height={height} role="img" aria-label={label}>
        {known.map((v, i) => v > 0 && <rect class="spark-bar" x={i * w} y={y(v)} width={Math.max(w - 0.6, 0.8)} height={height - y(v)} />)}
      </svg>
    );
  }
  const line = known.map((v, i) => `${i === 0 ? 'M' : 'L'}${x(i).toFixed(1)} ${y(v).toFixed(1)}`).join('');
  return (
    <svg class="spark" width={width} height={height} role="img" aria-label={label}>
      {known.length > 1 && <path class="spark-area" d={`${line}L${width} ${height}L0 ${height}Z`} />}
      {known.length > 1 && <path class="spark-line" d={line} />}
    </svg>
  );
}

/** Queue hatched, compute solid: time by class, as one bar. */
export function ClassBar({ parts, label }: { parts: Partial<Record<TimeClass, Ns | null>>; label: string }): JSX.Element {
  const total = CLASSES.reduce((sum, c) => sum + (parts[c] ?? 0), 0);
  return (
    <div class="class-bar" role="img" aria-label={label}>
      {CLASSES.map((c) => {
        const ns = parts[c] ?? 0;
        return ns > 0 && <span key={c} class={`class-${c}`} style={{ flexGrow: ns / total }} title={`${c}: ${duration(ns)}, ${percent(ns / total)}`} />;
      })}
    </div>
  );
}
