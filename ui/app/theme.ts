/** Dark or light: the system's choice until someone makes their own. */
import { signal } from '@preact/signals';

export type Theme = 'dark' | 'light';

const KEY = 'plimsoll.theme';
const system = matchMedia('(prefers-color-scheme: light)');

function initial(): Theme {
  const chosen = localStorage.getItem(KEY);
  if (chosen === 'dark' || chosen === 'light') return chosen;
  return system.matches ? 'light' : 'dark';
}

export const theme = signal<Theme>(initial());

const apply = () => (document.documentElement.dataset.theme = theme.value);
apply();
theme.subscribe(apply);
system.addEventListener('change', () => {
  if (localStorage.getItem(KEY) === null) theme.value = initial();
});

export function toggleTheme(): void {
  theme.value = theme.value === 'dark' ? 'light' : 'dark';
  localStorage.setItem(KEY, theme.value);
}
