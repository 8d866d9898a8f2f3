/** Joins the answers of goodput, queueing and retries into one row per stage and objective. Pure. */
import type { GoodputAnswer, GoodputRow, QueueingAnswer, QueueingGroup } from '../../api/types';

/** How often a stage's calls were tried, from its runs. */
export type StageAttempts = ReadonlyMap<string, { attempts: number; runs: number }>;

export interface StageRow {
  /** Null is the request as a whole. */
  stage: string | null;
  objective: string | null;
  label: string;
  thresholdNs: number | null;
  goodput: GoodputRow | null;
  queueing: QueueingGroup | null;
  amplification: number | null;
}

/** The control plane's order; other stages follow by name, unless they are one of these. */
const ORDER = ['agent', 'gateway', 'authenticate', 'plan', 'retrieval', 'authorize', 'inference', 'execute', 'record'];

const rank = (stage: string | null): number => {
  if (stage === null) return -1;
  const at = ORDER.indexOf(stage);
  return at === -1 ? ORDER.length : at;
};

export function byStage(a: string | null, b: string | null): number {
  return rank(a) - rank(b) || (a ?? '').localeCompare(b ?? '');
}

export const stageOf = (row: GoodputRow): string | null => row.stage ?? row.key.stage ?? null;

export const stageLabel = (stage: string | null): string => stage ?? 'Request';

export function stageRows(goodput: GoodputAnswer | null, queueing: QueueingAnswer | null, attempts: StageAttempts): StageRow[] {
  const groups = new Map((queueing?.groups ?? []).map((g) => [g.key.stage ?? '', g]));
  const rows: StageRow[] = [];
  const judged = new Set<string | null>();
  for (const row of goodput?.rows ?? []) {
    const stage = stageOf(row);
    const objective = goodput?.objectives.find((o) => o.name === row.objective);
    judged.add(stage);
    rows.push({
      stage,
      objective: row.objective,
      label: stageLabel(stage),
      thresholdNs: objective?.threshold_ns ?? null,
      goodput: row,
      queueing: stage === null ? null : (groups.get(stage) ?? null),
      amplification: amplification(attempts, stage),
    });
  }
  for (const [stage, group] of groups) {
    if (judged.has(stage) || stage === '') continue;
    rows.push({ stage, objective: null, label: stage, thresholdNs: null, goodput: null, queueing: group, amplification: amplification(attempts, stage) });
  }
  return rows.sort((a, b) => byStage(a.stage, b.stage) || (a.objective ?? '').localeCompare(b.objective ?? ''));
}

function amplification(attempts: StageAttempts, stage: string | null): number | null {
  const known = stage === null ? undefined : attempts.get(stage);
  return known === undefined || known.runs === 0 ? null : known.attempts / known.runs;
}

/** Where a common axis of goodput begins, so that what differs can be seen: a round share below all that is shown. */
export function axisStart(rows: readonly { low: number | null; target: number }[]): number {
  const least = Math.min(0.95, ...rows.map((r) => Math.min(r.low ?? 1, r.target)));
  return Math.max(0, Math.floor((least - 0.02) * 10) / 10);
}

/** Traces that show why a number is not better; if nothing was bad, those that were good. */
export function telling(row: GoodputRow): string[] {
  const { failed = [], late = [], green_but_wrong: wrong = [], good = [] } = row.sample_trace_ids;
  const bad = [...new Set([...failed, ...late, ...wrong])];
  return bad.length > 0 ? bad : good;
}
