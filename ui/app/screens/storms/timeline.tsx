/** Storms over time, and one storm's requests against its attempts. */
import type { JSX } from 'preact';
import type { Storm, StormsAnswer } from '../../api/types';
import { count, perSecond } from '../../format';
import { patched } from '../../router';
import { clock, nanosToMs, stamp, timeTicks } from '../../time';
import { Chart } from '../../ui/chart';

/** Each storm is a bar from its start to its end, as thick as it multiplied. */
export function Timeline({ answer, chosen }: { answer: StormsAnswer; chosen: Storm | undefined }): JSX.Element {
  const [from, to] = [nanosToMs(answer.start_unix_nano), nanosToMs(answer.end_unix_nano)];
  const x = (nanos: string) => Math.min(100, Math.max(0, ((nanosToMs(nanos) - from) / (to - from)) * 100));
  const most = Math.max(...answer.storms.map((s) => s.layered_amplification), 2);
  return (
    <nav class="storm-timeline" aria-label="Storms over time">
      {answer.storms.map((s) => (
        <a
          key={s.start_unix_nano}
          href={patched({ storm: s.start_unix_nano })}
          class={`storm-bar${s === chosen ? ' is-chosen' : ''}${s.metastable === true ? ' is-sustained' : ''}`}
          style={{ left: `${x(s.start_unix_nano)}%`, width: `max(6px, ${x(s.end_unix_nano) - x(s.start_unix_nano)}%)`, height: `${30 + (s.layered_amplification / most) * 60}%` }}
          aria-label={`Storm at ${stamp(s.start_unix_nano)}`}
          aria-current={s === chosen ? 'true' : undefined}
        />
      ))}
      {timeTicks(from, to, 6).map((t) => (
        <span key={t} class="storm-tick" style={{ left: `${((t - from) / (to - from)) * 100}%` }}>
          {clock(t)}
        </span>
      ))}
    </nav>
  );
}

/** What came in, what was good of it, and what the deepest edge was asked. */
export function StormSeries({ storm, windowS }: { storm: Storm; windowS: number }): JSX.Element {
  const rate = (n: number | null) => (n === null ? null : n / windowS);
  const last = storm.edges.filter((e) => e.storming).at(-1);
  return (
    <div class="storm-series">
      <Chart
        title={`Requests a second against attempts on ${last === undefined ? 'the deepest edge' : `${last.caller} → ${last.callee}`}`}
      times={storm.series.map((p) => nanosToMs(p.time_unix_nano) / 1000)}
      series={[
        { label: 'attempts', values: storm.series.map((p) => rate(p.leaf_attempts)), stroke: '--red', fill: '--red-soft' },
        { label: 'requests', values: storm.series.map((p) => rate(p.offered)), stroke: '--ink-2' },
        { label: 'good', values: storm.series.map((p) => rate(p.good)), stroke: '--good-line' },
      ]}
      format={(v) => (v === null ? '–' : v >= 1000 ? count(Math.round(v)) : perSecond(v))}
    />
    </div>
  );
}
