/** One trace: where its time went, what was tried again, and every span of it. */
import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { url } from '../../api/client';
import { useResource } from '../../api/resource';
import type { TraceAnalysis } from '../../api/types';
import { duration, plural } from '../../format';
import { place, setParams } from '../../router';
import { Copy, Failure, Loading, OutcomeBadge } from '../../ui/parts';
import { Drawer } from './drawer';
import { layout, matches, next, visible, type Row } from './layout';
import { Minimap } from './minimap';
import './trace.css';
import { Waterfall } from './waterfall';
import { moved, parse, print, scaled, whole, type Window } from './zoom';

const CLASSES = ['queue', 'load', 'compute', 'transit', 'backoff', 'unattributed'] as const;
const KEYS: [string, string][] = [
  ['j / k, ↓ / ↑', 'next, previous span'],
  ['Enter', 'open the span'],
  ['Esc', 'close, clear the search'],
  ['← / →', 'collapse, expand'],
  ['[ / ]', 'expand all, collapse all'],
  ['/', 'search'],
  ['e', 'next error'],
  ['q', 'next queue wait'],
  ['w / s', 'zoom in, out'],
  ['a / d', 'earlier, later'],
  ['0', 'the whole trace'],
  ['c', 'critical path on or off'],
  ['?', 'this list'],
];

export function Trace({ traceId }: { traceId: string }): JSX.Element {
  // Where a link says whose trace it is, that counts; else the chosen slice.
  const tenant = place.value.params.get('in') ?? place.value.params.get('tenant');
  const { data, error } = useResource<TraceAnalysis>(url(`/traces/${traceId}`, { view: 'analysis', tenant }), false);
  if (error !== null) return <Failure error={error} />;
  if (data === null) return <Loading what="the trace" />;
  return <Loaded analysis={data} />;
}

