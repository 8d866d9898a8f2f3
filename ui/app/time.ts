/** The time range: what the URL holds, what the server is asked, and how it reads. */

export interface Range {
  start: string;
  end: string;
}

export const DEFAULT_RANGE: Range = { start: '-1h', end: 'now' };

export const PRESETS: readonly { start: string; label: string }[] = [
  { start: '-5m', label: 'Last 5 minutes' },
  { start: '-15m', label: 'Last 15 minutes' },
  { start: '-1h', label: 'Last hour' },
  { start: '-3h', label: 'Last 3 hours' },
  { start: '-12h', label: 'Last 12 hours' },
  { start: '-24h', label: 'Last 24 hours' },
  { start: '-7d', label: 'Last 7 days' },
];

const UNIT_MS: Record<string, number> = { s: 1e3, m: 6e4, h: 36e5, d: 864e5 };

/** Milliseconds since 1970 of `now`, `-15m`, RFC 3339 or unix nanoseconds; null if it is none of them. */
export function instant(text: string, now: number): number | null {
  const value = text.trim();
  if (value === 'now') return now;
  const relative = /^-(\d+(?:\.\d+)?)([smhd])$/.exec(value);
  if (relative !== null) return now - Number(relative[1]) * UNIT_MS[relative[2]];
  if (/^\d{16,19}$/.test(value)) return Number(BigInt(value) / 1_000_000n);
  if (!/^\d{4}-\d{2}-\d{2}/.test(value)) return null;
  const parsed = Date.parse(value);
  return Number.isNaN(parsed) ? null : parsed;
}

/** A relative range moves with the clock, so it can be refreshed; an absolute one stands still. */
export function isRelative(range: Range): boolean {
  return range.end === 'now' && range.start.startsWith('-');
}

export function rangeLabel(range: Range): string {
  const preset = PRESETS.find((p) => p.start === range.start);
  if (range.end === 'now' && preset !== undefined) return preset.label;
  if (isRelative(range)) return `Last ${range.start.slice(1)}`;
  const now = Date.now();
  const [a, b] = [instant(range.start, now), instant(range.end, now)];
  if (a === null || b === null) return 'Unreadable range';
  const sameDay = new Date(a).toDateString() === new Date(b).toDateString();
  return `${dayAndTime(a)} – ${sameDay ? clock(b, b - a < 6e5) : dayAndTime(b)}`;
}

/** Checks what someone typed. Answers what is wrong, and what would be right. */
export function rangeProblem(range: Range, now: number): string | null {
  const [a, b] = [instant(range.start, now), instant(range.end, now)];
  const forms = 'such as -15m, now, or 2026-11-20 14:05';
  if (a === null) return `The start is not a time: write one ${forms}.`;
  if (b === null) return `The end is not a time: write one ${forms}.`;
  return a < b ? null : 'The start must lie before the end.';
}

/** As the server takes it: local wall-clock text becomes UTC. */
export function canonical(text: string): string {
  const value = text.trim();
  if (value === 'now' || /^-\d/.test(value) || /^\d{16,19}$/.test(value)) return value;
  const parsed = instant(value.replace(' ', 'T'), 0);
  return parsed === null ? value : new Date(parsed).toISOString();
}

const two = (n: number) => n.toString().padStart(2, '0');

export function clock(ms: number, seconds = false): string {
  const d = new Date(ms);
  return `${two(d.getHours())}:${two(d.getMinutes())}${seconds ? `:${two(d.getSeconds())}` : ''}`;
}

export function dayAndTime(ms: number, seconds = false): string {
  const d = new Date(ms);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${clock(ms, seconds)}`;
}

export const nanosToMs = (nanos: string): number => Number(BigInt(nanos) / 1000n) / 1000;

/** Wall-clock time of an event, to the millisecond; the date only when it is not today's. */
export function stamp(nanos: string, now = Date.now()): string {
  const ms = nanosToMs(nanos);
  const d = new Date(ms);
  const time = `${clock(ms, true)}.${d.getMilliseconds().toString().padStart(3, '0')}`;
  return d.toDateString() === new Date(now).toDateString() ? time : `${dayAndTime(ms).slice(5, 10)} ${time}`;
}

export function ago(ms: number, now: number): string {
  const s = Math.max(0, Math.round((now - ms) / 1000));
  if (s < 60) return `${s} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
  return `${Math.floor(s / 86400)} d ago`;
}

/** Round tick positions (milliseconds) for a time axis of about `wanted` ticks. */
export function timeTicks(from: number, to: number, wanted: number): number[] {
  const steps = [1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 108e5, 216e5, 432e5, 864e5];
  const step = steps.find((s) => (to - from) / s <= wanted) ?? 864e5 * Math.ceil((to - from) / 864e5 / wanted);
  const ticks = [];
  for (let t = Math.ceil(from / step) * step; t <= to; t += step) ticks.push(t);
  return ticks;
}
