/** What an engineer should know first: the few worst facts of the window, each leading on. Pure. */
import type { GoodputAnswer, GoodputRow, RetriesAnswer, RetryEdge } from '../../api/types';
import { duration, percent, percentInterval, plural, times } from '../../format';
import { stageOf, telling, type StageRow } from './stages';

export interface Finding {
  kind: 'breach' | 'wrong' | 'retry' | 'queue' | 'loop';
  subject: string;
  text: string;
  stage: string | null;
  traceIds: string[];
}

// Below these a fact is ordinary: the default retry budget is 10 %, and every system waits a little.
const NOTABLE_RETRY_SHARE = 0.1;
const NOTABLE_QUEUE_SHARE = 0.25;
const NOTABLE_WRONG_SHARE = 0.05;
const NOTABLE_LOOP = 3;

export function findings(rows: readonly StageRow[], retries: RetriesAnswer | null, breakdown: GoodputAnswer | null): Finding[] {
  return [...breaches(rows, breakdown), ...wrong(rows, breakdown), ...storms(retries), ...queues(rows), ...loops(retries)].slice(0, 6);
}

function breaches(rows: readonly StageRow[], breakdown: GoodputAnswer | null): Finding[] {
  return rows
    .filter((r) => r.goodput?.breached === true)
    .sort((a, b) => burn(b.goodput!) - burn(a.goodput!))
    .slice(0, 3)
    .map((r) => {
      const g = r.goodput!;
      const worst = worstSlice(g, breakdown, (row) => (row.attainment_high === null ? null : 1 - row.attainment_high));
      const fast = burn(g) > 0 ? `, budget burning ${times(burn(g))} as fast as allowed` : '';
      return {
        kind: 'breach',
        subject: r.label,
        text: `${percentInterval(g.attainment_low, g.attainment_high)} good against ${percent(g.target)}${fast}${said(worst, (w) => percentInterval(w.attainment_low, w.attainment_high))}`,
        stage: r.stage,
        traceIds: telling(g),
      };
    });
}

function wrong(rows: readonly StageRow[], breakdown: GoodputAnswer | null): Finding[] {
  const worst = rows
    .filter((r) => (r.goodput?.green_but_wrong_share ?? 0) >= NOTABLE_WRONG_SHARE)
    .sort((a, b) => b.goodput!.green_but_wrong_share! - a.goodput!.green_but_wrong_share!)[0];
  if (worst === undefined) return [];
  const g = worst.goodput!;
  const where = worstSlice(g, breakdown, (row) => row.green_but_wrong_share);
  return [
    {
      kind: 'wrong',
      subject: worst.label,
      text: `green but wrong: ${percent(g.green_but_wrong_share)} of the judged had no error, came in time, and were wrong${said(where, (w) => percent(w.green_but_wrong_share))}`,
      stage: worst.stage,
      traceIds: g.sample_trace_ids.green_but_wrong ?? [],
    },
  ];
}

function storms(retries: RetriesAnswer | null): Finding[] {
  const edges = (retries?.edges ?? []).filter((e) => (e.retry_share ?? 0) >= NOTABLE_RETRY_SHARE && (e.amplification ?? 0) > 1);
  return edges
    .sort((a, b) => b.wasted_ns - a.wasted_ns)
    .slice(0, 1)
    .map((e) => ({
      kind: 'retry',
      subject: edgeName(e),
      text: `${times(e.amplification)} tries a call${e.peak?.amplification ? ` (${times(e.peak.amplification)} at its peak)` : ''}, ${duration(e.wasted_ns)} wasted`,
      stage: null,
      traceIds: e.sample_trace_ids,
    }));
}

function queues(rows: readonly StageRow[]): Finding[] {
  const seen = rows.filter((r) => (r.queueing?.queue_share ?? 0) >= NOTABLE_QUEUE_SHARE);
  const worst = seen.sort((a, b) => b.queueing!.queue_share! - a.queueing!.queue_share!)[0];
  if (worst === undefined) return [];
  const q = worst.queueing!;
  return [
    {
      kind: 'queue',
      subject: worst.label,
      text: `waits ${percent(q.queue_share)} of its time (known for ${percent(q.queue_coverage)})${q.queue_p95_ns === null ? '' : `, p95 wait ${duration(q.queue_p95_ns)}`}`,
      stage: worst.stage,
      traceIds: q.sample_trace_ids,
    },
  ];
}

function loops(retries: RetriesAnswer | null): Finding[] {
  const worst = (retries?.loops ?? []).filter((l) => l.longest_run >= NOTABLE_LOOP).sort((a, b) => b.repeats - a.repeats)[0];
  if (worst === undefined) return [];
  return [
    {
      kind: 'loop',
      subject: worst.tool,
      text: `agents repeat the same call, up to ${worst.longest_run} times in a row, in ${plural(worst.sessions, 'session')}`,
      stage: null,
      traceIds: worst.sample_trace_ids,
    },
  ];
}

export const edgeName = (e: Pick<RetryEdge, 'caller' | 'callee'>): string => `${e.caller} → ${e.callee}`;

const burn = (row: GoodputRow): number => row.burn['1h'] ?? row.burn['5m'] ?? 0;

/** The slice value that is much worse than the whole, if one is: where to look first. */
function worstSlice(whole: GoodputRow, breakdown: GoodputAnswer | null, badness: (row: GoodputRow) => number | null): GoodputRow | null {
  const same = (breakdown?.rows ?? []).filter((r) => r.objective === whole.objective && stageOf(r) === stageOf(whole) && r.offered >= 5);
  const worst = same.sort((a, b) => (badness(b) ?? 0) - (badness(a) ?? 0))[0];
  if (worst === undefined || same.length < 2) return null;
  return (badness(worst) ?? 0) > 1.5 * (badness(whole) ?? 0) ? worst : null;
}

function said(row: GoodputRow | null, how: (row: GoodputRow) => string): string {
  const value = row === null ? null : Object.entries(row.key).find(([key]) => key !== 'stage');
  return row === null || value === undefined || value === null ? '' : `; worst for ${value[0].replace('_', ' ')} ${value[1] ?? 'unknown'}: ${how(row)}`;
}

