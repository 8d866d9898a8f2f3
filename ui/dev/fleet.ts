/** An invented agent fleet for `npm run dev`: seeded traces with a retry storm and a canary that is green but wrong. */
import type { AnalysedSpan, Attempt, Outcome, TimeClass, TraceAnalysis, Verdict } from '../app/api/types.ts';

export function random(seed: number): () => number {
  let s = seed >>> 0;
  return () => {
    s = (s + 0x6d2b79f5) >>> 0;
    let t = Math.imul(s ^ (s >>> 15), s | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const MS = 1e6;
const TENANTS = ['acme', 'globex', 'initech', 'umbrella'];
const MODELS = ['sonata-70b', 'sonata-70b', 'etude-8b', 'sonata-70b-canary'];
const CLASSES = ['interactive', 'batch', 'interactive', 'background'];
const HARDWARE = ['h100', 'h100', 'l40s', 'h100'];
const TOOLS = ['lookup_order', 'search_flights', 'update_booking', 'send_email'];

interface Open {
  span: AnalysedSpan;
  start: number;
  end: number;
  children: Open[];
}

const hex = (r: () => number, n: number) => Array.from({ length: n }, () => Math.floor(r() * 16).toString(16)).join('');

/** One agent run, `minutesAgo` before now. Minutes 30 to 22 are the storm. */
export function trace(index: number, startMs: number, minutesAgo: number, wide = 0): TraceAnalysis {
  const r = random(index * 7919 + 13);
  const pick = Math.floor(r() ** 1.4 * 4);
  const slice = { tenant: TENANTS[pick], workload_class: CLASSES[pick], model: MODELS[pick], hardware: HARDWARE[pick] };
  const storm = minutesAgo < 30 && minutesAgo > 22;
  const base = BigInt(Math.round(startMs)) * 1_000_000n;
  const at = (offset: number) => (base + BigInt(Math.round(offset))).toString();
  const attempts: Attempt[] = [];
  const verdicts: Verdict[] = [];
  const all: Open[] = [];
  const skewed = (scale: number) => (0.35 + r() * 0.9 + (r() < 0.06 ? r() * 6 : 0)) * scale * MS;

  const open = (parent: Open | null, name: string, service: string, stage: string, kind: string, start: number, more: Partial<AnalysedSpan> = {}): Open => {
    const o: Open = {
      start,
      end: start,
      children: [],
      span: {
        span_id: hex(r, 16), parent_span_id: parent?.span.span_id ?? null, service, name, stage, kind, start_unix_nano: at(start), duration_ns: 0,
        queue_ns: null, queue_source: null, queue_clipped_ns: null, load_ns: 0, compute_ns: 0, transit_ns: 0, backoff_ns: 0, blocked_ns: 0, unattributed_ns: 0,
        segments: [], status: 'unset', status_message: null, outcome: 'ok', attempt: null, group_id: null, flags: [], depth: 0,
        model: null, slack_ns: null, drag_ns: null, operation: null, provider: null, agent: null, tool: null, input_tokens: null, output_tokens: null, events: 0, links: 0, ...more,
      },
    };
    parent?.children.push(o);
    all.push(o);
    return o;
  };
  const leaf = (o: Open, parts: [TimeClass, number][]) => {
    let offset = 0;
    for (const [cls, ns] of parts) {
      const d = Math.round(ns);
      if (d <= 0) continue;
      o.span.segments.push({ class: cls, offset_ns: offset, duration_ns: d });
      offset += d;
    }
    o.end = o.start + offset;
    return o.end;
  };
  const call = (parent: Open, stage: string, name: string, service: string, start: number, parts: [TimeClass, number][], more: Partial<AnalysedSpan> = {}, own: Partial<AnalysedSpan> = {}) => {
    const client = open(parent, `POST ${name}`, parent.span.service, stage, 'client', start, own);
    const server = open(client, name, service, stage, 'server', start + 0.8 * MS + r() * 2 * MS, more);
    client.end = leaf(server, parts) + 0.5 * MS + r() * MS;
    return client;
  };

  const root = open(null, 'invoke_agent support', 'agent-runtime', 'agent', 'server', 0);
  let t = 2 * MS;
  t = call(root, 'authenticate', 'verify_token', 'identity', t, [['compute', skewed(9)]]).end + 0.4 * MS;
  const rounds = 1 + Math.floor(r() * 3) + wide;
  let failed: Outcome = 'ok';
  for (let round = 0; round < rounds && failed === 'ok'; round += 1) {
    const plan = open(root, 'plan', 'agent-runtime', 'plan', 'internal', t);
    const gateway = open(plan, 'POST /v1/chat/completions', 'agent-runtime', 'gateway', 'client', t + 0.6 * MS);
    const route = open(gateway, 'chat route', 'llm-gateway', 'gateway', 'server', gateway.start + 1.2 * MS);
    const busy = minutesAgo < 14 && slice.hardware === 'h100' ? 4 : 1;
    const queue = skewed(90 * busy);
    const chat = open(route, `chat ${slice.model}`, 'vllm', 'inference', 'server', route.start + 3 * MS, {
      model: slice.model, input_tokens: 900 + Math.floor(r() * 5000), output_tokens: 60 + Math.floor(r() * 500), queue_source: 'attribute',
    });
    leaf(chat, [['queue', queue], ['load', r() < 0.04 ? skewed(900) : 0], ['compute', skewed(520)], ['unattributed', skewed(22)]]);
    route.end = chat.end + 2 * MS;
    gateway.end = route.end + 1.1 * MS;
    plan.end = gateway.end + skewed(6);
    t = plan.end + 0.3 * MS;
    t = call(root, 'authorize', 'evaluate_policy', 'policy', t, [['compute', skewed(5)]]).end + 0.2 * MS;

    const tool = TOOLS[Math.floor(r() * TOOLS.length)];
    const execute = open(root, `execute_tool ${tool}`, 'agent-runtime', 'execute', 'internal', t, { tool, operation: 'execute_tool' });
    const tries = storm && slice.tenant !== 'umbrella' ? 1 + Math.floor(r() * 4) : r() < 0.04 ? 2 : 1;
    const fails = storm && r() < 0.25;
    const group = hex(r, 12);
    let u = t + 0.5 * MS;
    for (let n = 1; n <= tries; n += 1) {
      const last = n === tries;
      const bad = !last || fails;
      const mark: Partial<AnalysedSpan> = tries > 1 ? { attempt: n, group_id: group } : {};
      const c = call(execute, 'execute', `tools/call ${tool}`, 'tool-server', u,
        [['queue', storm ? skewed(180) : skewed(8)], ['compute', bad ? skewed(30) : skewed(110)]],
        { tool, queue_source: 'handoff', status: bad ? 'error' : 'ok', status_message: bad ? '503 overloaded, try later' : null, outcome: bad ? 'overload' : 'ok', events: bad ? 1 : 0 },
        { ...mark, tool, status: bad ? 'error' : 'ok', outcome: bad ? 'overload' : 'ok' });
      const backoff = last ? 0 : skewed(60 * 2 ** n);
      if (tries > 1)
        attempts.push({ group_id: group, group_source: 'siblings', caller: 'agent-runtime', callee: 'tool-server', operation: tool, span_id: c.span.span_id, ordinal: n,
          start_unix_nano: at(c.start), duration_ns: Math.round(c.end - c.start), outcome: bad ? 'overload' : 'ok', superseded: !last, hedge: false, backoff_ns: Math.round(backoff) });
      u = c.end + backoff;
    }
    execute.end = u + 0.4 * MS;
    t = execute.end + 0.3 * MS;
    if (fails) {
      failed = 'overload';
      execute.span.status = 'error';
      execute.span.outcome = 'overload';
    }
  }
  t = call(root, 'record', 'append_event', 'ledger', t, [['queue', skewed(3)], ['compute', skewed(7)]]).end;
  root.end = t + skewed(4);
  root.span.outcome = failed;
  root.span.status = failed === 'ok' ? 'unset' : 'error';

  const judged = r() < (minutesAgo < 6 ? 0.35 : 0.9);
  const pass = r() > (slice.model.endsWith('canary') ? 0.3 : 0.03);
  if (judged)
    verdicts.push({ span_id: null, metric: 'task_success', label: pass ? 'pass' : 'fail', score: pass ? 0.9 : 0.2, pass, evaluator: 'judge-v2',
      explanation: pass ? 'The booking was changed as asked.' : 'The agent confirmed a refund that the policy does not allow.', judged_at_unix_nano: at(root.end + 4e10) });

  const path: TraceAnalysis['critical_path'] = [];
  const ordered: Open[] = [];
  const seal = (o: Open, depth: number) => {
    o.span.depth = depth;
    o.span.duration_ns = Math.round(o.end - o.start);
    ordered.push(o);
    o.children.sort((a, b) => a.start - b.start);
    if (o.children.length > 0) {
      const own: TimeClass = o.span.kind === 'client' ? 'transit' : 'compute';
      let cursor = o.start;
      const put = (cls: TimeClass, from: number, to: number) => {
        if (to - from < 1) return;
        o.span.segments.push({ class: cls, offset_ns: Math.round(from - o.start), duration_ns: Math.round(to - from) });
        if (cls !== 'blocked') path.push({ span_id: o.span.span_id, stage: o.span.stage, class: cls, start_unix_nano: at(from), duration_ns: Math.round(to - from) });
      };
      o.children.forEach((c, i) => {
        const retried = i > 0 && c.span.attempt !== null && c.span.attempt > 1;
        put(retried ? 'backoff' : own, cursor, c.start);
        put('blocked', c.start, c.end);
        seal(c, depth + 1);
        cursor = c.end;
      });
      put(own, cursor, o.end);
    } else {
      for (const s of o.span.segments) path.push({ span_id: o.span.span_id, stage: o.span.stage, class: s.class, start_unix_nano: at(o.start + s.offset_ns), duration_ns: s.duration_ns });
    }
    for (const s of o.span.segments) {
      const key = `${s.class}_ns` as 'queue_ns';
      o.span[key] = (o.span[key] ?? 0) + s.duration_ns;
    }
  };
  seal(root, 0);

  const totals: Record<string, number> = {};
  for (const p of path) totals[`${p.class}_ns`] = (totals[`${p.class}_ns`] ?? 0) + p.duration_ns;
  const runs = ordered
    .filter((o) => o.span.parent_span_id === null || all.find((p) => p.span.span_id === o.span.parent_span_id)!.span.stage !== o.span.stage)
    .map((o) => ({ stage: o.span.stage!, root_span_id: o.span.span_id, start_unix_nano: o.span.start_unix_nano, duration_ns: o.span.duration_ns,
      queue_ns: under(o).reduce<number | null>((sum, c) => (c.span.stage !== o.span.stage || c.span.queue_ns === null ? sum : (sum ?? 0) + c.span.queue_ns), null), outcome: o.span.outcome,
      attempts: Math.max(1, ...under(o).map((c) => c.span.attempt ?? 1)) }));
  return {
    trace_id: hex(r, 32), tenant: slice.tenant, root_span_id: root.span.span_id, start_unix_nano: at(0), duration_ns: root.span.duration_ns, settled: true, revision: 1,
    slice, outcome: failed, totals, flags: [], spans: ordered.map((o) => o.span), critical_path: path, attempts, runs, verdicts, violations: [],
  };
}

function under(o: Open): Open[] {
  return [o, ...o.children.flatMap(under)];
}
