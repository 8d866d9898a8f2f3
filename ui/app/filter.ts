/**
 * The filter language of search: `key op value` terms joined by `and` (docs/http-api.md).
 * The server is the judge of what is valid; this reads just enough to edit terms and to complete them.
 */

export interface Term {
  key: string;
  op: string;
  value: string;
}

export const OPERATORS = ['=', '!=', '>', '>=', '<', '<=', '~'] as const;

export const KEYS: readonly { key: string; hint: string; numeric?: boolean; values?: readonly string[] }[] = [
  { key: 'service', hint: 'a service that took part' },
  { key: 'name', hint: 'a span’s name' },
  { key: 'root_service', hint: 'service of the root' },
  { key: 'root_name', hint: 'name of the root' },
  { key: 'stage', hint: 'a stage that ran' },
  { key: 'outcome', hint: 'how it ended', values: ['ok', 'overload', 'dependency', 'correctness', 'deadline', 'cancelled', 'internal'] },
  { key: 'status', hint: 'span status', values: ['ok', 'error', 'unset'] },
  { key: 'kind', hint: 'span kind', values: ['server', 'client', 'internal', 'producer', 'consumer'] },
  { key: 'duration', hint: 'of the trace: 250ms, 2s', numeric: true },
  { key: 'queue', hint: 'time spent waiting: 250ms', numeric: true },
  { key: 'attempts', hint: 'tries in the trace', numeric: true },
  { key: 'wasted', hint: 'time in superseded tries', numeric: true },
  { key: 'errors', hint: 'spans with an error', numeric: true },
  { key: 'trace_id', hint: 'an id' },
  { key: 'tenant', hint: 'slice' },
  { key: 'workload_class', hint: 'slice' },
  { key: 'model', hint: 'slice' },
  { key: 'hardware', hint: 'slice' },
  { key: 'attributes.', hint: 'any span attribute' },
  { key: 'resource.', hint: 'any resource attribute' },
];

const TERM = /^\s*([A-Za-z_][\w.\-/:]*)\s*(!=|>=|<=|=|>|<|~)\s*("(?:[^"\\]|\\.)*"|\S+)\s*/;
const AND = /^and(?:\s+|$)/i;

/** The terms, or null where the text is not (yet) a filter. */
export function parse(text: string): Term[] | null {
  const terms: Term[] = [];
  let rest = text.trim();
  while (rest !== '') {
    const match = TERM.exec(rest);
    if (match === null) return null;
    terms.push({ key: match[1], op: match[2], value: unquote(match[3]) });
    rest = rest.slice(match[0].length);
    if (rest === '') break;
    const and = AND.exec(rest);
    if (and === null || and[0].length === rest.length) return null;
    rest = rest.slice(and[0].length);
  }
  return terms;
}

export function print(terms: readonly Term[]): string {
  return terms.map((t) => `${t.key}${t.op}${quote(t.value)}`).join(' and ');
}

/** Adds terms to a filter; a term on the same key with the same operator gives way. */
export function refine(text: string, added: readonly Term[]): string {
  const kept = (parse(text) ?? []).filter((t) => !added.some((a) => a.key === t.key && a.op === t.op));
  return print([...kept, ...added]);
}

export function without(text: string, index: number): string {
  return print((parse(text) ?? []).filter((_, i) => i !== index));
}

export const is = (key: string, value: string): Term => ({ key, op: '=', value });

function quote(value: string): string {
  return /^[\w.\-/:@+]+$/.test(value) && !/^and$/i.test(value) ? value : `"${value.replace(/["\\]/g, '\\$&')}"`;
}

function unquote(value: string): string {
  return value.startsWith('"') ? value.slice(1, -1).replace(/\\(.)/g, '$1') : value;
}

export interface Completion {
  /** What the list shows, and what replaces the text from `from` to the cursor. */
  label: string;
  insert: string;
  hint: string;
  from: number;
}

/** What could come at the cursor: a key, an operator, or one of a key's known values. */
export function complete(text: string, cursor: number, values: (key: string) => readonly string[]): Completion[] {
  const before = text.slice(0, cursor);
  const joint = Math.max(-1, ...[...before.matchAll(/\band\s+/gi)].map((m) => m.index + m[0].length));
  const start = joint === -1 ? before.length - before.trimStart().length : joint;
  const open = before.slice(start);
  const term = /^([A-Za-z_][\w.\-/:]*)\s*(!=|>=|<=|=|>|<|~)\s*("?)([^"]*)$/.exec(open);
  if (term !== null) {
    const typed = term[4].toLowerCase();
    if (term[3] === '' && /\s/.test(term[4])) return [{ label: 'and', insert: 'and ', hint: 'another term', from: cursor }];
    return values(term[1])
      .filter((v) => v.toLowerCase().includes(typed) && v.toLowerCase() !== typed)
      .slice(0, 12)
      .map((v) => ({ label: v, insert: `${quote(v)} `, hint: term[1], from: cursor - term[4].length - term[3].length }));
  }
  if (/["\s]$/.test(open) && open.trim() !== '' && parse(open) !== null) {
    return [{ label: 'and', insert: /\s$/.test(open) ? 'and ' : ' and ', hint: 'another term', from: cursor }];
  }
  const typed = open.toLowerCase();
  const exact = KEYS.find((k) => k.key === typed);
  if (exact !== undefined && !exact.key.endsWith('.')) {
    const operators = exact.numeric === true ? ['>', '<', '>=', '<=', '='] : ['=', '!=', '~'];
    return operators.map((op) => ({ label: op, insert: op, hint: exact.hint, from: cursor }));
  }
  return KEYS.filter((k) => k.key.includes(typed) && k.key !== typed).map((k) => ({ label: k.key, insert: k.key, hint: k.hint, from: start }));
}