function Loaded({ analysis }: { analysis: TraceAnalysis }): JSX.Element {
  const { rows: all, length } = useMemo(() => layout(analysis), [analysis]);
  const [collapsed, setCollapsed] = useState<ReadonlySet<string>>(new Set());
  const [selected, setSelected] = useState(0);
  const [opened, setOpened] = useState<string | null>(null);
  const [text, setText] = useState('');
  const [showPath, setShowPath] = useState(true);
  const [help, setHelp] = useState(false);
  const search = useRef<HTMLInputElement>(null);
  const window = parse(place.value.params.get('zoom'), length) ?? whole(length);
  const zoom = (to: Window): void => setParams({ zoom: print(to, length) }, true);
  // About the selected span where it can be seen, else about the middle.
  const zoomBy = (by: number): void => {
    const row = rows[selected];
    const at = row === undefined ? -1 : row.start + row.span.duration_ns / 2;
    zoom(scaled(window, by, at > window.from && at < window.to ? at : (window.from + window.to) / 2, length));
  };
  const rows = useMemo(() => visible(all, collapsed), [all, collapsed]);
  const toggle = (row: Row): void => {
    const changed = new Set(collapsed);
    if (!changed.delete(row.span.span_id)) changed.add(row.span.span_id);
    setCollapsed(changed);
  };
  const jump = (wanted: (row: Row) => boolean): void => {
    const at = next(rows, selected, wanted);
    if (at !== null) setSelected(at);
  };
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
      if (event.metaKey || event.ctrlKey || event.altKey || (typing && event.key !== 'Escape' && event.key !== 'Enter')) return;
      const row = rows[selected];
      const actions: Record<string, () => void> = {
        j: () => setSelected(Math.min(rows.length - 1, selected + 1)),
        ArrowDown: () => setSelected(Math.min(rows.length - 1, selected + 1)),
        k: () => setSelected(Math.max(0, selected - 1)),
        ArrowUp: () => setSelected(Math.max(0, selected - 1)),
        ArrowLeft: () => row !== undefined && row.below > 0 && !collapsed.has(row.span.span_id) && toggle(row),
        ArrowRight: () => row !== undefined && collapsed.has(row.span.span_id) && toggle(row),
        '[': () => setCollapsed(new Set()),
        ']': () => setCollapsed(new Set(all.filter((r) => r.below > 0 && r.depth > 0).map((r) => r.span.span_id))),
        '/': () => search.current?.focus(),
        Enter: () => (typing ? jump((r) => matches(r, text)) : row !== undefined && setOpened(row.span.span_id)),
        Escape: () => {
          setOpened(null);
          setText('');
          setHelp(false);
          search.current?.blur();
        },
        e: () => jump((r) => r.span.status === 'error'),
        q: () => jump((r) => (r.span.queue_ns ?? 0) > 0),
        w: () => zoomBy(0.5),
        '+': () => zoomBy(0.5),
        s: () => zoomBy(2),
        '-': () => zoomBy(2),
        a: () => zoom(moved(window, -0.25, length)),
        d: () => zoom(moved(window, 0.25, length)),
        '0': () => zoom(whole(length)),
        c: () => setShowPath(!showPath),
        '?': () => setHelp(!help),
      };
      const action = actions[event.key];
      if (action === undefined) return;
      event.preventDefault();
      action();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  });
  const root = analysis.spans.find((s) => s.span_id === analysis.root_span_id);
  const open = analysis.spans.find((s) => s.span_id === opened);
  const retries = analysis.attempts.filter((a) => a.ordinal > 1 && a.group_source !== 'semantic_repeat').length;
  return (
    <div class="trace">
      <header class="trace-head">
        <h1>
          {root?.name ?? 'Trace'} <span class="quiet">{root?.service}</span>
        </h1>
        <p class="facts">
          <OutcomeBadge outcome={analysis.outcome} /> <strong>{duration(analysis.duration_ns)}</strong>
          <span>{plural(analysis.spans.length, 'span')}</span>
          {retries > 0 && <span>{plural(retries, 'retry', 'retries')}</span>}
          {Object.entries(analysis.slice).map(([key, value]) => value !== null && <span key={key} class="chip">{value}</span>)}
          <span class="mono quiet">
            {analysis.trace_id} <Copy text={analysis.trace_id} label="Copy the trace id" />
          </span>
          <a href={url(`/traces/${analysis.trace_id}`, { tenant: analysis.tenant })} download={`${analysis.trace_id}.json`}>
            OTLP JSON
          </a>
        </p>
        {analysis.verdicts.map((v) => (
          <p key={`${v.metric}${v.evaluator}${v.span_id}`} class={v.pass === false ? 'verdict is-wrong' : 'verdict'}>
            {v.pass === false ? '✗ ' : v.pass === true ? '✓ ' : ''}
            <strong>{v.metric}</strong> {v.label ?? v.score} <span class="quiet">{v.evaluator}</span> {v.explanation}
          </p>
        ))}
        {analysis.violations.map((v) => (
          <p key={`${v.kind}${v.span_id}`} class="verdict is-wrong">
            ✗ <strong>{v.kind.replaceAll('_', ' ')}</strong> {v.caller} → {v.callee} <span class="quiet">{v.operation}</span> {v.detail}{' '}
            <button type="button" class="button quiet" onClick={() => setOpened(v.span_id)}>
              Show the span
            </button>
          </p>
        ))}
      </header>
      <Where analysis={analysis} />
      <div class="trace-tools">
        <input ref={search} type="search" value={text} placeholder="Search spans ( / )" aria-label="Search spans" onInput={(e) => setText(e.currentTarget.value)} />
        <button type="button" aria-pressed={showPath} onClick={() => setShowPath(!showPath)}>
          Critical path
        </button>
        <button type="button" onClick={() => jump((r) => r.span.status === 'error')}>
          Next error
        </button>
        <button type="button" aria-expanded={help} onClick={() => setHelp(!help)}>
          Keys
        </button>
      </div>
      {help && (
        <dl class="keys">
          {KEYS.map(([keys, what]) => (
            <div key={keys}>
              <dt>{keys}</dt>
              <dd>{what}</dd>
            </div>
          ))}
        </dl>
      )}
      <Minimap rows={all} length={length} window={window} zoom={zoom} />
      <div class={open === undefined ? 'trace-body' : 'trace-body has-drawer'}>
        <Waterfall analysis={analysis} rows={rows} window={window} selected={selected} showPath={showPath} collapsed={collapsed} found={(r) => matches(r, text)} select={setSelected} open={(i) => setOpened(rows[i].span.span_id)} toggle={toggle} />
        {open !== undefined && <Drawer traceId={analysis.trace_id} tenant={analysis.tenant} span={open} close={() => setOpened(null)} />}
      </div>
    </div>
  );
}

/** Where this request's time went: the critical path by class. */
function Where({ analysis }: { analysis: TraceAnalysis }): JSX.Element {
  const parts = CLASSES.map((name) => ({ name, ns: analysis.totals[`${name}_ns`] ?? null }));
  return (
    <section class="where" aria-label="Where this request's time went">
      <div class="where-bar" aria-hidden="true">
        {parts.map((p) => p.ns !== null && p.ns > 0 && <i key={p.name} class={`class-${p.name}`} style={{ flexGrow: p.ns }} />)}
      </div>
      <ul>
        {parts.map((p) => (
          <li key={p.name}>
            <i class={`swatch class-${p.name}`} /> {p.name} <strong>{p.ns === null ? 'unknown' : duration(p.ns)}</strong>
          </li>
        ))}
      </ul>
    </section>
  );
}
