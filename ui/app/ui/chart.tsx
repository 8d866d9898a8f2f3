/** A time series by uPlot, in the page's colours, with the values at the cursor under it. */
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { theme } from '../theme';
import './chart.css';

export interface Series {
  label: string;
  values: (number | null)[];
  /** What the legend tells where the drawn value is a stacked one. */
  own?: (number | null)[];
  /** Names of custom properties. */
  stroke: string;
  fill?: string;
}

interface Props {
  title: string;
  times: number[];
  series: Series[];
  format: (value: number | null) => string;
  height?: number;
}

export function Chart({ title, times, series, format, height = 150 }: Props): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const colours = theme.value;
  const shape = series.map((s) => s.label).join();
  const latest = useRef(series);
  latest.current = series;

  useEffect(() => {
    const node = host.current!;
    const colour = (name: string) => getComputedStyle(node).getPropertyValue(name).trim();
    const axis = { stroke: colour('--ink-3'), grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false }, font: `11px ${colour('--sans')}` };
    const drawn = new uPlot(
      {
        width: node.clientWidth || 400,
        height,
        cursor: { y: false, points: { size: 5 } },
        legend: { live: true },
        scales: { y: { range: (_, _min, max) => [0, max > 0 ? max * 1.08 : 1] } },
        axes: [
          { ...axis, space: 70 },
          { ...axis, size: 54, space: 34, values: (_, ticks) => ticks.map((t) => format(t)) },
        ],
        series: [
          { label: 'time' },
          ...series.map((s, i) => ({
            label: s.label,
            stroke: colour(s.stroke),
            width: 1.25,
            fill: s.fill === undefined ? undefined : colour(s.fill),
            points: { show: false },
            value: (_: uPlot, value: number | null, __: number, at: number | null) => {
              const own = latest.current[i]?.own;
              return format(own !== undefined && at !== null ? own[at] : value);
            },
          })),
        ],
      },
      [times, ...series.map((s) => s.values)],
      node,
    );
    plot.current = drawn;
    const resize = new ResizeObserver(() => drawn.setSize({ width: node.clientWidth, height }));
    resize.observe(node);
    return () => {
      resize.disconnect();
      drawn.destroy();
      plot.current = null;
    };
  }, [shape, colours, height]);

  useEffect(() => plot.current?.setData([times, ...series.map((s) => s.values)]), [times, series]);

  return (
    <figure class="chart">
      <figcaption>{title}</figcaption>
      <div ref={host} class="chart-host" />
    </figure>
  );
}
