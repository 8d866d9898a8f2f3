/** Numbers as people read them. Unknown (`null`) is always a dash, never a zero. */

export const UNKNOWN = '–';

const US = 1e3;
const MS = 1e6;
const S = 1e9;
const MINUTE = 60 * S;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Three significant digits, without trailing zeros that would claim more precision than there is. */
function three(value: number): string {
  if (value >= 99.95) return Math.round(value).toString();
  if (value >= 9.995) return value.toFixed(1).replace(/\.0$/, '');
  return value.toFixed(2).replace(/\.?0+$/, '');
}

export function duration(ns: number | null | undefined): string {
  if (ns === null || ns === undefined || !Number.isFinite(ns)) return UNKNOWN;
  if (ns < 0) return `−${duration(-ns)}`;
  if (ns < US) return `${Math.round(ns)} ns`;
  if (ns < 999.5 * US) return `${three(ns / US)} µs`;
  if (ns < 999.5 * MS) return `${three(ns / MS)} ms`;
  if (ns < 59.95 * S) return `${three(ns / S)} s`;
  if (ns < HOUR) return parts(ns, MINUTE, 'm', S, 's');
  if (ns < DAY) return parts(ns, HOUR, 'h', MINUTE, 'm');
  return parts(ns, DAY, 'd', HOUR, 'h');
}

function parts(ns: number, big: number, bigName: string, small: number, smallName: string): string {
  const total = Math.round(ns / small);
  const per = big / small;
  const rest = total % per;
  return `${Math.floor(total / per)}${bigName}${rest === 0 ? '' : ` ${rest}${smallName}`}`;
}

/** A duration as the filter grammar takes it: one number, one unit, no loss that matters. */
export function durationTerm(ns: number): string {
  if (ns >= S) return `${Number((ns / S).toPrecision(4))}s`;
  if (ns >= MS) return `${Number((ns / MS).toPrecision(4))}ms`;
  if (ns >= US) return `${Number((ns / US).toPrecision(4))}us`;
  return `${Math.round(ns)}ns`;
}

export function count(n: number | null | undefined): string {
  if (n === null || n === undefined || !Number.isFinite(n)) return UNKNOWN;
  if (n < 10_000) return Number.isInteger(n) ? n.toString() : three(n);
  if (n < 999_500) return `${three(n / 1e3)}k`;
  if (n < 999_500_000) return `${three(n / 1e6)}M`;
  return `${three(n / 1e9)}G`;
}

export function perSecond(n: number | null | undefined): string {
  if (n === null || n === undefined || !Number.isFinite(n)) return UNKNOWN;
  return n >= 100 ? `${count(Math.round(n))}/s` : n >= 0.1 || n === 0 ? `${three(n)}/s` : `${three(n * 60)}/min`;
}

/** A share in percent. Near the top more digits matter: 99.94 % is not 99.9 % to an error budget. */
export function percent(share: number | null | undefined): string {
  return share === null || share === undefined || !Number.isFinite(share) ? UNKNOWN : `${percentDigits(share)} %`;
}

export function percentDigits(share: number): string {
  const p = share * 100;
  if (p === 0 || p === 100) return p.toString();
  // Never round a shortfall away, nor a trace of something into nothing.
  if (p > 99) return (Math.floor(p * 100) / 100).toFixed(2).replace(/0$/, '');
  if (p < 0.1) return '<0.1';
  return p < 99.95 ? p.toFixed(1) : p.toFixed(2);
}

/** An interval, told as one number where both ends read alike. */
export function percentInterval(low: number | null, high: number | null): string {
  if (low === null || high === null) return UNKNOWN;
  const [l, h] = [percentDigits(low), percentDigits(high)];
  return l === h ? `${l} %` : `${l}–${h} %`;
}

export function times(n: number | null | undefined): string {
  return n === null || n === undefined || !Number.isFinite(n) ? UNKNOWN : `${n >= 10 ? three(n) : n.toFixed(2)}×`;
}

export function bytes(n: number): string {
  if (n < 1024) return `${n} B`;
  if (n < 1024 ** 2) return `${three(n / 1024)} KiB`;
  if (n < 1024 ** 3) return `${three(n / 1024 ** 2)} MiB`;
  return `${three(n / 1024 ** 3)} GiB`;
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}
