/** The traces that match, with what matters of each; more on request. */
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { get, url, ApiError } from '../../api/client';
import { useResource } from '../../api/resource';
import { SLICE_KEYS, type SearchAnswer, type TraceSummary } from '../../api/types';
import { count, duration, percent, plural } from '../../format';
import { patched, place, range, traceHref } from '../../router';
import { stamp } from '../../time';
import { Failure, FirstSpan, Loading, Nothing, OutcomeBadge, Panel, VerdictBadge } from '../../ui/parts';

const SORTS = ['start', 'duration', 'wasted'] as const;
type Sort = (typeof SORTS)[number];
const PAGE = 100;

export function Results({ q }: { q: string }): JSX.Element {
  const asked = place.value.params.get('sort');
  const sort: Sort = SORTS.find((s) => s === asked) ?? 'start';
  const target = url('/search', { ...range.value, q, sort, limit: PAGE });
  const [more, setMore] = useState<{ of: string; pages: SearchAnswer[] }>({ of: target, pages: [] });
  const pages = more.of === target ? more.pages : [];
  // Further pages continue one answer; while some are shown, the first page must not move under them.
  const first = useResource<SearchAnswer>(target, pages.length === 0);
  const [failed, setFailed] = useState<ApiError | null>(null);
  useEffect(() => setFailed(null), [target]);

  const last = pages.at(-1) ?? first.data;
  const traces = unique([...(first.data?.traces ?? []), ...pages.flatMap((p) => p.traces)]);
  const next = async () => {
    try {
      const page = await get<SearchAnswer>(`${target}&cursor=${encodeURIComponent(last!.next_cursor!)}`);
      setMore({ of: target, pages: [...pages, page] });
    } catch (error) {
      setFailed(error as ApiError);
    }
  };
  const error = first.error ?? failed;

  return (
    <Panel title="Traces" note={first.data !== null && `${plural(traces.length, 'trace')}${last?.next_cursor ? ' so far' : ''}`} sql={first.data?.sql} stale={first.stale && first.data !== null}>
      {error !== null && <Failure error={error} />}
      {first.data === null && error === null && <Loading what="Looking for traces" />}
      {first.data !== null && traces.length === 0 && (q === '' ? <FirstSpan /> : <Nothing title="No trace matches">Widen the time range, or drop a term of the filter.</Nothing>)}
      {traces.length > 0 && <Table traces={traces} sort={sort} />}
      {last !== null && last.next_cursor !== null && (
        <div class="more">
          <button type="button" class="button" onClick={next}>
            {PAGE} more
          </button>
        </div>
      )}
    </Panel>
  );
}

function unique(traces: TraceSummary[]): TraceSummary[] {
  return [...new Map(traces.map((t) => [`${t.tenant}/${t.trace_id}`, t])).values()];
}

function Table({ traces, sort }: { traces: TraceSummary[]; sort: Sort }): JSX.Element {
  const longest = Math.max(1, ...traces.map((t) => t.duration_ns));
  const head = (label: string, key: Sort) => (
    <th scope="col" aria-sort={sort === key ? 'descending' : undefined}>
      <a href={patched({ sort: key === 'start' ? null : key })} title={`Sort by ${label.toLowerCase()}`}>
        {label} {sort === key && <span aria-hidden="true">↓</span>}
      </a>
    </th>
  );
  return (
    <div class="scroll-x">
      <table class="grid results">
        <thead>
          <tr>
            {head('Start', 'start')}
            <th scope="col">Root</th>
            {head('Duration', 'duration')}
            <th scope="col" class="r">
              Queue
            </th>
            <th scope="col" class="r">
              Spans
            </th>
            <th scope="col" class="r">
              Errors
            </th>
            <th scope="col" class="r">
              Retries
            </th>
            {head('Wasted', 'wasted')}
            <th scope="col">Outcome</th>
            <th scope="col">Verdict</th>
            <th scope="col">Slice</th>
          </tr>
        </thead>
        <tbody>
          {traces.map((t) => (
            <Line key={`${t.tenant}/${t.trace_id}`} trace={t} longest={longest} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Line({ trace: t, longest }: { trace: TraceSummary; longest: number }): JSX.Element {
  const to = traceHref(t.trace_id, t.tenant);
  const share = t.queue_ns === null || t.duration_ns === 0 ? null : t.queue_ns / t.duration_ns;
  return (
    <tr>
      <td class="num">
        <a href={to}>{stamp(t.start_unix_nano)}</a>
      </td>
      <th scope="row">
        <a class="results-root" href={to} data-testid="trace-link">
          <span>{t.root_name ?? 'root not seen yet'}</span>
          <small>
            {t.root_service ?? ''} <span class="mono">{t.trace_id.slice(0, 8)}</span>
          </small>
        </a>
      </th>
      <td class="num results-duration">
        <a href={to}>
          <span class="results-bar" aria-hidden="true">
            <span style={{ width: `${(t.duration_ns / longest) * 100}%` }}>
              {share !== null && <i style={{ width: `${Math.min(1, share) * 100}%` }} />}
            </span>
          </span>
          {duration(t.duration_ns)}
        </a>
      </td>
      <td class="r num">{share === null ? <span class="muted">–</span> : percent(Math.min(1, share))}</td>
      <td class="r num">{count(t.span_count)}</td>
      <td class="r num">{t.error_count > 0 ? <span class="breach-text">{count(t.error_count)}</span> : <span class="muted">0</span>}</td>
      <td class="r num">{t.retries === null ? '–' : t.retries > 0 ? <b>{count(t.retries)}</b> : <span class="muted">0</span>}</td>
      <td class="num">{t.wasted_ns ? duration(t.wasted_ns) : <span class="muted">{t.wasted_ns === null ? '–' : '0'}</span>}</td>
      <td>{t.settled || t.outcome !== null ? <OutcomeBadge outcome={t.outcome} /> : <span class="badge badge-unknown">settling</span>}</td>
      <td>
        <VerdictBadge verdict={t.verdict} />
      </td>
      <td class="results-slice">
        {SLICE_KEYS.map((key) => t.slice[key])
          .filter((v) => v !== null && v !== undefined && v !== '')
          .join(' · ')}
      </td>
    </tr>
  );
}
