/** Attempts of each stage, counted over its runs. */
import { postSql } from '../../api/client';
import { useResource } from '../../api/resource';
import type { QueueingAnswer, SqlAnswer } from '../../api/types';
import { SLICE_KEYS } from '../../api/types';
import { slice } from '../../router';
import type { StageAttempts } from './stages';

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;

export function attemptsSql(start: string, end: string, chosen: typeof slice.value): string {
  const where = SLICE_KEYS.flatMap((key) => {
    const value = chosen[key];
    return value === undefined || value === null ? [] : [`AND ${key} = ${literal(value)}`];
  });
  return [
    'SELECT stage, sum(attempts) AS attempts, count(*) AS runs',
    'FROM stage_runs',
    `WHERE start_unix_nano >= ${start} AND start_unix_nano < ${end}`,
    ...where,
    'GROUP BY stage',
  ].join('\n');
}

async function load(sql: string, signal: AbortSignal): Promise<StageAttempts> {
  const answer = (await (await postSql(sql, 'application/json', 1000, signal)).json()) as SqlAnswer;
  return new Map(answer.rows.map(([stage, attempts, runs]) => [String(stage), { attempts: Number(attempts), runs: Number(runs) }]));
}

const NONE: StageAttempts = new Map();

/** Over the same window as the queueing answer. Unknown while it loads, and where the question fails. */
export function useStageAttempts(window: QueueingAnswer | null): StageAttempts {
  const sql = window === null ? null : attemptsSql(window.start_unix_nano, window.end_unix_nano, slice.value);
  return useResource<StageAttempts>(sql, false, load).data ?? NONE;
}
