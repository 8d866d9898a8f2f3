/** What is known of a statement: where its mistake is, and which came before it. */

const KEY = 'plimsoll.sql.history';
const KEPT_MAX = 30;

/** The offset that an error's `Line: 2, Column: 7` means; null where it says nothing. */
export function mistakeAt(text: string, detail: string): number | null {
  const found = /Line: (\d+), Column: (\d+)/.exec(detail);
  if (found !== null) {
    const lines = text.split('\n');
    const line = Number(found[1]) - 1;
    const before = lines.slice(0, line).reduce((sum, l) => sum + l.length + 1, 0);
    return line < lines.length ? Math.min(text.length, before + Number(found[2]) - 1) : null;
  }
  const column = /no column "([^"]+)"/.exec(detail)?.[1];
  const at = column === undefined ? -1 : text.search(new RegExp(`\\b${column.replace(/[^\w]/g, '\\$&')}\\b`, 'i'));
  return at < 0 ? null : at;
}

/** Statements that ran, the latest first. */
export function past(): string[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    return Array.isArray(kept) ? kept.filter((s) => typeof s === 'string') : [];
  } catch {
    return [];
  }
}

export function remember(sql: string): string[] {
  const kept = [sql, ...past().filter((s) => s !== sql)].slice(0, KEPT_MAX);
  try {
    localStorage.setItem(KEY, JSON.stringify(kept));
  } catch {
    // Where nothing may be kept, nothing is.
  }
  return kept;
}
