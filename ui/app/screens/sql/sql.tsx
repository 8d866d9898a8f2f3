/** SQL over everything that is kept: one statement, its rows, a link to both. */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, get, postSql, url } from '../../api/client';
import { count } from '../../format';
import { place, setParams, traceHref } from '../../router';
import { Failure } from '../../ui/parts';
import { Editor, type Handle, type Schema, type SqlFunction } from './editor';
import './sql.css';
import { mistakeAt, past, remember } from './statement';

interface Answer {
  columns: { name: string; type: string }[];
  rows: unknown[][];
  row_count: number;
  truncated: boolean;
  elapsed_ms: number;
}

const ROW_PX = 26;
const ROWS_MAX = 10_000;
const COLUMNS = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'";
const EXAMPLES: [string, string][] = [
  ['Tables and columns', "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, ordinal_position"],
  ['Where it waits', "SELECT stage, runs, queue_share, queue_coverage, queue_p99_ns / 1e6 AS queue_p99_ms\nFROM queueing('-1h', 'now', 'stage') ORDER BY queue_share DESC"],
  ['Time by stage', "SELECT stage, count(*) AS runs, hdr_quantile(duration_ns, 0.95) / 1e6 AS p95_ms, sum(queue_ns) / 1e9 AS queue_s\nFROM stage_runs GROUP BY stage ORDER BY runs DESC"],
  ['Amplification by edge', 'SELECT caller, callee, operation, sum(attempts) / sum(logical_calls)::double AS amplification, sum(wasted_ns) / 1e9 AS wasted_s\nFROM edges GROUP BY 1, 2, 3 ORDER BY wasted_s DESC'],
  ['Green but wrong', "SELECT t.trace_id, t.model, t.root_name, v.metric, v.label, v.explanation\nFROM traces t JOIN latest_verdicts v ON t.tenant = v.tenant AND t.trace_id = v.trace_id\nWHERE t.outcome = 'ok' AND NOT v.pass ORDER BY t.start_unix_nano DESC LIMIT 100"],
  ['Tokens by model', 'SELECT gen_ai_request_model AS model, sum(gen_ai_usage_input_tokens) AS input, sum(gen_ai_usage_output_tokens) AS output\nFROM spans WHERE gen_ai_request_model IS NOT NULL GROUP BY 1 ORDER BY output DESC'],
];

