/** The whole trace in a strip: drag over it to see a part, double-click to see all. */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { duration } from '../../format';
import { theme } from '../../theme';
import type { Row } from './layout';
import { print, ticks, whole, within, type Window } from './zoom';

const HEIGHT_PX = 46;
/** A press that moves less is a click. */
const CLICK_PX = 4;

interface Props {
  rows: readonly Row[];
  length: number;
  window: Window;
  zoom: (window: Window) => void;
}

export function Minimap({ rows, length, window, zoom }: Props): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const strip = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  const [drag, setDrag] = useState<{ from: number; to: number } | null>(null);
  const colours = theme.value;
  useEffect(() => {
    const observer = new ResizeObserver(() => setWidth(strip.current?.clientWidth ?? 0));
    observer.observe(strip.current!);
    return () => observer.disconnect();
  }, []);
  useEffect(() => draw(canvas.current, rows, length, width), [rows, length, width, colours]);
  const place = (event: PointerEvent): number => {
    const box = strip.current!.getBoundingClientRect();
    return (Math.min(Math.max(event.clientX - box.left, 0), box.width) / box.width) * length;
  };
  const end = (event: PointerEvent): void => {
    if (drag === null) return;
    setDrag(null);
    const [from, to] = [drag.from, place(event)].sort((a, b) => a - b);
    if (((to - from) / length) * width >= CLICK_PX) zoom(within({ from, to }, length));
  };
  const share = (ns: number): string => `${(ns / length) * 100}%`;
  const [from, to] = drag === null ? [window.from, window.to] : [drag.from, drag.to].sort((a, b) => a - b);
  const zoomed = drag !== null || print(window, length) !== null;
  return (
    <div class="minimap">
      <div class="minimap-name">{zoomed ? <button type="button" onClick={() => zoom(whole(length))}>Show all ({duration(length)})</button> : <span class="quiet">Drag to zoom</span>}</div>
      <div
        class="minimap-strip"
        ref={strip}
        aria-hidden="true"
        onPointerDown={(e) => {
          if (e.button !== 0) return;
          e.currentTarget.setPointerCapture(e.pointerId);
          const at = place(e);
          setDrag({ from: at, to: at });
        }}
        onPointerMove={(e) => drag !== null && setDrag({ ...drag, to: place(e) })}
        onPointerUp={end}
        onPointerCancel={() => setDrag(null)}
        onDblClick={() => zoom(whole(length))}
      >
        <canvas ref={canvas} />
        {zoomed && <i class="minimap-out" style={{ left: 0, width: share(from) }} />}
        {zoomed && <i class="minimap-out" style={{ left: share(to), right: 0 }} />}
        {zoomed && <i class="minimap-in" style={{ left: share(from), width: share(to - from) }} />}
      </div>
      <div class="minimap-name" />
      <div class="axis" aria-hidden="true">
        {ticks(window, Math.max(2, width / 110)).map((at) => (
          <span key={at} style={{ left: `${((at - window.from) / (window.to - window.from)) * 100}%` }}>{duration(at)}</span>
        ))}
      </div>
    </div>
  );
}

/** A line per span, in the colour of what it mostly did. */
function draw(canvas: HTMLCanvasElement | null, rows: readonly Row[], length: number, width: number): void {
  const context = canvas?.getContext('2d');
  if (!canvas || !context || width === 0) return;
  const scale = devicePixelRatio;
  canvas.width = width * scale;
  canvas.height = HEIGHT_PX * scale;
  canvas.style.height = `${HEIGHT_PX}px`;
  const style = getComputedStyle(canvas);
  const colours = new Map<string, string>();
  const colour = (name: string): string => {
    const known = colours.get(name) ?? style.getPropertyValue(`--class-${name}`).trim();
    colours.set(name, known);
    return known;
  };
  const line = Math.max(1, Math.floor(canvas.height / Math.max(rows.length, 1)) - 1);
  rows.forEach((row, i) => {
    const most = row.span.segments.reduce((a, b) => (b.duration_ns > a.duration_ns ? b : a), row.span.segments[0]);
    context.fillStyle = row.span.status === 'error' ? style.getPropertyValue('--red').trim() : colour(most?.class ?? 'unattributed');
    const left = (row.start / length) * canvas.width;
    context.fillRect(left, (i / rows.length) * canvas.height, Math.max(1, (row.span.duration_ns / length) * canvas.width), line);
  });
}
