/** The few icons there are, drawn on a 16-pixel grid in the text's colour. */
import type { JSX } from 'preact';

const PATHS = {
  chevron: 'M6 4l4 4-4 4',
  down: 'M4 6l4 4 4-4',
  close: 'M4 4l8 8M12 4l-8 8',
  clock: 'M8 4.5V8l2.4 1.6M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12z',
  pause: 'M5.5 3.5v9M10.5 3.5v9',
  play: 'M5 3.2l7.5 4.8L5 12.8z',
  sun: 'M8 10.8a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6zM8 1.5v1.3M8 13.2v1.3M1.5 8h1.3M13.2 8h1.3M3.4 3.4l.9.9M11.7 11.7l.9.9M3.4 12.6l.9-.9M11.7 4.3l.9-.9',
  moon: 'M13 9.6A5.6 5.6 0 0 1 6.4 3 5.6 5.6 0 1 0 13 9.6z',
  code: 'M5.5 4.5L2 8l3.5 3.5M10.5 4.5L14 8l-3.5 3.5',
  search: 'M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.4 10.4L14 14',
  download: 'M8 2.5v7.5M4.8 7L8 10.2 11.2 7M3 13.2h10',
  arrow: 'M3 8h10M9 4l4 4-4 4',
  copy: 'M5.5 5.5h7v8h-7zM3.5 10.5v-8h7',
  check: 'M3 8.5l3.2 3.2L13 5',
  link: 'M6.8 9.2l2.4-2.4M7.4 4.6l1.3-1.3a2.8 2.8 0 0 1 4 4l-1.3 1.3M8.6 11.4l-1.3 1.3a2.8 2.8 0 0 1-4-4l1.3-1.3',
  alert: 'M8 2.2l6.3 11.3H1.7zM8 6.4v3.4M8 11.6v.2',
  layers: 'M8 2.5L14 6 8 9.5 2 6zM2.4 9.6L8 12.9l5.6-3.3',
  keyboard: 'M1.8 4.5h12.4v7.5H1.8zM4.2 7h.1M6.8 7h.1M9.4 7h.1M12 7h.1M5 9.6h6',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 14, class: className }: { name: IconName; size?: number; class?: string }): JSX.Element {
  return (
    <svg class={`icon ${className ?? ''}`} width={size} height={size} viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** The load-line mark: the ring that stands at the deepest a ship may lie, and the line through it. */
export function Mark({ size = 22 }: { size?: number }): JSX.Element {
  return (
    <svg class="mark" width={size * 1.35} height={size} viewBox="0 0 27 20" aria-hidden="true">
      <circle cx="11" cy="10" r="6.6" />
      <path d="M1.5 10h19" />
      <path class="mark-scale" d="M24 3.2v13.6M20.8 3.2H24M24 10h1.8M24 16.8h-2.4" />
    </svg>
  );
}