export function Sql(): JSX.Element {
  const [text, setText] = useState(place.value.params.get('sql') ?? EXAMPLES[2][1]);
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const running = useRef<AbortController | null>(null);
  const [busy, setBusy] = useState(false);
  const [schema, setSchema] = useState<Schema>({});
  const [analyses, setAnalyses] = useState<SqlFunction[]>([]);
  const [before, setBefore] = useState(past);
  const editor = useRef<Handle | null>(null);
  // The statement that the answer or the error is of.
  const asked = useRef(text);
  const run = async (sql = text): Promise<void> => {
    running.current?.abort();
    const call = new AbortController();
    running.current = call;
    setBusy(true);
    asked.current = sql;
    setParams({ sql }, true);
    try {
      const response = await postSql(sql, 'application/json', ROWS_MAX, call.signal);
      setAnswer((await response.json()) as Answer);
      setError(null);
      setBefore(remember(sql));
    } catch (failure) {
      if (failure instanceof ApiError) setError(failure);
    } finally {
      if (running.current === call) setBusy(false);
    }
  };
  const put = (sql: string): void => {
    editor.current?.put(sql);
    void run(sql);
  };
  const download = async (): Promise<void> => {
    const response = await postSql(text, 'text/csv', 1_000_000);
    const link = document.createElement('a');
    link.href = URL.createObjectURL(await response.blob());
    link.download = 'plimsoll.csv';
    link.click();
    URL.revokeObjectURL(link.href);
  };
  useEffect(() => {
    // Without it there is no completion of columns, and nothing else is missed.
    void columns().then(setSchema, () => undefined);
    void functions().then(setAnalyses, () => undefined);
    if (place.value.params.has('sql')) void run();
    return () => running.current?.abort();
  }, []);
  return (
    <div class="sql">
      <div class="examples" role="group" aria-label="Examples">
        {EXAMPLES.map(([name, sql]) => (
          <button key={name} type="button" onClick={() => put(sql)}>
            {name}
          </button>
        ))}
      </div>
      <Editor first={text} handle={editor} schema={schema} analyses={analyses} mistake={error === null ? null : mistakeAt(asked.current, error.message)} change={setText} run={(sql) => void run(sql)} />
      <div class="run">
        <button type="button" class="primary" onClick={() => void run()} disabled={busy}>
          Run <kbd>Ctrl ⏎</kbd>
        </button>
        {busy && <button type="button" onClick={() => { running.current?.abort(); setBusy(false); }}>Cancel</button>}
        {answer !== null && !busy && (
          <span class="quiet" role="status">
            {count(answer.row_count)} rows{answer.truncated ? ' (cut off)' : ''} in {answer.elapsed_ms.toFixed(0)} ms
          </span>
        )}
        {answer !== null && <button type="button" onClick={() => void download()}>CSV</button>}
        {before.length > 0 && (
          <select
            aria-label="Statements that ran before"
            value=""
            onChange={(e) => {
              const sql = before[Number(e.currentTarget.value)];
              e.currentTarget.value = '';
              if (sql === undefined) return;
              put(sql);
            }}
          >
            <option value="">History</option>
            {before.map((sql, i) => (
              <option key={sql} value={i}>{sql.replace(/\s+/g, ' ').slice(0, 90)}</option>
            ))}
          </select>
        )}
      </div>
      {error !== null && <Failure error={error} />}
      {answer !== null && error === null && <Grid answer={answer} />}
    </div>
  );
}

/** The columns of every table. */
async function columns(): Promise<Schema> {
  const response = await postSql(COLUMNS, 'application/json', ROWS_MAX);
  const schema: Schema = {};
  for (const [table, column] of ((await response.json()) as Answer).rows as [string, string][]) (schema[table] ??= []).push(column);
  return schema;
}

interface Analyses {
  analyses: { function: string; summary: string; parameters: { name: string }[] }[];
}

/** The analyses, as SQL calls them. */
async function functions(): Promise<SqlFunction[]> {
  const { analyses } = await get<Analyses>(url('/analyses'));
  return analyses.map((a) => ({ label: a.function, detail: `(${a.parameters.map((p) => p.name).join(', ')})`, info: a.summary }));
}

/** Only the rows on screen are in the page. */
function Grid({ answer }: { answer: Answer }): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const from = Math.max(0, Math.floor(top / ROW_PX) - 10);
  const shown = answer.rows.slice(from, from + 60);
  return (
    <div class="grid" ref={box} tabIndex={0} role="region" aria-label="Result" onScroll={() => setTop(box.current?.scrollTop ?? 0)}>
      <table>
        <thead>
          <tr>
            {answer.columns.map((c, i) => (
              <th key={i} title={c.type}>{c.name}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {from > 0 && <tr aria-hidden="true" style={{ height: `${from * ROW_PX}px` }} />}
          {shown.map((row, i) => (
            <tr key={from + i}>
              {row.map((value, column) => (
                <td key={column} class={typeof value === 'number' ? 'is-number' : undefined}>
                  <Cell name={answer.columns[column].name} value={value} />
                </td>
              ))}
            </tr>
          ))}
          <tr aria-hidden="true" style={{ height: `${Math.max(0, answer.rows.length - from - shown.length) * ROW_PX}px` }} />
        </tbody>
      </table>
    </div>
  );
}

function Cell({ name, value }: { name: string; value: unknown }): JSX.Element {
  if (value === null) return <span class="quiet">null</span>;
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  if (name.endsWith('trace_id') && /^[0-9a-f]{32}$/.test(text)) return <a href={traceHref(text)}>{text}</a>;
  return <>{text.length > 300 ? `${text.slice(0, 300)}…` : text}</>;
}
