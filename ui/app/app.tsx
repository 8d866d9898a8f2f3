/** The frame around every screen: navigation, scope (slice and range), theme. */
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { href, followLinks, place } from './router';
import { LoadLine } from './screens/load-line/load-line';
import { theme, toggleTheme } from './theme';
import { Icon, Mark } from './ui/icons';
import { lazy } from './ui/lazy';
import { Nothing } from './ui/parts';
import { LiveButton, RangePicker } from './ui/range-picker';
import { SlicePicker } from './ui/slice-picker';

const Explore = lazy(() => import('./screens/explore/explore').then((m) => m.Explore));
const Trace = lazy<{ traceId: string }>(() => import('./screens/trace/trace').then((m) => m.Trace));
const Storms = lazy(() => import('./screens/storms/storms').then((m) => m.Storms));
const Sql = lazy(() => import('./screens/sql/sql').then((m) => m.Sql));

const SCREENS = [
  { path: '/', label: 'Load line' },
  { path: '/explore', label: 'Explore' },
  { path: '/storms', label: 'Storms' },
  { path: '/sql', label: 'SQL' },
] as const;

export function App(): JSX.Element {
  const { path } = place.value;
  useEffect(() => {
    // The next screens are one click away: their code may come while this one is read.
    const idle = setTimeout(() => {
      Explore.prefetch();
      Trace.prefetch();
    }, 1500);
    return () => clearTimeout(idle);
  }, []);
  return (
    <div class="frame" onClick={followLinks}>
      <a class="skip" href="#main">
        Skip to content
      </a>
      <header class="top">
        <a class="brand" href={href('/')} aria-label="Plimsoll, load line">
          <Mark />
          <span>Plimsoll</span>
        </a>
        <nav class="nav" aria-label="Screens">
          {SCREENS.map((s) => (
            <a key={s.path} href={href(s.path)} aria-current={current(s.path, path) ? 'page' : undefined}>
              {s.label}
            </a>
          ))}
        </nav>
        <div class="scope">
          <SlicePicker />
          <RangePicker />
          <LiveButton />
        </div>
        <button type="button" class="icon-button" onClick={toggleTheme} title={`Switch to ${theme.value === 'dark' ? 'light' : 'dark'}`} aria-label="Switch between dark and light">
          <Icon name={theme.value === 'dark' ? 'sun' : 'moon'} size={16} />
        </button>
      </header>
      <main id="main" class="main" tabIndex={-1}>
        <Screen path={path} />
      </main>
    </div>
  );
}

function current(screen: string, path: string): boolean {
  return screen === path || (screen === '/explore' && path.startsWith('/trace/'));
}

function Screen({ path }: { path: string }): JSX.Element {
  const trace = /^\/trace\/([^/]+)$/.exec(path);
  useEffect(() => {
    document.title = `${trace !== null ? `Trace ${trace[1].slice(0, 8)}` : (SCREENS.find((s) => s.path === path)?.label ?? 'Not found')} · Plimsoll`;
  }, [path]);
  if (trace !== null) return <Trace key={trace[1]} traceId={trace[1]} />;
  if (path === '/') return <LoadLine />;
  if (path === '/explore') return <Explore />;
  if (path === '/storms') return <Storms />;
  if (path === '/sql') return <Sql />;
  return (
    <Nothing title="There is no such page">
      <a href={href('/')}>To the load line</a>
    </Nothing>
  );
}
