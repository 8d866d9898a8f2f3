/** The server's HTTP API over the invented fleet, for work on the screens without a server. Never part of the build. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AnalysedSpan, Outcome, TraceAnalysis } from '../app/api/types.ts';
import { parse } from '../app/filter.ts';
import { instant } from '../app/time.ts';
import { random, trace } from './fleet.ts';

const COUNT = 1400;
const born = Date.now();
const traces: TraceAnalysis[] = Array.from({ length: COUNT }, (_, i) => {
  const minutes = 62 * (1 - i / COUNT);
  return trace(i, born - minutes * 60_000, minutes);
});
const big = trace(99_999, born - 120_000, 2, 7_000);
const byId = new Map([...traces, big].map((t) => [t.trace_id, t]));
big.trace_id = 'b19'.padEnd(32, '0');
byId.set(big.trace_id, big);

const msOf = (t: TraceAnalysis) => Number(BigInt(t.start_unix_nano) / 1_000_000n);
const nano = (ms: number) => (BigInt(Math.round(ms)) * 1_000_000n).toString();

interface Asked {
  from: number;
  to: number;
  traces: TraceAnalysis[];
  params: URLSearchParams;
}

function value(t: TraceAnalysis, key: string): (string | number)[] {
  if (key in t.slice) return [t.slice[key as 'tenant'] ?? ''];
  if (key === 'duration') return [t.duration_ns];
  if (key === 'queue') return [t.totals.queue_ns ?? 0];
  if (key === 'outcome') return [t.outcome ?? ''];
  if (key === 'trace_id') return [t.trace_id];
  if (key === 'attempts') return [t.attempts.length];
  if (key === 'errors') return [t.spans.filter((s) => s.status === 'error').length];
  if (key === 'root_name') return [t.spans[0].name];
  if (key in t.spans[0]) return t.spans.map((s) => s[key as keyof AnalysedSpan] as string);
  return [];
}

function matches(t: TraceAnalysis, filter: string): boolean {
  return (parse(filter) ?? []).every(({ key, op, value: wanted }) => {
    const unit = /^([\d.]+)(ns|us|ms|s|m)?$/.exec(wanted);
    const scale = { ns: 1, us: 1e3, ms: 1e6, s: 1e9, m: 6e10 }[unit?.[2] ?? 'ns'] ?? 1;
    const n = unit === null ? NaN : Number(unit[1]) * scale;
    const found = value(t, key);
    if (op === '!=') return !found.includes(wanted);
    return found.some((v) => (op === '=' ? String(v) === wanted || v === n : op === '~' ? new RegExp(wanted).test(String(v)) : op === '>' ? Number(v) > n : op === '>=' ? Number(v) >= n : op === '<' ? Number(v) < n : Number(v) <= n));
  });
}

function asked(params: URLSearchParams): Asked {
  const now = Date.now();
  const from = instant(params.get('start') ?? '-1h', now) ?? now - 36e5;
  const to = instant(params.get('end') ?? 'now', now) ?? now;
  const filter = params.get('q') ?? params.get('filter') ?? '';
  return { from, to, params, traces: traces.filter((t) => msOf(t) >= from && msOf(t) < to && matches(t, filter)) };
}

const steps = (a: Asked, n = 60) => Array.from({ length: n }, (_, i) => ({ from: a.from + ((a.to - a.from) * i) / n, to: a.from + ((a.to - a.from) * (i + 1)) / n }));
const frame = (a: Asked, sql: string) => ({ start_unix_nano: nano(a.from), end_unix_nano: nano(a.to), step_ns: ((a.to - a.from) / 60) * 1e6, sql });
const quantile = (v: number[], q: number) => (v.length === 0 ? null : [...v].sort((x, y) => x - y)[Math.min(v.length - 1, Math.floor(v.length * q))]);
const sum = (v: number[]) => v.reduce((x, y) => x + y, 0);

const OBJECTIVES = [
  { name: 'request', display_name: 'Requests', stage: null, filter: {}, threshold_ns: 6e9, target: 0.95, quality: ['task_success'], evaluator: null, judging: 'all' },
  ...([['authenticate', 50e6, 0.99], ['plan', 3e9, 0.97], ['authorize', 30e6, 0.99], ['inference', 2e9, 0.95], ['execute', 1e9, 0.97], ['record', 60e6, 0.99]] as const).map(
    ([stage, threshold_ns, target]) => ({ name: stage, display_name: stage, stage, filter: {}, threshold_ns, target, quality: [], evaluator: null, judging: 'all' }),
  ),
];

function goodput(a: Asked) {
  const by = (a.params.get('by') ?? '').split(',').filter((k) => k !== '');
  const rows = OBJECTIVES.flatMap((o) => {
    const groups = new Map<string, { key: Record<string, string | null>; runs: { t: TraceAnalysis; ms: number; d: number; outcome: Outcome | null }[] }>();
    for (const t of a.traces) {
      const runs = o.stage === null ? [{ duration_ns: t.duration_ns, outcome: t.outcome }] : t.runs.filter((x) => x.stage === o.stage);
      const key = Object.fromEntries(by.map((k) => [k, k === 'stage' ? o.stage : (t.slice[k as 'tenant'] ?? null)]));
      const id = JSON.stringify(key);
      const group = groups.get(id) ?? { key, runs: [] };
      groups.set(id, group);
      for (const run of runs) group.runs.push({ t, ms: msOf(t), d: run.duration_ns, outcome: run.outcome });
    }
    return [...groups.values()].map(({ key, runs }) => {
      const verdict = (t: TraceAnalysis) => (o.quality.length === 0 ? true : (t.verdicts[0]?.pass ?? null));
      const intime = (x: (typeof runs)[0]) => x.outcome === 'ok' && x.d <= o.threshold_ns;
      const low = (x: (typeof runs)[0]) => intime(x) && verdict(x.t) === true;
      const high = (x: (typeof runs)[0]) => intime(x) && verdict(x.t) !== false;
      const unjudged = runs.filter((x) => verdict(x.t) === null);
      const gbw = runs.filter((x) => intime(x) && verdict(x.t) === false);
      const n = runs.length;
      const ids = (list: typeof runs) => [...new Set(list.slice(-8).map((x) => x.t.trace_id))];
      const [lo, hi] = [runs.filter(low).length, runs.filter(high).length];
      const outcomes: Record<string, number> = {};
      for (const x of runs) outcomes[x.outcome ?? 'ok'] = (outcomes[x.outcome ?? 'ok'] ?? 0) + 1;
      const judged = n - unjudged.length;
      return {
        objective: o.name, stage: o.stage, key, offered: n, good_low: lo, good_high: hi, judged: o.quality.length ? judged : 0, unjudged: unjudged.length, judged_share: n ? judged / n : null,
        attainment_low: n ? lo / n : null, attainment_high: n ? hi / n : null, goodput_low_per_s: lo / ((a.to - a.from) / 1000), goodput_high_per_s: hi / ((a.to - a.from) / 1000),
        late: runs.filter((x) => x.outcome === 'ok' && x.d > o.threshold_ns).length, failed: runs.filter((x) => x.outcome !== 'ok').length, outcomes,
        green_but_wrong: gbw.length, green_but_wrong_share: o.quality.length && judged ? gbw.length / judged : null, target: o.target, breached: n > 0 && hi / n < o.target,
        burn: { '5m': 0.4, '1h': n ? (1 - hi / n) / (1 - o.target) : null, '6h': 0.8 }, budget_remaining: n ? 1 - (1 - hi / n) / (1 - o.target) : null, incomplete: false,
        series: steps(a).map((s) => {
          const w = runs.filter((x) => x.ms >= s.from && x.ms < s.to);
          return { time_unix_nano: nano(s.from), offered: w.length, good_low: w.filter(low).length, good_high: w.filter(high).length, unjudged: 0, green_but_wrong: 0 };
        }),
        sample_trace_ids: { good: ids(runs.filter(low)), late: ids(runs.filter((x) => x.outcome === 'ok' && x.d > o.threshold_ns)), failed: ids(runs.filter((x) => x.outcome !== 'ok')), green_but_wrong: ids(gbw), unjudged: ids(unjudged) },
      };
    });
  });
  return { ...frame(a, 'SELECT * FROM goodput(\'-1h\', \'now\')'), by, verdict_watermark_unix_nano: nano(a.to - 9e4), objectives_source: 'built-in defaults', objectives: OBJECTIVES, rows };
}

function queueing(a: Asked) {
  const groups = new Map<string, { t: TraceAnalysis; run: TraceAnalysis['runs'][0]; spans: AnalysedSpan[] }[]>();
  for (const t of a.traces) for (const run of t.runs) groups.set(run.stage, [...(groups.get(run.stage) ?? []), { t, run, spans: t.spans.filter((s) => s.stage === run.stage) }]);
  const part = (items: { t: TraceAnalysis; spans: AnalysedSpan[] }[], k: string) => {
    const seen = new Set<TraceAnalysis>();
    return sum(items.filter((i) => !seen.has(i.t) && seen.add(i.t)).flatMap((i) => i.spans.map((s) => (s[k as 'load_ns'] as number) ?? 0)));
  };
  return {
    ...frame(a, 'SELECT stage, sum(queue_ns) FROM stage_runs GROUP BY stage'), by: ['stage'],
    groups: [...groups].map(([stage, items]) => {
      const known = items.filter((i) => i.run.queue_ns !== null);
      const d = items.map((i) => i.run.duration_ns);
      return {
        key: { stage }, runs: items.length, errors: items.filter((i) => i.run.outcome !== 'ok').length, duration_ns: sum(d), queue_ns: known.length ? sum(known.map((i) => i.run.queue_ns!)) : null,
        load_ns: part(items, 'load_ns'), compute_ns: part(items, 'compute_ns'), transit_ns: part(items, 'transit_ns'), backoff_ns: part(items, 'backoff_ns'), blocked_ns: 0, unattributed_ns: part(items, 'unattributed_ns'),
        queue_share: known.length ? sum(known.map((i) => i.run.queue_ns!)) / sum(known.map((i) => i.run.duration_ns)) : null, queue_coverage: sum(known.map((i) => i.run.duration_ns)) / sum(d),
        duration_p50_ns: quantile(d, 0.5), duration_p95_ns: quantile(d, 0.95), duration_p99_ns: quantile(d, 0.99),
        queue_p50_ns: quantile(known.map((i) => i.run.queue_ns!), 0.5), queue_p95_ns: quantile(known.map((i) => i.run.queue_ns!), 0.95), queue_p99_ns: null, critical_path_ns: 1,
        series: steps(a).map((s) => {
          const w = items.filter((i) => msOf(i.t) >= s.from && msOf(i.t) < s.to);
          return { time_unix_nano: nano(s.from), runs: w.length, duration_ns: sum(w.map((i) => i.run.duration_ns)), queue_ns: sum(w.map((i) => i.run.queue_ns ?? 0)), load_ns: part(w, 'load_ns'), compute_ns: part(w, 'compute_ns'), transit_ns: part(w, 'transit_ns'), backoff_ns: part(w, 'backoff_ns'), unattributed_ns: part(w, 'unattributed_ns') };
        }),
        sample_trace_ids: items.sort((x, y) => y.run.duration_ns - x.run.duration_ns).slice(0, 5).map((i) => i.t.trace_id),
      };
    }),
  };
}

function retries(a: Asked) {
  const ops = new Map<string, { t: TraceAnalysis; x: TraceAnalysis['attempts'][0] }[]>();
  for (const t of a.traces) for (const x of t.attempts) ops.set(x.operation, [...(ops.get(x.operation) ?? []), { t, x }]);
  const edges = [...ops].map(([operation, list]) => {
    const calls = a.traces.flatMap((t) => t.spans.filter((s) => s.name === `execute_tool ${operation}`)).length;
    const retried = list.filter((i) => i.x.ordinal > 1);
    const series = steps(a).map((s) => {
      const w = list.filter((i) => msOf(i.t) >= s.from && msOf(i.t) < s.to);
      return { time_unix_nano: nano(s.from), logical_calls: 20, attempts: w.length + 20, retries: w.filter((i) => i.x.ordinal > 1).length, wasted_ns: 0 };
    });
    const peak = series.reduce((m, s) => (s.retries > m.retries ? s : m));
    return {
      caller: 'agent-runtime', callee: 'tool-server', operation, logical_calls: calls, attempts: calls + retried.length, retries: retried.length, failed_attempts: list.filter((i) => i.x.outcome !== 'ok').length, hedges: 0,
      amplification: (calls + retried.length) / calls, retry_share: retried.length / (calls + retried.length), wasted_ns: sum(list.filter((i) => i.x.superseded).map((i) => i.x.duration_ns + i.x.backoff_ns)), backoff_ns: sum(list.map((i) => i.x.backoff_ns)),
      peak: { time_unix_nano: peak.time_unix_nano, amplification: 2.6, retry_share: 0.6 }, series, sample_trace_ids: [...new Set(retried.slice(-6).map((i) => i.t.trace_id))],
    };
  });
  const n = sum(edges.map((e) => e.retries));
  return { ...frame(a, 'SELECT * FROM attempts'), totals: { logical_calls: sum(edges.map((e) => e.logical_calls)), attempts: sum(edges.map((e) => e.attempts)), retries: n, amplification: 1.2, retry_share: 0.1, wasted_ns: sum(edges.map((e) => e.wasted_ns)) }, edges,
    loops: [{ tool: 'search_flights', service: 'agent-runtime', sessions: 4, repeats: 19, longest_run: 6, sample_trace_ids: a.traces.slice(0, 2).map((t) => t.trace_id) }] };
}

function summary(t: TraceAnalysis) {
  const pass = t.verdicts[0]?.pass ?? null;
  return { trace_id: t.trace_id, tenant: t.tenant, root_service: t.spans[0].service, root_name: t.spans[0].name, start_unix_nano: t.start_unix_nano, duration_ns: t.duration_ns, span_count: t.spans.length, error_count: t.spans.filter((s) => s.status === 'error').length,
    outcome: t.outcome, slice: t.slice, queue_ns: t.totals.queue_ns ?? null, attempts: t.attempts.length, retries: t.attempts.filter((x) => x.ordinal > 1).length, wasted_ns: sum(t.attempts.filter((x) => x.superseded).map((x) => x.duration_ns)), verdict: pass === null ? null : pass ? 'pass' : 'fail', settled: true };
}

function search(a: Asked) {
  const sort = a.params.get('sort') ?? 'start';
  const key = (t: TraceAnalysis) => (sort === 'duration' ? t.duration_ns : sort === 'wasted' ? (summary(t).wasted_ns) : msOf(t));
  const from = Number(a.params.get('cursor') ?? 0);
  const limit = Number(a.params.get('limit') ?? 100);
  const list = [...a.traces].sort((x, y) => key(y) - key(x));
  return { traces: list.slice(from, from + limit).map(summary), next_cursor: list.length > from + limit ? String(from + limit) : null, sql: 'SELECT * FROM traces ORDER BY start_unix_nano DESC LIMIT 100' };
}

function heatmap(a: Asked) {
  const [columns, rows] = [Number(a.params.get('columns') ?? 60), Number(a.params.get('rows') ?? 32)];
  const log = a.params.get('scale') !== 'linear';
  const d = a.traces.map((t) => t.duration_ns);
  const [min, max] = [Math.min(...d, 1e9), Math.max(...d, 1e6)];
  const f = (v: number) => (log ? Math.log(v) : v);
  const cells = new Map<string, [number, number, number, number]>();
  for (const t of a.traces) {
    const c = Math.min(columns - 1, Math.floor(((msOf(t) - a.from) / (a.to - a.from)) * columns));
    const r = Math.min(rows - 1, Math.floor(((f(t.duration_ns) - f(min)) / (f(max) - f(min) || 1)) * rows));
    const cell = cells.get(`${c},${r}`) ?? [c, r, 0, 0];
    cell[2] += 1;
    if (t.outcome !== 'ok') cell[3] += 1;
    cells.set(`${c},${r}`, cell);
  }
  return { start_unix_nano: nano(a.from), end_unix_nano: nano(a.to), duration_min_ns: min, duration_max_ns: max, scale: log ? 'log' : 'linear', columns, rows, cells: [...cells.values()], total: a.traces.length };
}

const text = (key: string, v: string | number | null) => (v === null ? [] : [{ key, value: typeof v === 'number' ? { intValue: String(v) } : { stringValue: v } }]);

function otlp(t: TraceAnalysis) {
  const services = [...new Set(t.spans.map((s) => s.service))];
  const say = (s: AnalysedSpan) => (s.model === null ? [] : [
    { key: 'gen_ai.input.messages', value: { stringValue: JSON.stringify([{ role: 'system', parts: [{ type: 'text', content: 'You are a support agent of an airline. Follow the policy.' }] }, { role: 'user', parts: [{ type: 'text', content: 'Please move my flight to Friday.\nThe booking is **K3XQ2A**.' }] }]) } },
    { key: 'gen_ai.output.messages', value: { stringValue: JSON.stringify([{ role: 'assistant', parts: [{ type: 'text', content: 'Let me look at your booking.' }, { type: 'tool_call', id: 'c1', name: 'lookup_order', arguments: { booking: 'K3XQ2A' } }] }]) } },
  ]);
  return { resourceSpans: services.map((service) => ({
    resource: { attributes: [...text('service.name', service), ...text('service.version', '2.4.1'), ...text('host.name', 'node-7')] },
    scopeSpans: [{ scope: { name: `${service}.instrumentation`, version: '1.0' }, spans: t.spans.filter((s) => s.service === service).map((s) => ({
      traceId: t.trace_id, spanId: s.span_id, parentSpanId: s.parent_span_id ?? '', name: s.name, kind: 1, startTimeUnixNano: s.start_unix_nano, endTimeUnixNano: (BigInt(s.start_unix_nano) + BigInt(s.duration_ns)).toString(),
      attributes: [...text('gen_ai.request.model', s.model), ...text('gen_ai.tool.name', s.tool), ...text('gen_ai.usage.input_tokens', s.input_tokens), ...text('gen_ai.usage.output_tokens', s.output_tokens), ...text('tenant', t.tenant), ...say(s)],
      events: s.events ? [{ timeUnixNano: s.start_unix_nano, name: 'exception', attributes: [...text('exception.type', 'Overloaded'), ...text('exception.message', '503 overloaded, try later')] }] : [],
      links: [], status: s.status === 'error' ? { code: 2, message: s.status_message ?? '' } : {},
    })) }],
  })) };
}

const TABLES: Record<string, string[]> = { spans: ['trace_id', 'span_id', 'name', 'service_name', 'stage', 'duration_ns', 'start_time', 'tenant', 'model', 'queue_ns'], traces: ['trace_id', 'root_name', 'duration_ns', 'span_count', 'attempts', 'wasted_ns'], stage_runs: ['trace_id', 'stage', 'duration_ns', 'queue_ns', 'outcome', 'attempts'], attempts: ['trace_id', 'caller', 'callee', 'ordinal', 'outcome'] };

function sql(statement: string) {
  const answer = (columns: string[], rows: unknown[][]) => ({ columns: columns.map((name, i) => ({ name, type: typeof rows[0]?.[i] === 'number' ? 'Int64' : 'Utf8' })), rows, row_count: rows.length, truncated: rows.length >= 10000, elapsed_ms: 12.4, snapshot: { version: 41, wal_seq: 88213 } });
  if (/information_schema/.test(statement)) return answer(['table_name', 'column_name', 'data_type'], Object.entries(TABLES).flatMap(([t, c]) => c.map((n) => [t, n, /_ns$|count|attempts|ordinal/.test(n) ? 'Int64' : 'Utf8'])));
  if (/FROM stage_runs/.test(statement) && /sum\(attempts\)/.test(statement)) {
    const m = new Map<string, [number, number]>();
    for (const t of traces) for (const run of t.runs) m.set(run.stage, [(m.get(run.stage)?.[0] ?? 0) + run.attempts, (m.get(run.stage)?.[1] ?? 0) + 1]);
    return answer(['stage', 'attempts', 'runs'], [...m].map(([s, [x, n]]) => [s, x, n]));
  }
  const spans = traces.flatMap((t) => t.spans.map((s) => [t.trace_id, s.name, s.service, s.stage, s.duration_ns, s.queue_ns, t.slice.model]));
  return answer(['trace_id', 'name', 'service_name', 'stage', 'duration_ns', 'queue_ns', 'model'], spans.slice(0, 10000));
}

export async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
  const target = new URL(req.url ?? '/', 'http://mock');
  const send = (body: unknown, status = 200) => {
    res.writeHead(status, { 'content-type': status === 200 ? 'application/json' : 'application/problem+json' });
    res.end(JSON.stringify(body));
  };
  await new Promise((done) => setTimeout(done, 40 + random(born)() * 60));
  const a = asked(target.searchParams);
  const one = /^\/traces\/(\w+)$/.exec(target.pathname);
  if (one !== null) {
    const t = byId.get(one[1]);
    if (t === undefined) return send({ title: 'No such trace', status: 404, detail: `no span of trace ${one[1]} is stored; it may be younger than a second or past its retention` }, 404);
    return send(target.searchParams.get('view') === 'analysis' ? t : otlp(t));
  }
  if (target.pathname === '/sql') {
    let body = '';
    for await (const chunk of req) body += chunk;
    const statement = (JSON.parse(body) as { sql: string }).sql;
    if (/drop|insert/i.test(statement)) return send({ title: 'Not a reading statement', status: 400, detail: 'only SELECT, WITH, SHOW, DESCRIBE and EXPLAIN are answered' }, 400);
    if (req.headers.accept === 'text/csv') {
      res.writeHead(200, { 'content-type': 'text/csv' });
      const r = sql(statement);
      return void res.end([r.columns.map((c) => c.name).join(), ...r.rows.map((row) => row.join())].join('\n'));
    }
    return send(sql(statement));
  }
  const routes: Record<string, () => unknown> = {
    '/goodput': () => goodput(a), '/queueing': () => queueing(a), '/retries': () => retries(a), '/search': () => search(a), '/heatmap': () => heatmap(a),
    '/services': () => ({ services: [...new Set(traces.flatMap((t) => t.spans.map((s) => s.service)))].map((service) => ({ service, spans: 1, errors: 0, operations: 1 })) }),
    '/slices': () => ({ keys: ['tenant', 'workload_class', 'model', 'hardware'].map((key) => ({ key, values: [...new Set(a.traces.map((t) => t.slice[key as 'tenant']!))].map((v) => ({ value: v, traces: a.traces.filter((t) => t.slice[key as 'tenant'] === v).length })) })) }),
  };
  const route = routes[target.pathname];
  return route === undefined ? send({ title: 'Not found', status: 404, detail: target.pathname }, 404) : send(route());
}
