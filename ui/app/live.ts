/** The clock of the page: new data without a reload, while the range moves, the tab is seen and nobody paused it. */
import { effect, signal } from '@preact/signals';
import { moving } from './router';

const EVERY_MS = 5_000;

export const paused = signal(false);
export const tick = signal(0);
const visible = signal(!document.hidden);

document.addEventListener('visibilitychange', () => (visible.value = !document.hidden));

export const refresh = () => (tick.value = tick.peek() + 1);

export const running = () => moving.value && visible.value && !paused.value;

effect(() => {
  if (!running()) return;
  const timer = setInterval(refresh, EVERY_MS);
  return () => clearInterval(timer);
});
