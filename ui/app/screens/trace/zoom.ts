/** The stretch of the trace that the bars show: pure functions on nanoseconds from its start. */

export interface Window {
  from: number;
  to: number;
}

/** Below it bars say nothing more. */
const LEAST_NS = 1_000;

export const whole = (length: number): Window => ({ from: 0, to: length });

/** Within the trace, and not narrower than makes sense. */
export function within({ from, to }: Window, length: number): Window {
  const width = Math.min(length, Math.max(to - from, Math.min(LEAST_NS, length)));
  const start = Math.min(Math.max(0, from), length - width);
  return { from: start, to: start + width };
}

/** Narrower (below 1) or wider, about a point that stays where it is. */
export function scaled({ from, to }: Window, by: number, about: number, length: number): Window {
  return within({ from: about - (about - from) * by, to: about + (to - about) * by }, length);
}

/** Moved by a share of its width. */
export function moved({ from, to }: Window, by: number, length: number): Window {
  const step = (to - from) * by;
  return within({ from: from + step, to: to + step }, length);
}

/** `from-to`, as it stands in the address; null where it is not one. */
export function parse(text: string | null, length: number): Window | null {
  const [from, to] = (text ?? '').split('-').map(Number);
  if (text === null || !Number.isFinite(from) || !Number.isFinite(to) || to <= from) return null;
  return within({ from, to }, length);
}

/** Null is the whole trace, which needs no place in the address. */
export function print({ from, to }: Window, length: number): string | null {
  return from <= 0 && to >= length ? null : `${Math.round(from)}-${Math.round(to)}`;
}

/** Round points in time for an axis, about `most` of them. */
export function ticks({ from, to }: Window, most: number): number[] {
  const ideal = (to - from) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(Math.max(ideal, 1)));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= ideal) ?? power * 10;
  const found = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) found.push(at);
  return found;
}
