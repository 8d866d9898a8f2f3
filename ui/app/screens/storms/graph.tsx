/** Who called whom during a storm, from the requests down: the thicker an arrow, the more attempts a call took. */
import type { JSX } from 'preact';
import type { Storm, StormEdge } from '../../api/types';
import { count, duration, percent, times } from '../../format';

export function EdgeGraph({ storm }: { storm: Storm }): JSX.Element {
  const layers = byDepth(storm.edges);
  const most = Math.max(...storm.edges.map((e) => e.amplification ?? 1), 2);
  return (
    <ol class="storm-graph" aria-label="The edges of the storm, from the requests down">
      {layers.map((edges, i) => (
        <li key={i} class="storm-layer">
          {edges.map((e) => (
            <Edge key={`${e.caller}|${e.callee}|${e.operation}`} edge={e} most={most} />
          ))}
        </li>
      ))}
    </ol>
  );
}

function Edge({ edge: e, most }: { edge: StormEdge; most: number }): JSX.Element {
  const a = e.amplification ?? 1;
  return (
    <div class={`storm-edge${e.storming ? ' is-storming' : ''}${e.trigger ? ' is-trigger' : ''}`}>
      <span class="node">{e.caller}</span>
      <span class="arrow" title={`${count(e.attempts)} attempts of ${count(e.logical_calls)} calls`}>
        <svg viewBox="0 0 60 18" preserveAspectRatio="none" aria-hidden="true">
          <path d={`M0 ${9 - width(a, most)}L46 ${9 - width(a, most)}L46 2L60 9L46 16L46 ${9 + width(a, most)}L0 ${9 + width(a, most)}Z`} />
        </svg>
        <span class="num">{times(e.amplification)}</span>
      </span>
      <span class="node">
        {e.callee}
        {e.trigger && <strong class="trigger-mark">trigger</strong>}
      </span>
      <small>
        {e.operation} · {count(e.failed_attempts)} of {count(e.attempts)} failed
        {e.storming && ` · ${percent(e.retry_share)} retries, ${duration(e.wasted_ns)} wasted`}
      </small>
    </div>
  );
}

/** Half an arrow's thickness. */
const width = (a: number, most: number): number => 1 + ((a - 1) / Math.max(most - 1, 1)) * 4;

function byDepth(edges: StormEdge[]): StormEdge[][] {
  const layers = new Map<number, StormEdge[]>();
  for (const e of edges) layers.set(e.depth, [...(layers.get(e.depth) ?? []), e]);
  return [...layers.entries()].sort((a, b) => a[0] - b[0]).map(([, layer]) => layer);
}
