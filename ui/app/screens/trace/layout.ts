/** The waterfall's rows: pure functions from an analysis to what is shown. */
import type { TraceAnalysis } from '../../api/types';

export type Span = TraceAnalysis['spans'][number];

export interface Row {
  span: Span;
  depth: number;
  /** Spans below it, however deep. */
  below: number;
  /** Nanoseconds from the trace's first start. */
  start: number;
}

export interface Layout {
  rows: Row[];
  /** From the first start to the last end. */
  length: number;
}

/** Spans come in pre-order with their depth, so a subtree is a run of rows. */
export function layout(analysis: TraceAnalysis): Layout {
  const starts = analysis.spans.map((s) => BigInt(s.start_unix_nano));
  const first = starts.reduce((a, b) => (b < a ? b : a), starts[0] ?? 0n);
  let length = 1;
  const rows = analysis.spans.map((span, i) => {
    const start = Number(starts[i] - first);
    length = Math.max(length, start + span.duration_ns);
    return { span, depth: span.depth, below: 0, start };
  });
  const open: Row[] = [];
  for (const row of rows) {
    while (open.length > 0 && open[open.length - 1].depth >= row.depth) open.pop();
    for (const ancestor of open) ancestor.below += 1;
    open.push(row);
  }
  return { rows, length };
}

/** The rows that are not within a collapsed span. */
export function visible(rows: readonly Row[], collapsed: ReadonlySet<string>): Row[] {
  const shown: Row[] = [];
  for (let i = 0; i < rows.length; i += 1) {
    shown.push(rows[i]);
    if (collapsed.has(rows[i].span.span_id)) i += rows[i].below;
  }
  return shown;
}

/** Whether a search text is in what the row shows. */
export function matches(row: Row, text: string): boolean {
  const wanted = text.trim().toLowerCase();
  if (wanted === '') return false;
  const { name, service, stage, span_id, tool, model } = row.span;
  return [name, service, stage, span_id, tool, model].some((part) => part?.toLowerCase().includes(wanted));
}

/** The next row after `from`, going round, of which `wanted` says so. */
export function next(rows: readonly Row[], from: number, wanted: (row: Row) => boolean): number | null {
  for (let step = 1; step <= rows.length; step += 1) {
    const at = (from + step) % rows.length;
    if (wanted(rows[at])) return at;
  }
  return null;
}
