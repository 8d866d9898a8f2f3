import { expect, test } from 'vitest';
import type { TraceAnalysis } from '../../api/types';
import { layout, matches, next, visible } from './layout';

function analysis(spans: [id: string, depth: number, start: string, duration: number][]): TraceAnalysis {
  const full = spans.map(([span_id, depth, start_unix_nano, duration_ns]) => ({ span_id, depth, start_unix_nano, duration_ns, name: span_id, service: 'agent' }));
  return { spans: full } as unknown as TraceAnalysis;
}

const LARGE = '1700000000000000000';
const TRACE = analysis([
  ['root', 0, LARGE, 100],
  ['a', 1, '1700000000000000010', 50],
  ['b', 2, '1700000000000000020', 200],
  ['c', 1, '1700000000000000030', 5],
]);

test('offsets are exact to the nanosecond and the length covers what outlives the root', () => {
  const { rows, length } = layout(TRACE);
  expect(rows.map((r) => [r.start, r.below])).toEqual([[0, 3], [10, 1], [20, 0], [30, 0]]);
  expect(length).toBe(220);
});

test('a collapsed span hides its subtree only', () => {
  const { rows } = layout(TRACE);
  expect(visible(rows, new Set(['a'])).map((r) => r.span.span_id)).toEqual(['root', 'a', 'c']);
});

test('search and next go round', () => {
  const { rows } = layout(TRACE);
  expect(next(rows, 3, (r) => matches(r, 'A'))).toBe(0);
  expect(next(rows, 0, (r) => r.span.span_id === 'b')).toBe(2);
  expect(next(rows, 0, () => false)).toBeNull();
});
