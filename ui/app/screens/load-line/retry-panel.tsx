/** Where calls are tried again: the worst edges, and agents that repeat themselves. */
import type { JSX } from 'preact';
import type { Resource } from '../../api/resource';
import type { RetriesAnswer, RetryEdge } from '../../api/types';
import { count, duration, percent, times } from '../../format';
import { traceHref } from '../../router';
import { stamp } from '../../time';
import { Sparkline } from '../../ui/graphics';
import { Failure, Loading, Nothing, Panel } from '../../ui/parts';
import { samplesHref } from './stage-table';

const SHOWN = 8;

export function RetryPanel({ retries }: { retries: Resource<RetriesAnswer> }): JSX.Element {
  const { data, error, stale } = retries;
  const totals = data?.totals;
  return (
    <Panel
      title="Worst retry edges"
      note={totals !== undefined && `${count(totals.retries)} retries among ${count(totals.attempts)} attempts, ${duration(totals.wasted_ns)} wasted`}
      sql={data?.sql}
      stale={stale && data !== null}
    >
      {error !== null && <Failure error={error} />}
      {data === null ? error === null && <Loading what="Loading the retries" /> : <Edges data={data} />}
    </Panel>
  );
}

function Edges({ data }: { data: RetriesAnswer }): JSX.Element {
  const edges = data.edges.filter((e) => e.retries > 0).sort((a, b) => b.wasted_ns - a.wasted_ns);
  const most = Math.max(...edges.map((e) => e.amplification ?? 1), 2);
  return (
    <>
      {edges.length === 0 ? (
        <Nothing title="No call was tried twice in this window" />
      ) : (
        <div class="scroll-x">
          <table class="grid edges">
            <thead>
              <tr>
                <th scope="col">Caller → callee</th>
                <th scope="col">Attempts a call</th>
                <th scope="col" class="r">
                  Retry share
                </th>
                <th scope="col" class="r">
                  Wasted
                </th>
                <th scope="col">Retries over time</th>
                <th scope="col" class="r">
                  Peak
                </th>
              </tr>
            </thead>
            <tbody>
              {edges.slice(0, SHOWN).map((e) => (
                <Edge key={`${e.caller}|${e.callee}|${e.operation}`} edge={e} most={most} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {data.loops.length > 0 && <Loops loops={data.loops} />}
    </>
  );
}

function Edge({ edge: e, most }: { edge: RetryEdge; most: number }): JSX.Element {
  const extra = ((e.amplification ?? 1) - 1) / (most - 1);
  return (
    <tr>
      <th scope="row">
        <a class="edge-name" href={samplesHref(e.sample_trace_ids)}>
          <span>
            {e.caller} <i>→</i> {e.callee}
          </span>
          <small>
            {e.operation}
            {e.hedges > 0 && ` · ${count(e.hedges)} hedged`}
          </small>
        </a>
      </th>
      <td data-name="Attempts a call">
        <a class="amp" href={samplesHref(e.sample_trace_ids)}>
          <span class="amp-track" aria-hidden="true">
            <span style={{ width: `${Math.max(2, extra * 100)}%` }} />
          </span>
          <span class="num">{times(e.amplification)}</span>
        </a>
      </td>
      <td class="r num" data-name="Retry share">
        {percent(e.retry_share)}
      </td>
      <td class="r num" data-name="Wasted">
        {duration(e.wasted_ns)}
        <small>backoff {duration(e.backoff_ns)}</small>
      </td>
      <td data-name="Retries over time">
        <Sparkline values={e.series.map((p) => p.retries)} label="Retries over time" kind="bars" width={120} />
      </td>
      <td class="r num" data-name="Peak">
        {e.peak === null ? (
          '–'
        ) : (
          <>
            {times(e.peak.amplification)}
            <small>{stamp(e.peak.time_unix_nano).slice(0, -4)}</small>
          </>
        )}
      </td>
    </tr>
  );
}

function Loops({ loops }: { loops: RetriesAnswer['loops'] }): JSX.Element {
  return (
    <div class="loops">
      <h3>Agents that repeat themselves</h3>
      <ul>
        {loops.slice(0, 5).map((l) => (
          <li key={`${l.service}|${l.tool}`}>
            <a href={l.sample_trace_ids.length === 1 ? traceHref(l.sample_trace_ids[0]) : samplesHref(l.sample_trace_ids)}>
              <strong>{l.tool}</strong> by {l.service}: the same arguments up to {l.longest_run} times in a row, {count(l.repeats)} repeats in{' '}
              {count(l.sessions)} {l.sessions === 1 ? 'session' : 'sessions'}
            </a>
          </li>
        ))}
      </ul>
    </div>
  );
}
