/** Goodput by one slice key: a row per value, the request first, then every stage. */
import type { JSX } from 'preact';
import type { Resource } from '../../api/resource';
import { SLICE_KEYS, type GoodputAnswer, type GoodputRow, type SliceKey } from '../../api/types';
import { is } from '../../filter';
import { count, percent, percentInterval } from '../../format';
import { exploreHref, patched } from '../../router';
import { Icon } from '../../ui/icons';
import { Failure, Loading, Nothing, Panel } from '../../ui/parts';
import { KEY_LABEL } from '../../ui/slice-picker';
import { IntervalBar } from './interval-bar';
import { samplesHref } from './stage-table';
import { axisStart, byStage, stageLabel, stageOf, telling } from './stages';

interface Props {
  breakdown: Resource<GoodputAnswer>;
  by: SliceKey;
}

export function SliceMatrix({ breakdown, by }: Props): JSX.Element {
  const { data, error, stale } = breakdown;
  return (
    <Panel
      title="By slice"
      sql={data?.sql}
      stale={stale && data !== null}
      tools={
        <div class="tabs" role="group" aria-label="Slice by">
          {SLICE_KEYS.map((key) => (
            <a key={key} href={patched({ by: key === 'model' ? null : key })} aria-current={key === by ? 'true' : undefined}>
              {KEY_LABEL[key]}
            </a>
          ))}
        </div>
      }
    >
      {error !== null && <Failure error={error} />}
      {data === null ? error === null && <Loading what="Loading the slices" /> : <Matrix data={data} by={by} />}
    </Panel>
  );
}

function Matrix({ data, by }: { data: GoodputAnswer; by: SliceKey }): JSX.Element {
  const stages = [...new Set(data.rows.map(stageOf))].sort(byStage);
  const lines = new Map<string | null, GoodputRow[]>();
  for (const row of data.rows) {
    const value = row.key[by] ?? null;
    lines.set(value, [...(lines.get(value) ?? []), row]);
  }
  if (lines.size === 0) return <Nothing title="Nothing to compare in this window" />;
  const from = axisStart(data.rows.map((r) => ({ low: r.attainment_low, target: r.target })));
  const main = stages[0];
  const ordered = [...lines].sort(([, a], [, b]) => offered(b) - offered(a));
  return (
    <div class="scroll-x">
      <table class="grid matrix">
        <thead>
          <tr>
            <th scope="col">{KEY_LABEL[by]}</th>
            <th scope="col" class="r">
              Arrivals
            </th>
            <th scope="col" class="matrix-main">
              {stageLabel(main)}
            </th>
            <th scope="col" class="r">
              Green but wrong
            </th>
            {stages.slice(1).map((s) => (
              <th scope="col" key={s} class="r">
                {stageLabel(s)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {ordered.map(([value, rows]) => {
            const at = (stage: string | null) => worst(rows.filter((r) => stageOf(r) === stage));
            const first = at(main);
            return (
              <tr key={value} class={first?.breached === true ? 'breached' : ''}>
                <th scope="row">
                  {value === null ? (
                    <span class="muted">not reported</span>
                  ) : (
                    <a href={patched({ [by]: value })} title={`Narrow everything to ${value}`}>
                      {value}
                    </a>
                  )}
                </th>
                <td class="r num" data-name="Arrivals">
                  {value === null ? count(offered(rows)) : <a href={exploreHref([is(by, value)])}>{count(offered(rows))}</a>}
                </td>
                <td data-name={stageLabel(main)}>
                  {first === null ? (
                    <span class="muted">–</span>
                  ) : (
                    <a class="good good-slim" href={samplesHref(telling(first))}>
                      <IntervalBar row={first} from={from} slim />
                      <span class="num">{percentInterval(first.attainment_low, first.attainment_high)}</span>
                    </a>
                  )}
                </td>
                <td class="r num" data-name="Green but wrong">
                  {first?.green_but_wrong_share === undefined || first.green_but_wrong_share === null ? (
                    <span class="muted">–</span>
                  ) : (
                    <a class={first.green_but_wrong > 0 ? 'wrong' : ''} href={samplesHref(first.sample_trace_ids.green_but_wrong ?? [])}>
                      {percent(first.green_but_wrong_share)}
                    </a>
                  )}
                </td>
                {stages.slice(1).map((s) => (
                  <td class="r num" key={s} data-name={stageLabel(s)}>
                    <StageCell row={at(s)} />
                  </td>
                ))}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function StageCell({ row }: { row: GoodputRow | null }): JSX.Element {
  if (row === null || row.attainment_low === null) return <span class="muted">–</span>;
  return (
    <a class={row.breached ? 'matrix-cell breach-text' : 'matrix-cell'} href={samplesHref(telling(row))} title={`objective ${percent(row.target)}, ${count(row.offered)} runs`}>
      {row.breached && <Icon name="alert" size={11} />}
      {percentInterval(row.attainment_low, row.attainment_high)}
    </a>
  );
}

const offered = (rows: readonly GoodputRow[]): number => Math.max(0, ...rows.map((r) => r.offered));

/** Where a stage has several objectives, the one that is furthest below its target speaks. */
function worst(rows: readonly GoodputRow[]): GoodputRow | null {
  return [...rows].sort((a, b) => (a.attainment_high ?? 1) - a.target - ((b.attainment_high ?? 1) - b.target))[0] ?? null;
}
