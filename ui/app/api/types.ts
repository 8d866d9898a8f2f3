/** The shapes of the server's answers, as docs/http-api.md states them. `null` is unknown, never zero. */

/** Unix nanoseconds as decimal text, since they exceed 2^53. */
export type UnixNano = string;
export type Ns = number;

export const SLICE_KEYS = ['tenant', 'workload_class', 'model', 'hardware'] as const;
export type SliceKey = (typeof SLICE_KEYS)[number];
export type Slice = Partial<Record<SliceKey, string | null>>;

export const OUTCOMES = ['ok', 'overload', 'dependency', 'correctness', 'deadline', 'cancelled', 'internal'] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** The classes that partition a span's time, in the order in which they are drawn and listed. */
export const CLASSES = ['queue', 'load', 'compute', 'transit', 'backoff', 'blocked', 'unattributed'] as const;
export type TimeClass = (typeof CLASSES)[number];

interface Answer {
  start_unix_nano: UnixNano;
  end_unix_nano: UnixNano;
  step_ns: Ns;
  sql: string;
}

export interface Objective {
  name: string;
  display_name: string | null;
  stage: string | null;
  filter: Record<string, string>;
  threshold_ns: Ns | null;
  target: number;
  quality: string[];
  evaluator: string | null;
  judging: string;
}

export type SampleKind = 'good' | 'late' | 'failed' | 'green_but_wrong' | 'unjudged';

export interface GoodputPoint {
  time_unix_nano: UnixNano;
  offered: number;
  good_low: number;
  good_high: number;
  unjudged: number;
  green_but_wrong: number;
}

export interface GoodputRow {
  objective: string;
  stage: string | null;
  key: Record<string, string | null>;
  offered: number;
  good_low: number;
  good_high: number;
  judged: number;
  unjudged: number;
  judged_share: number | null;
  attainment_low: number | null;
  attainment_high: number | null;
  goodput_low_per_s: number | null;
  goodput_high_per_s: number | null;
  late: number;
  failed: number;
  outcomes: Partial<Record<Outcome, number>>;
  green_but_wrong: number;
  green_but_wrong_share: number | null;
  target: number;
  breached: boolean;
  burn: Record<string, number | null>;
  budget_remaining: number | null;
  incomplete: boolean;
  series: GoodputPoint[];
  sample_trace_ids: Partial<Record<SampleKind, string[]>>;
}

export interface GoodputAnswer extends Answer {
  by: string[];
  verdict_watermark_unix_nano: UnixNano | null;
  objectives_source: string;
  objectives: Objective[];
  rows: GoodputRow[];
}

export interface QueueingPoint {
  time_unix_nano: UnixNano;
  runs: number;
  duration_ns: Ns;
  queue_ns: Ns | null;
  load_ns: Ns;
  compute_ns: Ns;
  transit_ns: Ns;
  backoff_ns: Ns;
  unattributed_ns: Ns;
}

export interface QueueingGroup {
  key: Record<string, string | null>;
  runs: number;
  errors: number;
  duration_ns: Ns;
  queue_ns: Ns | null;
  load_ns: Ns;
  compute_ns: Ns;
  transit_ns: Ns;
  backoff_ns: Ns;
  blocked_ns: Ns;
  unattributed_ns: Ns;
  queue_share: number | null;
  queue_coverage: number;
  duration_p50_ns: Ns | null;
  duration_p95_ns: Ns | null;
  duration_p99_ns: Ns | null;
  queue_p50_ns: Ns | null;
  queue_p95_ns: Ns | null;
  queue_p99_ns: Ns | null;
  critical_path_ns: Ns;
  series: QueueingPoint[];
  sample_trace_ids: string[];
}

export interface QueueingAnswer extends Answer {
  by: string[];
  groups: QueueingGroup[];
}

export interface RetryEdge {
  caller: string;
  callee: string;
  operation: string;
  logical_calls: number;
  attempts: number;
  retries: number;
  failed_attempts: number;
  hedges: number;
  amplification: number | null;
  retry_share: number | null;
  wasted_ns: Ns;
  backoff_ns: Ns;
  peak: { time_unix_nano: UnixNano; amplification: number | null; retry_share: number | null } | null;
  series: { time_unix_nano: UnixNano; logical_calls: number; attempts: number; retries: number; wasted_ns: Ns }[];
  sample_trace_ids: string[];
}

export interface RetriesAnswer extends Answer {
  totals: {
    logical_calls: number;
    attempts: number;
    retries: number;
    amplification: number | null;
    retry_share: number | null;
    wasted_ns: Ns;
  };
  edges: RetryEdge[];
  loops: { tool: string; service: string; sessions: number; repeats: number; longest_run: number; sample_trace_ids: string[] }[];
}

export interface StormEdge {
  caller: string;
  callee: string;
  operation: string;
  depth: number;
  storming: boolean;
  trigger: boolean;
  logical_calls: number;
  attempts: number;
  retries: number;
  failed_attempts: number;
  wasted_ns: Ns;
  amplification: number | null;
  retry_share: number | null;
}

