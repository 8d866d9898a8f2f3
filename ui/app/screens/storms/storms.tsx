/** Retry storms: when, what set them off, how they multiply through the layers, what they cost. */
import type { JSX } from 'preact';
import { url } from '../../api/client';
import { useResource } from '../../api/resource';
import type { Storm, StormsAnswer } from '../../api/types';
import { count, duration, percent, plural, times } from '../../format';
import { patched, place, range, sliceFilter } from '../../router';
import { nanosToMs, stamp } from '../../time';
import { Failure, Loading, Nothing, Panel } from '../../ui/parts';
import { samplesHref } from '../load-line/stage-table';
import { EdgeGraph } from './graph';
import './storms.css';
import { StormSeries, Timeline } from './timeline';

export function Storms(): JSX.Element {
  const storms = useResource<StormsAnswer>(url('/storms', { ...range.value, filter: sliceFilter() }));
  const { data, error, stale } = storms;
  const chosen = data === null ? undefined : choose(data.storms, place.value.params.get('storm'));
  return (
    <div class="screen">
      <h1 class="sr-only">Retry storms</h1>
      <Panel title="Storms" note={data !== null && <Basis answer={data} />} sql={data?.sql} stale={stale && data !== null}>
        {error !== null && <Failure error={error} />}
        {data === null ? error === null && <Loading what="Looking for storms" /> : <Body answer={data} chosen={chosen} />}
      </Panel>
      {chosen !== undefined && data !== null && <One storm={chosen} windowS={data.window_ns / 1e9} />}
    </div>
  );
}

/** The one that the address names, else one that goes on, else the most wasteful. */
function choose(storms: Storm[], named: string | null): Storm | undefined {
  const by = (better: (a: Storm, b: Storm) => boolean) => storms.reduce<Storm | undefined>((best, s) => (best === undefined || better(s, best) ? s : best), undefined);
  return storms.find((s) => s.start_unix_nano === named) ?? storms.find((s) => s.open) ?? by((a, b) => a.wasted_ns > b.wasted_ns);
}

function Basis({ answer }: { answer: StormsAnswer }): JSX.Element {
  const budget = `budget ${percent(answer.budget)}`;
  return (
    <>
      {plural(answer.storms.length, 'storm')} in windows of {duration(answer.window_ns)}, {budget}
    </>
  );
}

function Body({ answer, chosen }: { answer: StormsAnswer; chosen: Storm | undefined }): JSX.Element {
  if (answer.storms.length === 0) {
    return (
      <Nothing title="No storm in this window">
        An edge storms when a third of its attempts, of at least twenty in {duration(answer.window_ns)}, are retries.
      </Nothing>
    );
  }
  return (
    <>
      <Timeline answer={answer} chosen={chosen} />
      <div class="scroll-x">
        <table class="grid storms">
          <thead>
            <tr>
              <th scope="col">Began</th>
              <th scope="col">Trigger</th>
              <th scope="col">Kind</th>
              <th scope="col" class="r">
                Amplification
              </th>
              <th scope="col" class="r">
                Wasted
              </th>
              <th scope="col" class="r">
                Goodput lost
              </th>
              <th scope="col" class="r">
                Traces hit
              </th>
            </tr>
          </thead>
          <tbody>
            {answer.storms.map((s) => (
              <Row key={s.start_unix_nano} storm={s} chosen={s === chosen} />
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function Row({ storm: s, chosen }: { storm: Storm; chosen: boolean }): JSX.Element {
  return (
    <tr class={chosen ? 'is-chosen' : undefined}>
      <th scope="row">
        <a href={patched({ storm: s.start_unix_nano })} aria-current={chosen ? 'true' : undefined}>
          {stamp(s.start_unix_nano).slice(0, -4)}
          <small>{s.open ? 'goes on' : `for ${duration(lasted(s))}`}</small>
        </a>
      </th>
      <td data-name="Trigger">
        {s.trigger_callee === null ? (
          'unknown'
        ) : (
          <>
            {s.trigger_caller} <i>→</i> {s.trigger_callee}
            <small>{s.trigger_operation}</small>
          </>
        )}
      </td>
      <td data-name="Kind">
        {s.kind ?? 'unknown'}
        {s.metastable === true && <strong class="sustained">feeds itself</strong>}
        {s.provisional && <small>provisional</small>}
      </td>
      <td class="r num" data-name="Amplification">
        {times(s.layered_amplification)}
        <small>one edge up to {times(s.peak_amplification)}</small>
      </td>
      <td class="r num" data-name="Wasted">
        {duration(s.wasted_ns)}
      </td>
      <td class="r num" data-name="Goodput lost">
        {s.goodput_lost === null ? '–' : `${count(Math.round(s.goodput_lost))} requests`}
      </td>
      <td class="r num" data-name="Traces hit">
        <a href={samplesHref(s.sample_trace_ids)}>{count(s.traces)}</a>
      </td>
    </tr>
  );
}

const lasted = (s: Storm): number => (nanosToMs(s.end_unix_nano) - nanosToMs(s.start_unix_nano)) * 1e6;

const KINDS: Record<string, string> = {
  overload: 'its queue grew before it failed',
  dependency: 'it failed without a queue',
  correctness: 'what it was asked was wrong, so that asking again cannot help',
};

function One({ storm: s, windowS }: { storm: Storm; windowS: number }): JSX.Element {
  return (
    <Panel title={`Storm of ${stamp(s.start_unix_nano).slice(0, -4)}`} note={<>{s.open ? 'It goes on.' : `It lasted ${duration(lasted(s))}.`}</>}>
      <p class="storm-story">
        {s.trigger_callee !== null && (
          <>
            It began at <strong>{s.trigger_callee}</strong>, called by {s.trigger_caller}: {KINDS[s.kind ?? ''] ?? 'it failed first'}.{' '}
          </>
        )}
        {count(s.attempts)} attempts where {s.attempts_above_baseline === null ? 'nothing calm is known' : `${count(s.attempts - s.attempts_above_baseline)} are usual`};{' '}
        {duration(s.wasted_ns)} wasted.{' '}
        {s.metastable === true && <strong class="sustained">Its cause was over, and it went on: the retries were the load.</strong>}
        {s.metastable === false && 'It ended with its cause.'}
        {s.metastable === null && 'Whether it feeds itself cannot be told from this.'}{' '}
        <a href={samplesHref(s.sample_trace_ids)}>Look at traces</a>
      </p>
      <EdgeGraph storm={s} />
      <StormSeries storm={s} windowS={windowS} />
    </Panel>
  );
}
