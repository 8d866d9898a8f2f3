/** One row per stage: what came, what was good, what waited, what was tried again. */
import { Fragment, type ComponentChildren, type JSX } from 'preact';
import type { GoodputRow } from '../../api/types';
import { count, duration, percent, percentInterval, perSecond, times } from '../../format';
import { is, type Term } from '../../filter';
import { exploreHref, patched, place } from '../../router';
import { Sparkline } from '../../ui/graphics';
import { Icon } from '../../ui/icons';
import { lazy } from '../../ui/lazy';
import { IntervalBar } from './interval-bar';
import { axisStart, telling, type StageRow } from './stages';

const StageDetail = lazy(() => import('./stage-detail').then((m) => m.StageDetail));

const COLUMNS = 9;

export const rowKey = (row: StageRow): string => `${row.stage ?? 'request'}${row.objective === null ? '' : `/${row.objective}`}`;

export function StageTable({ rows, windowS }: { rows: StageRow[]; windowS: number }): JSX.Element {
  const from = axisStart(rows.flatMap((r) => (r.goodput === null ? [] : [{ low: r.goodput.attainment_low, target: r.goodput.target }])));
  const open = place.value.params.get('open');
  return (
    <div class="scroll-x">
      <table class="grid stages">
        <thead>
          <tr>
            <th scope="col">Stage</th>
            <th scope="col" class="r">
              Arrivals
            </th>
            <th scope="col" class="stages-axis">
              <span>Good</span>
              <span class="stages-scale" aria-hidden="true">
                <i>{Math.round(from * 100)}</i>
                <i>{Math.round((from + 1) * 50)}</i>
                <i>100 %</i>
              </span>
            </th>
            <th scope="col" class="r" title="How many times as fast as allowed the error budget is used up, over the last hour">
              Burn 1h
            </th>
            <th scope="col" class="r" title="Share of time spent waiting, where the wait is known">
              Queue
            </th>
            <th scope="col" class="r" title="Attempts for each logical call">
              Attempts
            </th>
            <th scope="col" class="r">
              p95
            </th>
            <th scope="col" class="r" title="No error, in time, and judged wrong: share of the judged">
              Green but wrong
            </th>
            <th scope="col" class="r" title="No verdict yet: good at best, bad at worst">
              Unjudged
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <Fragment key={rowKey(row)}>
              <Row row={row} from={from} windowS={windowS} open={open === rowKey(row)} />
              {open === rowKey(row) && (
                <tr class="stages-open">
                  <td colSpan={COLUMNS}>
                    <StageDetail row={row} />
                  </td>
                </tr>
              )}
            </Fragment>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const stageTerms = (row: StageRow): Term[] => (row.stage === null ? [] : [is('stage', row.stage)]);

/** Explore, holding exactly these traces. */
export function samplesHref(ids: readonly string[]): string {
  return exploreHref([{ key: 'trace_id', op: '~', value: `^(${ids.slice(0, 30).join('|')})$` }]);
}

function Row({ row, from, windowS, open }: { row: StageRow; from: number; windowS: number; open: boolean }): JSX.Element {
  const { goodput: g, queueing: q } = row;
  const all = exploreHref(stageTerms(row));
  const arrivals = g?.offered ?? q?.runs ?? null;
  const series = g?.series.map((p) => p.offered) ?? q?.series.map((p) => p.runs) ?? [];
  return (
    <tr class={`${g?.breached === true ? 'breached' : ''} ${row.stage === null ? 'stages-request' : ''} ${open ? 'is-open' : ''}`}>
      <th scope="row">
        <a class="stages-name" href={patched({ open: open ? null : rowKey(row) })} aria-expanded={open} title={open ? 'Close the details' : 'Details over time'}>
          <Icon name="chevron" size={11} class={open ? 'turned' : ''} />
          <span>
            {row.label}
            <small>
              {row.thresholdNs !== null && `≤ ${duration(row.thresholdNs)} · `}
              {g === null ? 'no objective' : `${percent(g.target)} wanted`}
            </small>
          </span>
        </a>
      </th>
      <Cell name="Arrivals">
        <span class="stages-arrivals">
          <Sparkline values={series} label={`Arrivals of ${row.label} over time`} kind="bars" width={84} />
          <a href={all}>
            {count(arrivals)}
            <small>{perSecond(arrivals === null || windowS === 0 ? null : arrivals / windowS)}</small>
          </a>
        </span>
      </Cell>
      <td data-name="Good" class="stages-good">{g === null ? <span class="muted">no objective set</span> : <Good row={g} from={from} label={row.label} />}</td>
      <Cell name="Burn">
        <Burn row={g} href={g === null ? all : lead(telling(g), all)} />
      </Cell>
      <Cell name="Queue">
        {q === null ? (
          <Unknown />
        ) : (
          <a href={exploreHref([...stageTerms(row), { key: 'queue', op: '>', value: '0ms' }])} title={`Queue is known for ${percent(q.queue_coverage)} of the stage's time`}>
            {percent(q.queue_share)}
            <small>known {percent(q.queue_coverage)}</small>
          </a>
        )}
      </Cell>
      <Cell name="Attempts">
        {row.amplification === null ? (
          <Unknown />
        ) : (
          <a class={row.amplification >= 1.1 ? 'strong' : ''} href={exploreHref([...stageTerms(row), { key: 'attempts', op: '>', value: '1' }])}>
            {times(row.amplification)}
          </a>
        )}
      </Cell>
      <Cell name="p95">
        {q === null || q.duration_p95_ns === null ? (
          <Unknown />
        ) : (
          <a href={lead(q.sample_trace_ids, all)} title={`p50 ${duration(q.duration_p50_ns)}, p99 ${duration(q.duration_p99_ns)}`}>
            {duration(q.duration_p95_ns)}
            <small>p50 {duration(q.duration_p50_ns)}</small>
          </a>
        )}
      </Cell>
      <Cell name="Green but wrong">
        {g === null || g.green_but_wrong_share === null ? (
          <Unknown />
        ) : (
          <a class={g.green_but_wrong > 0 ? 'wrong' : ''} href={lead(g.sample_trace_ids.green_but_wrong, all)}>
            {percent(g.green_but_wrong_share)}
            <small>{count(g.green_but_wrong)} wrong</small>
          </a>
        )}
      </Cell>
      <Cell name="Unjudged">
        {g === null ? (
          <Unknown />
        ) : (
          <a href={lead(g.sample_trace_ids.unjudged, all)}>
            {percent(g.offered === 0 ? null : g.unjudged / g.offered)}
            <small>{count(g.unjudged)} runs</small>
          </a>
        )}
      </Cell>
    </tr>
  );
}

/** The sampled traces where there are some, else all of the stage. */
function lead(ids: readonly string[] | undefined, otherwise: string): string {
  return ids === undefined || ids.length === 0 ? otherwise : samplesHref(ids);
}

function Good({ row, from, label }: { row: GoodputRow; from: number; label: string }): JSX.Element {
  const ids = telling(row);
  return (
    <a class="good" data-testid="goodput" href={lead(ids, exploreHref([]))} title={`Traces behind the goodput of ${label}`}>
      <IntervalBar row={row} from={from} />
      <span class="good-number num">
        {row.breached && <Icon name="alert" size={12} />}
        {percentInterval(row.attainment_low, row.attainment_high)}
        <small>
          {perSecond(row.goodput_low_per_s)}
          {row.goodput_high_per_s !== row.goodput_low_per_s && `–${perSecond(row.goodput_high_per_s)}`}
          {row.incomplete && ' · filling'}
        </small>
      </span>
    </a>
  );
}

function Burn({ row, href }: { row: GoodputRow | null; href: string }): JSX.Element {
  const hour = row?.burn['1h'] ?? null;
  if (row === null || hour === null) return <Unknown />;
  const all = Object.entries(row.burn).map(([w, b]) => `${w}: ${times(b)}`);
  return (
    <a href={href} class={hour >= 1 ? 'strong' : ''} title={`Burn over ${all.join(', ')}`}>
      {times(hour)}
      <small>{row.budget_remaining === null ? '' : `${percent(Math.max(0, row.budget_remaining))} left`}</small>
    </a>
  );
}

function Cell({ name, children }: { name: string; children: ComponentChildren }): JSX.Element {
  return (
    <td class="r num" data-name={name}>
      {children}
    </td>
  );
}

const Unknown = () => (
  <span class="muted" title="Unknown: nothing reported it">
    –
  </span>
);
