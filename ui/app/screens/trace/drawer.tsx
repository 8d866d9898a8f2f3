/** What one span says: attributes, resource, events and links, from the trace's OTLP JSON. */
import type { JSX } from 'preact';
import { url } from '../../api/client';
import { useResource } from '../../api/resource';
import { duration } from '../../format';
import { Copy, Failure, Loading } from '../../ui/parts';
import type { Span } from './layout';

type AnyValue = Record<string, unknown>;
interface KeyValue {
  key: string;
  value: AnyValue;
}
interface OtlpSpan {
  spanId: string;
  attributes?: KeyValue[];
  events?: { timeUnixNano: string; name: string; attributes?: KeyValue[] }[];
  links?: { traceId: string; spanId: string }[];
}
interface Otlp {
  resourceSpans: { resource: { attributes?: KeyValue[] }; scopeSpans: { spans: OtlpSpan[] }[] }[];
}

/** Longer values are folded: prompts and tool results may be a megabyte. */
const FOLDED_AT = 240;
const SHOWN_MAX = 150_000;

export function Drawer({ traceId, tenant, span, close }: { traceId: string; tenant: string | null; span: Span; close: () => void }): JSX.Element {
  const { data, error } = useResource<Otlp>(url(`/traces/${traceId}`, { tenant }), false);
  const found = data === null ? null : find(data, span.span_id);
  return (
    <aside class="drawer" aria-label={`Span ${span.name}`}>
      <header>
        <div>
          <strong>{span.name}</strong>
          <span class="quiet">
            {span.service} · {span.stage} · {span.kind} · {duration(span.duration_ns)}
          </span>
        </div>
        <button type="button" class="icon-button" onClick={close} aria-label="Close the span">
          ✕
        </button>
      </header>
      {span.status_message !== '' && span.status_message !== null && <p class="drawer-error">{span.status_message}</p>}
      <p class="quiet mono">
        {span.span_id} <Copy text={span.span_id} label="Copy the span id" />
      </p>
      <Meaning span={span} />
      {error !== null && <Failure error={error} />}
      {data === null && error === null && <Loading what="attributes" />}
      {found !== null && (
        <>
          <Table title="Attributes" entries={found.span.attributes ?? []} />
          {(found.span.events ?? []).map((e) => (
            <Table key={e.timeUnixNano + e.name} title={`Event ${e.name}`} entries={e.attributes ?? []} />
          ))}
          {(found.span.links ?? []).length > 0 && (
            <section>
              <h3>Links</h3>
              {(found.span.links ?? []).map((l) => (
                <p key={l.spanId} class="mono">
                  <a href={`/trace/${l.traceId}`}>{l.traceId}</a>
                </p>
              ))}
            </section>
          )}
          <Table title="Resource" entries={found.resource} />
        </>
      )}
    </aside>
  );
}

/** What the attributes amount to by the conventions, in whatever words they came, and what the request would gain. */
function Meaning({ span }: { span: Span }): JSX.Element | null {
  const said: [string, string | number | null][] = [
    ['operation', span.operation],
    ['agent', span.agent],
    ['tool', span.tool],
    ['provider', span.provider],
    ['model', span.model],
    ['input tokens', span.input_tokens],
    ['output tokens', span.output_tokens],
    ['slack', span.slack_ns === null ? null : duration(span.slack_ns)],
    ['drag', span.drag_ns === null ? null : duration(span.drag_ns)],
  ];
  const known = said.filter(([, value]) => value !== null);
  if (known.length === 0) return null;
  return (
    <section>
      <h3>Understood as</h3>
      <dl class="attributes">
        {known.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd class="mono">{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function find(data: Otlp, spanId: string): { span: OtlpSpan; resource: KeyValue[] } | null {
  for (const { resource, scopeSpans } of data.resourceSpans) {
    for (const { spans } of scopeSpans) {
      const span = spans.find((s) => s.spanId === spanId);
      if (span !== undefined) return { span, resource: resource.attributes ?? [] };
    }
  }
  return null;
}

function Table({ title, entries }: { title: string; entries: KeyValue[] }): JSX.Element | null {
  const sorted = [...entries].sort((a, b) => a.key.localeCompare(b.key));
  return (
    <section>
      <h3>{title}</h3>
      <dl class="attributes">
        {sorted.map(({ key, value }) => (
          <div key={key}>
            <dt>{key}</dt>
            <dd>
              <ValueText text={plain(value)} />
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function ValueText({ text }: { text: string }): JSX.Element {
  if (text.length <= FOLDED_AT) return <span class="mono">{text}</span>;
  return (
    <details>
      <summary class="mono">{text.slice(0, FOLDED_AT)}…</summary>
      <pre class="mono">{pretty(text.slice(0, SHOWN_MAX))}</pre>
    </details>
  );
}

/** GenAI messages are JSON text: readable as such. */
function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function plain(value: AnyValue): string {
  const [only] = Object.values(value);
  return typeof only === 'object' ? JSON.stringify(only) : String(only ?? '');
}
