/** Find traces: a heatmap of duration over time, a filter, the traces themselves. */
import type { JSX } from 'preact';
import { url } from '../../api/client';
import { useResource } from '../../api/resource';
import type { HeatmapAnswer } from '../../api/types';
import { parse, print, refine, without, type Term } from '../../filter';
import { count, durationTerm } from '../../format';
import { patched, place, range, setParams, sliceTerms } from '../../router';
import { Icon } from '../../ui/icons';
import { Failure, Loading, Panel } from '../../ui/parts';
import './explore.css';
import { FilterBar } from './filter-bar';
import { Heatmap } from './heatmap';
import type { Brush } from './heatmap-geometry';
import { Results } from './results';

export function Explore(): JSX.Element {
  const { params } = place.value;
  const q = params.get('q') ?? '';
  const scale = params.get('scale') === 'linear' ? 'linear' : 'log';
  const whole = [print(sliceTerms()), q].filter((t) => t !== '').join(' and ');
  const heat = useResource<HeatmapAnswer>(url('/heatmap', { ...range.value, q: whole, scale, columns: 96, rows: 32 }));

  const narrow = (brush: Brush) => {
    const terms: Term[] = [
      { key: 'duration', op: '>=', value: durationTerm(brush.durationMinNs) },
      { key: 'duration', op: '<=', value: durationTerm(brush.durationMaxNs) },
    ];
    setParams({ q: refine(q, terms), start: new Date(brush.fromMs).toISOString(), end: new Date(brush.toMs).toISOString() });
  };

  return (
    <div class="screen">
      <h1 class="sr-only">Explore traces</h1>
      <div>
        <FilterBar q={q} />
        <Terms q={q} />
      </div>
      <Panel
        title="Duration over time"
        note={heat.data !== null && `${count(heat.data.total)} traces · drag over an area to look into it`}
        stale={heat.stale && heat.data !== null}
        tools={
          <div class="tabs" role="group" aria-label="Scale">
            <a href={patched({ scale: null })} aria-current={scale === 'log' ? 'true' : undefined}>
              Log
            </a>
            <a href={patched({ scale: 'linear' })} aria-current={scale === 'linear' ? 'true' : undefined}>
              Linear
            </a>
          </div>
        }
      >
        {heat.error !== null && <Failure error={heat.error} />}
        {heat.data === null ? heat.error === null && <Loading what="Counting traces" /> : <Heatmap data={heat.data} onBrush={narrow} />}
      </Panel>
      <Results q={whole} />
    </div>
  );
}

/** The filter's terms one by one, each to be dropped with a click. */
function Terms({ q }: { q: string }): JSX.Element | null {
  const terms = parse(q);
  if (terms === null || terms.length === 0) return null;
  return (
    <ul class="terms" aria-label="Filter terms">
      {terms.map((t, i) => (
        <li key={`${t.key}${t.op}${t.value}`}>
          <button type="button" class="chip" onClick={() => setParams({ q: without(q, i) })} title={`Remove ${t.key} ${t.op} ${t.value}`}>
            <span class="chip-key">{t.key}</span> {t.op} <span class="ellipsis">{t.key === 'trace_id' && t.op === '~' ? `${t.value.split('|').length} chosen traces` : t.value}</span>
            <Icon name="close" size={9} />
          </button>
        </li>
      ))}
      <li>
        <button type="button" class="button quiet" onClick={() => setParams({ q: null })}>
          Clear all
        </button>
      </li>
    </ul>
  );
}
