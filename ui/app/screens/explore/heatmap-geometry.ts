/** Between cells, pixels, and what they mean. Pure. */
import type { HeatmapAnswer } from '../../api/types';
import { nanosToMs } from '../../time';

export interface Brush {
  fromMs: number;
  toMs: number;
  durationMinNs: number;
  durationMaxNs: number;
}

type Axes = Pick<HeatmapAnswer, 'start_unix_nano' | 'end_unix_nano' | 'duration_min_ns' | 'duration_max_ns' | 'scale' | 'columns' | 'rows'>;

export function timeAt(h: Axes, column: number): number {
  const [from, to] = [nanosToMs(h.start_unix_nano), nanosToMs(h.end_unix_nano)];
  return from + ((to - from) * column) / h.columns;
}

/** The duration at the lower edge of a row. */
export function durationAt(h: Axes, row: number): number {
  const part = row / h.rows;
  const [min, max] = [h.duration_min_ns, h.duration_max_ns];
  if (h.scale === 'linear') return min + (max - min) * part;
  const low = Math.max(1, min);
  return low * (Math.max(low, max) / low) ** part;
}

/** The row (with its fraction) at which a duration lies. */
export function rowOf(h: Axes, ns: number): number {
  const [min, max] = [h.duration_min_ns, h.duration_max_ns];
  if (max <= min) return 0;
  if (h.scale === 'linear') return ((ns - min) / (max - min)) * h.rows;
  const low = Math.max(1, min);
  return (Math.log(Math.max(ns, 1) / low) / Math.log(max / low)) * h.rows;
}

/** What a box of cells holds, both corners included. */
export function brushOf(h: Axes, a: [number, number], b: [number, number]): Brush {
  const [c0, c1] = [Math.min(a[0], b[0]), Math.max(a[0], b[0]) + 1];
  const [r0, r1] = [Math.min(a[1], b[1]), Math.max(a[1], b[1]) + 1];
  return { fromMs: timeAt(h, c0), toMs: timeAt(h, c1), durationMinNs: Math.floor(durationAt(h, r0)), durationMaxNs: Math.ceil(durationAt(h, r1)) };
}

/** Round durations to label an axis with: 1, 2 and 5 of each decade on a log scale, even steps on a linear one. */
export function durationTicks(h: Axes, wanted: number): number[] {
  const [min, max] = [Math.max(1, h.duration_min_ns), h.duration_max_ns];
  if (max <= min) return [min];
  if (h.scale === 'linear') {
    const raw = (max - min) / wanted;
    const decade = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((m) => m * decade).find((s) => s >= raw) ?? raw;
    return Array.from({ length: Math.floor(max / step) - Math.ceil(min / step) + 1 }, (_, i) => (Math.ceil(min / step) + i) * step);
  }
  const fine = [1, 2, 5];
  const all: number[] = [];
  for (let d = Math.floor(Math.log10(min)); d <= Math.ceil(Math.log10(max)); d += 1) for (const m of fine) all.push(m * 10 ** d);
  const inside = all.filter((v) => v >= min && v <= max);
  return inside.length <= wanted + 2 ? inside : inside.filter((v) => /^1/.test(v.toExponential()));
}
