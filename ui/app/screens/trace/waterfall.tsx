/** The rows of a trace: names as a tree, time as bars split by class. Only what is on screen is in the page. */
import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { TraceAnalysis } from '../../api/types';
import { duration } from '../../format';
import type { Row } from './layout';
import type { Window } from './zoom';

export const ROW_PX = 26;
const AHEAD = 12;

interface Props {
  analysis: TraceAnalysis;
  rows: Row[];
  window: Window;
  selected: number;
  showPath: boolean;
  collapsed: ReadonlySet<string>;
  found: (row: Row) => boolean;
  select: (index: number) => void;
  open: (index: number) => void;
  toggle: (row: Row) => void;
}

export function Waterfall(props: Props): JSX.Element {
  const { rows, selected, analysis, showPath } = props;
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const read = (): void => setView({ top: element.scrollTop, height: element.clientHeight });
    read();
    const observer = new ResizeObserver(read);
    observer.observe(element);
    element.addEventListener('scroll', read, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener('scroll', read);
    };
  }, []);
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const top = selected * ROW_PX;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + ROW_PX > element.scrollTop + element.clientHeight) element.scrollTop = top + ROW_PX - element.clientHeight;
  }, [selected]);
  const from = Math.max(0, Math.floor(view.top / ROW_PX) - AHEAD);
  const to = Math.min(rows.length, Math.ceil((view.top + view.height) / ROW_PX) + AHEAD);
  const origin = rows[0] === undefined ? '0' : String(BigInt(rows[0].span.start_unix_nano) - BigInt(rows[0].start));
  const path = useMemo(() => criticalPath(analysis, showPath, BigInt(origin)), [analysis, showPath, origin]);
  return (
    <div class="waterfall" ref={box} role="treegrid" aria-label="Spans" aria-rowcount={rows.length} tabIndex={0} aria-activedescendant={rows[selected] && `row-${rows[selected].span.span_id}`}>
      <div class="waterfall-all" role="rowgroup" style={{ height: `${rows.length * ROW_PX}px` }}>
        {rows.slice(from, to).map((row, i) => (
          <SpanRow key={row.span.span_id} {...props} row={row} index={from + i} path={path.get(row.span.span_id)} />
        ))}
      </div>
    </div>
  );
}

function criticalPath(analysis: TraceAnalysis, shown: boolean, origin: bigint): Map<string, { start: number; duration: number }[]> {
  const path = new Map<string, { start: number; duration: number }[]>();
  for (const part of shown ? analysis.critical_path : []) {
    const list = path.get(part.span_id) ?? [];
    list.push({ start: Number(BigInt(part.start_unix_nano) - origin), duration: part.duration_ns });
    path.set(part.span_id, list);
  }
  return path;
}

type RowProps = Props & { row: Row; index: number; path: { start: number; duration: number }[] | undefined };

function SpanRow({ row, index, window, selected, collapsed, found, select, open, toggle, analysis, path }: RowProps): JSX.Element {
  const { span } = row;
  const shown = window.to - window.from;
  const share = (ns: number): string => `${(ns / shown) * 100}%`;
  const at = row.start - window.from;
  const attempt = analysis.attempts.find((a) => a.span_id === span.span_id);
  const of = attempt && analysis.attempts.filter((a) => a.group_id === attempt.group_id).length;
  const verdicts = analysis.verdicts.filter((v) => v.span_id === span.span_id);
  const isOpen = !collapsed.has(span.span_id);
  const end = at + span.duration_ns;
  const right = end / shown > 0.82;
  const isSeen = end >= 0 && at <= shown;
  return (
    <div
      id={`row-${span.span_id}`}
      class={`span-row${index === selected ? ' is-selected' : ''}${found(row) ? ' is-found' : ''}`}
      style={{ top: `${index * ROW_PX}px` }}
      role="row"
      aria-level={row.depth + 1}
      aria-rowindex={index + 1}
      aria-selected={index === selected}
      aria-expanded={row.below > 0 ? isOpen : undefined}
      onClick={() => {
        select(index);
        open(index);
      }}
    >
      <div class="span-name" role="gridcell" style={{ paddingLeft: `${8 + Math.min(row.depth, 24) * 13}px` }}>
        {row.below > 0 ? (
          <button
            type="button"
            class="twist"
            tabIndex={-1}
            aria-label={isOpen ? 'Collapse' : `Expand ${row.below} spans`}
            onClick={(e) => {
              e.stopPropagation();
              toggle(row);
            }}
          >
            {isOpen ? '▾' : '▸'}
          </button>
        ) : (
          <span class="twist" />
        )}
        <span class="span-title" title={`${span.service}: ${span.name}`}>
          {span.status === 'error' && <span class="mark-error" title={`error: ${span.outcome}`}>! </span>}
          {span.name} <span class="quiet">{span.service}</span>
        </span>
        {attempt !== undefined && of !== undefined && (
          <span class={`badge${attempt.superseded ? ' is-superseded' : ''}`} title={`${attempt.group_source}; ${attempt.outcome}${attempt.superseded ? '; superseded' : ''}`}>
            try {attempt.ordinal}/{of}
          </span>
        )}
        {verdicts.map((v) => (
          <span key={v.metric} class={`badge ${v.pass === false ? 'is-wrong' : 'is-right'}`} title={v.explanation ?? v.metric}>
            {v.metric} {v.pass === null ? '?' : v.pass ? '✓' : '✗'}
          </span>
        ))}
      </div>
      <div class="span-time" role="gridcell" aria-label={`${span.stage}, ${duration(span.duration_ns)}`}>
        <div class="bar" style={{ left: share(at), width: `max(2px, ${share(span.duration_ns)})` }}>
          {span.segments.map((s) => (
            <i key={s.offset_ns} class={`class-${s.class}`} title={`${s.class} ${duration(s.duration_ns)}`} style={{ flexGrow: s.duration_ns }} />
          ))}
        </div>
        {path?.map((p) => <b key={p.start} class="on-path" style={{ left: share(p.start - window.from), width: share(p.duration) }} />)}
        {isSeen && (
          <span class="bar-label" style={right ? { right: share(Math.max(0, shown - Math.max(at, 0))), paddingRight: '6px' } : { left: share(end), paddingLeft: '6px' }}>
            {duration(span.duration_ns)}
          </span>
        )}
      </div>
    </div>
  );
}
