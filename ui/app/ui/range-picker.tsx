/** From when to when, and whether the page follows the clock. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { paused, refresh, running } from '../live';
import { moving, range, setParams } from '../router';
import { canonical, dayAndTime, DEFAULT_RANGE, instant, PRESETS, rangeLabel, rangeProblem, type Range } from '../time';
import { Icon } from './icons';
import { Popover } from './parts';

export function choose(next: Range): void {
  const plain = next.start === DEFAULT_RANGE.start && next.end === DEFAULT_RANGE.end;
  setParams(plain ? { start: null, end: null, cursor: null } : { start: next.start, end: next.end === 'now' ? null : next.end, cursor: null });
}

export function RangePicker(): JSX.Element {
  return (
    <Popover
      title="Time range"
      align="end"
      label={
        <>
          <Icon name="clock" />
          <span>{rangeLabel(range.value)}</span>
          <Icon name="down" size={10} />
        </>
      }
    >
      {(close) => <RangeForm close={close} />}
    </Popover>
  );
}

function RangeForm({ close }: { close: () => void }): JSX.Element {
  const shown = (text: string) => {
    const ms = /^-|^now$/.test(text) ? null : instant(text, 0);
    return ms === null ? text : dayAndTime(ms, true);
  };
  const [start, setStart] = useState(shown(range.value.start));
  const [end, setEnd] = useState(shown(range.value.end));
  const [problem, setProblem] = useState<string | null>(null);

  const submit = (event: Event) => {
    event.preventDefault();
    const next = { start: canonical(start), end: canonical(end) };
    const wrong = rangeProblem(next, Date.now());
    setProblem(wrong);
    if (wrong !== null) return;
    choose(next);
    close();
  };
  return (
    <div class="range-form">
      <ul class="menu">
        {PRESETS.map((p) => (
          <li key={p.start}>
            <button
              type="button"
              aria-pressed={range.value.end === 'now' && range.value.start === p.start}
              onClick={() => {
                choose({ start: p.start, end: 'now' });
                close();
              }}
            >
              {p.label}
            </button>
          </li>
        ))}
      </ul>
      <form class="stack" onSubmit={submit}>
        <label>
          From
          <input class="field" value={start} onInput={(e) => setStart(e.currentTarget.value)} spellcheck={false} />
        </label>
        <label>
          To
          <input class="field" value={end} onInput={(e) => setEnd(e.currentTarget.value)} spellcheck={false} />
        </label>
        {problem !== null && (
          <p class="field-problem" role="alert">
            {problem}
          </p>
        )}
        <button class="button primary" type="submit">
          Apply
        </button>
        <p class="muted small">Times are in your time zone. Relative ones follow the clock: -90m, now.</p>
      </form>
    </div>
  );
}

export function LiveButton(): JSX.Element {
  if (!moving.value) {
    return (
      <button type="button" class="button" onClick={() => choose(DEFAULT_RANGE)} title="This range stands still. Return to the last hour, live">
        <Icon name="play" size={11} /> Go live
      </button>
    );
  }
  const on = running();
  return (
    <button
      type="button"
      class="button"
      aria-pressed={!paused.value}
      onClick={() => {
        paused.value = !paused.value;
        if (!paused.value) refresh();
      }}
      title={paused.value ? 'Paused: follow new data again' : 'New data every 5 seconds. Pause'}
    >
      <span class={on ? 'pulse' : 'pulse pulse-off'} aria-hidden="true" />
      {paused.value ? 'Paused' : 'Live'}
    </button>
  );
}
