/** The URL is the state: path, and parameters. Whoever copies it shares exactly what is on the screen. */
import { computed, signal } from '@preact/signals';
import { SLICE_KEYS, type Slice } from './api/types';
import { is, print, type Term } from './filter';
import { DEFAULT_RANGE, isRelative, type Range } from './time';

export type Params = Record<string, string | undefined | null>;

interface Place {
  path: string;
  params: URLSearchParams;
}

const read = (): Place => ({ path: location.pathname, params: new URLSearchParams(location.search) });

export const place = signal<Place>(read());
addEventListener('popstate', () => (place.value = read()));

/** Range and slice go along from screen to screen; everything else belongs to one screen. */
const SHARED = ['start', 'end', ...SLICE_KEYS];

export function href(path: string, own: Params = {}, current: URLSearchParams = place.value.params): string {
  const params = new URLSearchParams();
  for (const key of SHARED) {
    const value = current.get(key);
    if (value !== null && !(key in own)) params.set(key, value);
  }
  for (const [key, value] of Object.entries(own)) {
    if (value !== undefined && value !== null && value !== '') params.set(key, value);
  }
  const query = params.toString();
  return query === '' ? path : `${path}?${query}`;
}

export function go(to: string, replace = false): void {
  if (to === location.pathname + location.search) return;
  history[replace ? 'replaceState' : 'pushState'](null, '', to);
  const moved = place.value.path !== location.pathname;
  place.value = read();
  if (moved) scrollTo(0, 0);
}

/** Changes some parameters of the present screen and leaves the others. */
export function setParams(patch: Params, replace = false): void {
  go(patched(patch), replace);
}

export function patched(patch: Params): string {
  const params = new URLSearchParams(place.value.params);
  for (const [key, value] of Object.entries(patch)) {
    if (value === undefined || value === null || value === '') params.delete(key);
    else params.set(key, value);
  }
  const query = params.toString();
  return query === '' ? place.value.path : `${place.value.path}?${query}`;
}

/** Plain clicks on links of this application stay in the page; all others are the browser's. */
export function followLinks(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const anchor = (event.target as Element | null)?.closest?.('a');
  if (!anchor || anchor.target !== '' || anchor.hasAttribute('download') || anchor.origin !== location.origin) return;
  if (!isScreen(anchor.pathname)) return;
  event.preventDefault();
  go(anchor.pathname + anchor.search);
}

export function isScreen(path: string): boolean {
  return path === '/' || path === '/explore' || path === '/storms' || path === '/sql' || /^\/trace\/[^/]+$/.test(path);
}

export const range = computed<Range>(() => {
  const { params } = place.value;
  const start = params.get('start') ?? DEFAULT_RANGE.start;
  return { start, end: params.get('end') ?? DEFAULT_RANGE.end };
});

export const moving = computed(() => isRelative(range.value));

export const slice = computed<Slice>(() => {
  const chosen: Slice = {};
  for (const key of SLICE_KEYS) {
    const value = place.value.params.get(key);
    if (value !== null) chosen[key] = value;
  }
  return chosen;
});

export function sliceTerms(): Term[] {
  return SLICE_KEYS.flatMap((key) => {
    const value = slice.value[key];
    return value === undefined || value === null ? [] : [is(key, value)];
  });
}

/** The chosen slice as the server's `filter`, with further terms of a panel's own. */
export function sliceFilter(more: readonly Term[] = []): string | undefined {
  const terms = [...sliceTerms(), ...more];
  return terms.length === 0 ? undefined : print(terms);
}

/** Explore, narrowed to what a number counts. The slice goes along by itself. */
export function exploreHref(terms: readonly Term[], own: Params = {}): string {
  return href('/explore', { q: print(terms), ...own });
}

export function traceHref(traceId: string, tenant?: string | null): string {
  return href(`/trace/${traceId}`, { in: tenant });
}
