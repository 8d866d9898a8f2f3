/** How long traces took, over time; darker is more, a notch marks errors. Drag a box to look into it. */
import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { HeatmapAnswer } from '../../api/types';
import { count, duration, plural } from '../../format';
import { theme } from '../../theme';
import { clock, timeTicks } from '../../time';
import { useWidth } from '../../ui/measure';
import { brushOf, durationAt, durationTicks, rowOf, timeAt, type Brush } from './heatmap-geometry';

const HEIGHT = 230;
const LEFT = 62;
const BOTTOM = 22;
const TOP = 8;
const RIGHT = 14;

type At = [number, number];

export function Heatmap({ data, onBrush }: { data: HeatmapAnswer; onBrush: (brush: Brush) => void }): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useWidth(host);
  const [drag, setDrag] = useState<{ from: At; to: At } | null>(null);
  const [hover, setHover] = useState<At | null>(null);
  const plotW = Math.max(1, width - LEFT - RIGHT);
  const plotH = HEIGHT - TOP - BOTTOM;
  const cellW = plotW / data.columns;
  const cellH = plotH / data.rows;
  const cells = useMemo(() => new Map(data.cells.map((c) => [c[0] * data.rows + c[1], c])), [data]);
  const colours = theme.value;

  useEffect(() => {
    const node = canvas.current;
    const context = node?.getContext('2d');
    if (!node || !context || width === 0) return;
    const ratio = devicePixelRatio;
    node.width = width * ratio;
    node.height = HEIGHT * ratio;
    context.scale(ratio, ratio);
    const css = getComputedStyle(node);
    const colour = (name: string) => css.getPropertyValue(name).trim();
    const stops = [0, 1, 2, 3].map((i) => rgb(colour(`--heat-${i}`)));
    const most = Math.log1p(Math.max(1, ...data.cells.map((c) => c[2])));

    context.font = `11px ${css.fontFamily}`;
    context.fillStyle = colour('--ink-3');
    context.strokeStyle = colour('--line');
    context.textBaseline = 'middle';
    context.textAlign = 'right';
    for (const ns of durationTicks(data, 6)) {
      const y = Math.round(TOP + plotH - rowOf(data, ns) * cellH) + 0.5;
      context.fillText(duration(ns), LEFT - 8, y);
      line(context, LEFT, y, width - RIGHT, y);
    }
    context.textAlign = 'center';
    context.textBaseline = 'alphabetic';
    const [from, to] = [timeAt(data, 0), timeAt(data, data.columns)];
    for (const ms of timeTicks(from, to, plotW / 90)) {
      const x = Math.round(LEFT + ((ms - from) / (to - from)) * plotW) + 0.5;
      context.fillText(clock(ms, to - from < 6e5), Math.min(x, width - 20), HEIGHT - 6);
      line(context, x, TOP, x, TOP + plotH);
    }
    for (const [column, row, n, errors] of data.cells) {
      const x = LEFT + column * cellW;
      const y = TOP + plotH - (row + 1) * cellH;
      context.fillStyle = ramp(stops, Math.log1p(n) / most);
      context.fillRect(x, y, Math.max(1, cellW - 1), Math.max(1, cellH - 1));
      if (errors > 0) {
        context.fillStyle = colour('--red-fill');
        context.fillRect(x, y + cellH - 3, Math.max(2, (cellW - 1) * Math.max(0.3, errors / n)), 2);
      }
    }
  }, [data, width, colours]);

  const at = (event: PointerEvent): At => {
    const box = host.current!.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left - LEFT) / cellW);
    const row = Math.floor((TOP + plotH - (event.clientY - box.top)) / cellH);
    return [clamp(column, data.columns), clamp(row, data.rows)];
  };
  const down = (event: PointerEvent) => {
    if (event.button !== 0) return;
    (event.currentTarget as Element).setPointerCapture(event.pointerId);
    setDrag({ from: at(event), to: at(event) });
  };
  const move = (event: PointerEvent) => {
    setHover(at(event));
    if (drag !== null) setDrag({ from: drag.from, to: at(event) });
  };
  const up = () => {
    if (drag === null) return;
    setDrag(null);
    onBrush(brushOf(data, drag.from, drag.to));
  };

  const under = hover === null ? undefined : cells.get(hover[0] * data.rows + hover[1]);
  return (
    <div class="heat" ref={host} onPointerDown={down} onPointerMove={move} onPointerUp={up} onPointerCancel={() => setDrag(null)} onPointerLeave={() => setHover(null)}>
      <canvas
        ref={canvas}
        style={{ width: `${width}px`, height: `${HEIGHT}px` }}
        role="img"
        aria-label={`${plural(data.total, 'trace')} from ${duration(data.duration_min_ns)} to ${duration(data.duration_max_ns)}. The list below holds the same traces; duration and time can also be set in the filter and the time range.`}
      />
      {drag !== null && <Box data={data} drag={drag} cellW={cellW} cellH={cellH} plotH={plotH} />}
      {hover !== null && drag === null && under !== undefined && (
        <div class="heat-tip" style={{ left: `${Math.min(LEFT + hover[0] * cellW + 14, Math.max(0, width - 190))}px`, top: `${Math.max(4, TOP + plotH - hover[1] * cellH - 62)}px` }}>
          <b class="num">{plural(under[2], 'trace')}</b>
          {under[3] > 0 && <span class="breach-text">{count(under[3])} with errors</span>}
          <span class="muted num">
            {duration(durationAt(data, hover[1]))} – {duration(durationAt(data, hover[1] + 1))}
          </span>
          <span class="muted num">{clock(timeAt(data, hover[0]), true)}</span>
        </div>
      )}
    </div>
  );
}

function Box({ data, drag, cellW, cellH, plotH }: { data: HeatmapAnswer; drag: { from: At; to: At }; cellW: number; cellH: number; plotH: number }): JSX.Element {
  const brush = brushOf(data, drag.from, drag.to);
  const [c0, c1] = [Math.min(drag.from[0], drag.to[0]), Math.max(drag.from[0], drag.to[0]) + 1];
  const [r0, r1] = [Math.min(drag.from[1], drag.to[1]), Math.max(drag.from[1], drag.to[1]) + 1];
  return (
    <div class="heat-brush" style={{ left: `${LEFT + c0 * cellW}px`, width: `${(c1 - c0) * cellW}px`, top: `${TOP + plotH - r1 * cellH}px`, height: `${(r1 - r0) * cellH}px` }}>
      <span class="num">
        {duration(brush.durationMinNs)} – {duration(brush.durationMaxNs)}
      </span>
    </div>
  );
}

const clamp = (value: number, below: number) => Math.max(0, Math.min(below - 1, value));

function line(context: CanvasRenderingContext2D, x0: number, y0: number, x1: number, y1: number): void {
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
}

type Rgb = [number, number, number];

function rgb(hex: string): Rgb {
  const n = Number.parseInt(hex.slice(1, 7), 16);
  return [(n >> 16) & 255, (n >> 8) & 255, n & 255];
}

function ramp(stops: readonly Rgb[], part: number): string {
  const scaled = Math.max(0, Math.min(1, part)) * (stops.length - 1);
  const i = Math.min(stops.length - 2, Math.floor(scaled));
  const f = scaled - i;
  const [a, b] = [stops[i], stops[i + 1]];
  return `rgb(${a.map((v, k) => Math.round(v + (b[k] - v) * f)).join(',')})`;
}