export interface Storm {
  start_unix_nano: UnixNano;
  end_unix_nano: UnixNano;
  open: boolean;
  provisional: boolean;
  kind: 'overload' | 'dependency' | 'correctness' | null;
  trigger_caller: string | null;
  trigger_callee: string | null;
  trigger_operation: string | null;
  metastable: boolean | null;
  peak_amplification: number;
  layered_amplification: number;
  attempts: number;
  retries: number;
  attempts_above_baseline: number | null;
  wasted_ns: Ns;
  traces: number;
  goodput_lost: number | null;
  edges: StormEdge[];
  series: { time_unix_nano: UnixNano; offered: number | null; good: number | null; leaf_attempts: number | null; retries: number }[];
  sample_trace_ids: string[];
}

export interface StormsAnswer extends Answer {
  window_ns: Ns;
  budget: number;
  storms: Storm[];
}

export interface SlicesAnswer {
  keys: { key: string; values: { value: string; traces: number }[] }[];
}

export interface ServicesAnswer {
  services: { service: string; spans: number; errors: number; operations: number }[];
}

export interface TraceSummary {
  trace_id: string;
  tenant: string | null;
  root_service: string | null;
  root_name: string | null;
  start_unix_nano: UnixNano;
  duration_ns: Ns;
  span_count: number;
  error_count: number;
  outcome: Outcome | null;
  slice: Slice;
  queue_ns: Ns | null;
  attempts: number | null;
  retries: number | null;
  wasted_ns: Ns | null;
  verdict: 'pass' | 'fail' | null;
  settled: boolean;
}

export interface SearchAnswer {
  traces: TraceSummary[];
  next_cursor: string | null;
  sql: string;
}

export interface HeatmapAnswer {
  start_unix_nano: UnixNano;
  end_unix_nano: UnixNano;
  duration_min_ns: Ns;
  duration_max_ns: Ns;
  scale: 'log' | 'linear';
  columns: number;
  rows: number;
  /** [column, row, count, errors]; row 0 is the shortest. */
  cells: [number, number, number, number][];
  total: number;
}

export interface AnalysedSpan {
  span_id: string;
  parent_span_id: string | null;
  service: string;
  name: string;
  stage: string | null;
  kind: string;
  start_unix_nano: UnixNano;
  duration_ns: Ns;
  queue_ns: Ns | null;
  queue_source: string | null;
  queue_clipped_ns: Ns | null;
  load_ns: Ns;
  compute_ns: Ns;
  transit_ns: Ns;
  backoff_ns: Ns;
  blocked_ns: Ns;
  unattributed_ns: Ns;
  segments: { class: TimeClass; offset_ns: Ns; duration_ns: Ns }[];
  status: 'ok' | 'error' | 'unset';
  status_message: string | null;
  outcome: Outcome | null;
  attempt: number | null;
  group_id: string | null;
  flags: string[];
  depth: number;
  model: string | null;
  /** How much longer it could take, and how much shorter the request would be without it; null where the request does not wait for it. */
  slack_ns: number | null;
  drag_ns: number | null;
  operation: string | null;
  provider: string | null;
  agent: string | null;
  tool: string | null;
  input_tokens: number | null;
  output_tokens: number | null;
  events: number;
  links: number;
}

export interface Attempt {
  group_id: string;
  group_source: string;
  caller: string;
  callee: string;
  operation: string;
  span_id: string;
  ordinal: number;
  start_unix_nano: UnixNano;
  duration_ns: Ns;
  outcome: Outcome | null;
  superseded: boolean;
  hedge: boolean;
  backoff_ns: Ns;
}

export interface Verdict {
  span_id: string | null;
  metric: string;
  label: string | null;
  score: number | null;
  pass: boolean | null;
  evaluator: string | null;
  explanation: string | null;
  judged_at_unix_nano: UnixNano;
}

export interface TraceAnalysis {
  trace_id: string;
  tenant: string | null;
  root_span_id: string | null;
  start_unix_nano: UnixNano;
  duration_ns: Ns;
  settled: boolean;
  revision: number;
  slice: Slice;
  outcome: Outcome | null;
  totals: Partial<Record<string, Ns | null>>;
  flags: string[];
  spans: AnalysedSpan[];
  critical_path: { span_id: string; stage: string | null; class: TimeClass; start_unix_nano: UnixNano; duration_ns: Ns }[];
  attempts: Attempt[];
  runs: { stage: string; root_span_id: string; start_unix_nano: UnixNano; duration_ns: Ns; queue_ns: Ns | null; outcome: Outcome | null; attempts: number }[];
  verdicts: Verdict[];
  violations: { kind: string; span_id: string; caller: string; callee: string; operation: string; detail: string }[];
}

export type Cell = string | number | boolean | null | object;

export interface SqlAnswer {
  columns: { name: string; type: string }[];
  rows: Cell[][];
  row_count: number;
  truncated: boolean;
  elapsed_ms: number;
  snapshot: { version: unknown; wal_seq: unknown } | null;
}

/** RFC 9457. */
export interface Problem {
  type?: string;
  title: string;
  status: number;
  detail?: string;
}
