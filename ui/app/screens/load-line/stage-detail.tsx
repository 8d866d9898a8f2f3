/** A stage's window over time: good against offered, where its time goes, how its runs ended, traces of each kind. */
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { CLASSES, OUTCOMES, type GoodputRow, type SampleKind, type TimeClass } from '../../api/types';
import { count, duration, percent } from '../../format';
import { traceHref } from '../../router';
import { nanosToMs } from '../../time';
import { Chart, type Series } from '../../ui/chart';
import { ClassBar } from '../../ui/graphics';
import { OutcomeBadge } from '../../ui/parts';
import type { StageRow } from './stages';

const KINDS: readonly { kind: SampleKind; label: string }[] = [
  { kind: 'failed', label: 'Failed' },
  { kind: 'late', label: 'Late' },
  { kind: 'green_but_wrong', label: 'Green but wrong' },
  { kind: 'unjudged', label: 'Unjudged' },
  { kind: 'good', label: 'Good' },
];

const DRAWN: readonly Exclude<TimeClass, 'blocked'>[] = ['queue', 'load', 'compute', 'transit', 'backoff', 'unattributed'];

export function StageDetail({ row }: { row: StageRow }): JSX.Element {
  const { goodput: g, queueing: q } = row;
  return (
    <div class="detail">
      {g !== null && <GoodputOverTime row={g} />}
      {q !== null && <TimeOverTime row={row} />}
      <div class="detail-side">
        {q !== null && (
          <div>
            <h3>Time of its runs</h3>
            <ClassBar parts={classParts(row)} label={`Time of ${row.label} by class`} />
            <ul class="legend">
              {CLASSES.map((c) => {
                const ns = classParts(row)[c];
                const total = Object.values(classParts(row)).reduce<number>((sum, v) => sum + (v ?? 0), 0);
                return (
                  ns !== undefined &&
                  ns !== null &&
                  ns > 0 && (
                    <li key={c}>
                      <i class={`swatch class-${c}`} /> {c} <b class="num">{percent(ns / total)}</b> <span class="muted num">{duration(ns)}</span>
                    </li>
                  )
                );
              })}
            </ul>
          </div>
        )}
        {g !== null && <Endings row={g} />}
      </div>
    </div>
  );
}

/** Blocked time is the children's, counted at their own stages; here it would count twice. */
function classParts(row: StageRow): Partial<Record<TimeClass, number | null>> {
  const q = row.queueing!;
  return { queue: q.queue_ns, load: q.load_ns, compute: q.compute_ns, transit: q.transit_ns, backoff: q.backoff_ns, unattributed: q.unattributed_ns };
}

function GoodputOverTime({ row }: { row: GoodputRow }): JSX.Element {
  const [times, series] = useMemo<[number[], Series[]]>(
    () => [
      row.series.map((p) => nanosToMs(p.time_unix_nano) / 1000),
      [
        { label: 'offered', values: row.series.map((p) => p.offered), stroke: '--ink-2' },
        { label: 'good at most', values: row.series.map((p) => p.good_high), stroke: '--good', fill: '--good-soft' },
        { label: 'good at least', values: row.series.map((p) => p.good_low), stroke: '--good-line', fill: '--good-soft' },
      ],
    ],
    [row.series],
  );
  return <Chart title="Good against offered" times={times} series={series} format={count} />;
}

function TimeOverTime({ row }: { row: StageRow }): JSX.Element {
  const points = row.queueing!.series;
  const [times, series] = useMemo<[number[], Series[]]>(() => {
    const below = points.map(() => 0);
    const stacked = DRAWN.map((c) => ({
      label: c,
      values: points.map((p, i) => (below[i] += (p[`${c}_ns`] ?? 0) / Math.max(p.runs, 1))),
      own: points.map((p) => (p.runs === 0 ? null : (p[`${c}_ns`] ?? null) === null ? null : p[`${c}_ns`]! / p.runs)),
      stroke: `--class-${c}`,
      fill: `--class-${c}`,
    }));
    // The tallest first, so that each lower band is painted over it.
    return [points.map((p) => nanosToMs(p.time_unix_nano) / 1000), stacked.reverse()];
  }, [points]);
  return <Chart title="Where a run's time goes" times={times} series={series} format={duration} />;
}

function Endings({ row }: { row: GoodputRow }): JSX.Element {
  return (
    <div>
      <h3>How its runs ended</h3>
      <ul class="endings">
        {OUTCOMES.map((o) => {
          const n = row.outcomes[o] ?? 0;
          return (
            n > 0 && (
              <li key={o}>
                <OutcomeBadge outcome={o} /> <b class="num">{count(n)}</b>
              </li>
            )
          );
        })}
      </ul>
      <h3>Traces of each kind</h3>
      <dl class="samples">
        {KINDS.map(({ kind, label }) => {
          const ids = row.sample_trace_ids[kind] ?? [];
          return (
            ids.length > 0 && (
              <div key={kind}>
                <dt>{label}</dt>
                <dd>
                  {ids.slice(0, 4).map((id) => (
                    <a key={id} class="mono" href={traceHref(id)}>
                      {id.slice(0, 8)}
                    </a>
                  ))}
                </dd>
              </div>
            )
          );
        })}
      </dl>
    </div>
  );
}
