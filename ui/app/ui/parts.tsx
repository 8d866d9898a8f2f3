/** Small parts that every screen uses: panels, popovers, states without data, badges. */
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { ApiError } from '../api/client';
import { href } from '../router';
import { Icon, type IconName } from './icons';

interface PanelProps {
  title: string;
  note?: ComponentChildren;
  sql?: string | null;
  tools?: ComponentChildren;
  stale?: boolean;
  class?: string;
  children: ComponentChildren;
}

export function Panel({ title, note, sql, tools, stale, class: className, children }: PanelProps): JSX.Element {
  return (
    <section class={`panel ${className ?? ''}`} aria-label={title} aria-busy={stale}>
      <header class="panel-head">
        <h2>{title}</h2>
        {note !== undefined && <p class="panel-note">{note}</p>}
        <div class="panel-tools">
          {tools}
          {sql !== undefined && sql !== null && sql !== '' && <ShowSql sql={sql} />}
        </div>
      </header>
      <div class={stale ? 'panel-body stale' : 'panel-body'}>{children}</div>
    </section>
  );
}

interface PopoverProps {
  label: ComponentChildren;
  title: string;
  class?: string;
  align?: 'start' | 'end';
  children: (close: () => void) => ComponentChildren;
}

/** A button with something to choose under it. Escape and clicks elsewhere close it. */
export function Popover({ label, title, class: className, align = 'start', children }: PopoverProps): JSX.Element {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);

  useEffect(() => {
    if (!open) return;
    const outside = (event: Event) => {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    };
    const escape = (event: KeyboardEvent) => {
      if (event.key !== 'Escape') return;
      event.stopPropagation();
      setOpen(false);
      button.current?.focus();
    };
    addEventListener('pointerdown', outside, true);
    addEventListener('keydown', escape, true);
    return () => {
      removeEventListener('pointerdown', outside, true);
      removeEventListener('keydown', escape, true);
    };
  }, [open]);

  return (
    <div class="popover-root" ref={root}>
      <button ref={button} type="button" class={className ?? 'button'} title={title} aria-haspopup="dialog" aria-expanded={open} onClick={() => setOpen(!open)}>
        {label}
      </button>
      {open && (
        <div class={`popover popover-${align}`} role="dialog" aria-label={title}>
          {children(() => {
            setOpen(false);
            button.current?.focus();
          })}
        </div>
      )}
    </div>
  );
}

/** Every panel says what it asked; the answer can be taken further by hand. */
export function ShowSql({ sql }: { sql: string }): JSX.Element {
  return (
    <Popover
      label={
        <>
          <Icon name="code" /> SQL
        </>
      }
      title="Show the SQL of this panel"
      class="button quiet"
      align="end"
    >
      {() => (
        <div class="sql-peek">
          <pre tabIndex={0}>{sql}</pre>
          <div class="row">
            <a class="button primary" href={href('/sql', { q: sql })}>
              Open in SQL
            </a>
            <Copy text={sql} label="Copy" />
          </div>
        </div>
      )}
    </Popover>
  );
}

export function Copy({ text, label }: { text: string; label?: string }): JSX.Element {
  const [done, setDone] = useState(false);
  const copy = () =>
    navigator.clipboard?.writeText(text).then(() => {
      setDone(true);
      setTimeout(() => setDone(false), 1500);
    });
  return (
    <button type="button" class={label === undefined ? 'icon-button' : 'button'} title="Copy" aria-label={label ?? 'Copy'} onClick={copy}>
      <Icon name={done ? 'check' : 'copy'} /> {label}
    </button>
  );
}

export function Failure({ error }: { error: ApiError }): JSX.Element {
  return (
    <div class="notice notice-error" role="alert">
      <Icon name="alert" size={16} />
      <div>
        <strong>{error.title}</strong>
        {error.detail !== '' && <p>{error.detail}</p>}
      </div>
    </div>
  );
}

export function Nothing({ title, children }: { title: string; children?: ComponentChildren }): JSX.Element {
  return (
    <div class="nothing">
      <strong>{title}</strong>
      {children !== undefined && <div class="nothing-more">{children}</div>}
    </div>
  );
}

/** What to do when there is nothing to show at all. */
export function FirstSpan(): JSX.Element {
  const variables = 'export OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4317';
  return (
    <div class="first-span">
      <p>
        Nothing arrived in this time range. Any OpenTelemetry exporter will do: point it here and restart the service.
      </p>
      <div class="command">
        <code>{variables}</code>
        <Copy text={variables} />
      </div>
      <p>
        gRPC is on port 4317, HTTP on 4318. No agent at hand? <code>plimsoll demo</code> drives a simulated fleet. Data from earlier may lie
        outside of the range: <a href={href('/', { start: '-7d', end: 'now' })}>look at the last 7 days</a>.
      </p>
    </div>
  );
}

export function Loading({ what }: { what: string }): JSX.Element {
  return (
    <div class="loading" role="status">
      <span class="loading-line" aria-hidden="true" />
      {what}
    </div>
  );
}

const OUTCOME_ICON: Record<string, IconName> = { ok: 'check' };

/** How something ended, in words and shape as well as colour. */
export function OutcomeBadge({ outcome }: { outcome: string | null }): JSX.Element {
  if (outcome === null) return <span class="badge badge-unknown">in flight</span>;
  return (
    <span class={`badge ${outcome === 'ok' ? 'badge-ok' : 'badge-bad'}`}>
      <Icon name={OUTCOME_ICON[outcome] ?? 'close'} size={10} />
      {outcome}
    </span>
  );
}

export function VerdictBadge({ verdict }: { verdict: 'pass' | 'fail' | null }): JSX.Element {
  if (verdict === null) return <span class="muted">unjudged</span>;
  return (
    <span class={`badge ${verdict === 'pass' ? 'badge-ok' : 'badge-wrong'}`}>
      <Icon name={verdict === 'pass' ? 'check' : 'close'} size={10} />
      {verdict === 'pass' ? 'judged right' : 'judged wrong'}
    </span>
  );
}
