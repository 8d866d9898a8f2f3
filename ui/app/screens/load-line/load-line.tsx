/** The home screen: how deep each stage lies, against the line that it must keep. */
import type { JSX } from 'preact';
import { url } from '../../api/client';
import { useResource } from '../../api/resource';
import { SLICE_KEYS, type GoodputAnswer, type QueueingAnswer, type RetriesAnswer, type SliceKey } from '../../api/types';
import { place, range, sliceFilter } from '../../router';
import { nanosToMs, stamp } from '../../time';
import { Failure, FirstSpan, Loading, Panel } from '../../ui/parts';
import { useStageAttempts } from './attempts';
import { findings } from './findings';
import './load-line.css';
import { RetryPanel } from './retry-panel';
import { SliceMatrix } from './slice-matrix';
import { StageTable } from './stage-table';
import { stageRows } from './stages';
import { WrongNow } from './wrong-now';

export function LoadLine(): JSX.Element {
  const asked = { ...range.value, filter: sliceFilter() };
  const by = sliceBy();
  const goodput = useResource<GoodputAnswer>(url('/goodput', { ...asked, by: 'stage' }));
  const queueing = useResource<QueueingAnswer>(url('/queueing', { ...asked, by: 'stage' }));
  const retries = useResource<RetriesAnswer>(url('/retries', asked));
  const breakdown = useResource<GoodputAnswer>(url('/goodput', { ...asked, by }));
  const attempts = useStageAttempts(queueing.data);

  const rows = stageRows(goodput.data, queueing.data, attempts);
  const error = goodput.error ?? queueing.error;
  const waiting = (goodput.data === null && goodput.error === null) || (queueing.data === null && queueing.error === null);
  const empty = !waiting && error === null && rows.every((r) => (r.goodput?.offered ?? 0) + (r.queueing?.runs ?? 0) === 0);
  const span = goodput.data ?? queueing.data;
  const windowS = span === null ? 0 : (nanosToMs(span.end_unix_nano) - nanosToMs(span.start_unix_nano)) / 1000;

  if (empty) {
    return (
      <div class="screen">
        <h1 class="sr-only">Load line</h1>
        <FirstSpan />
      </div>
    );
  }
  return (
    <div class="screen">
      <h1 class="sr-only">Load line</h1>
      {!waiting && error === null && <WrongNow found={findings(rows, retries.data, breakdown.data)} judged={rows.some((r) => r.goodput !== null)} />}
      <Panel title="Load line" note={<Basis answer={goodput.data} />} sql={goodput.data?.sql ?? queueing.data?.sql} stale={goodput.stale && goodput.data !== null}>
        {error !== null && <Failure error={error} />}
        {waiting ? <Loading what="Loading the stages" /> : <StageTable rows={rows} windowS={windowS} />}
      </Panel>
      <SliceMatrix breakdown={breakdown} by={by} />
      <RetryPanel retries={retries} />
    </div>
  );
}

function sliceBy(): SliceKey {
  const asked = place.value.params.get('by');
  return SLICE_KEYS.find((key) => key === asked) ?? 'model';
}

/** Goodput is as known at a time: which objectives, and verdicts until when. */
function Basis({ answer }: { answer: GoodputAnswer | null }): JSX.Element | null {
  if (answer === null) return null;
  const until = answer.verdict_watermark_unix_nano;
  return (
    <>
      objectives: {answer.objectives_source} · {until === null ? 'no verdict yet' : `verdicts until ${stamp(until).slice(0, -4)}`}
    </>
  );
}
