/** One way to ask the server, one kind of failure. */
import type { Problem } from './types';

const BASE = '/api/v1';

/** What went wrong, and what to do about it. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
  ) {
    super(`${title}: ${detail}`);
  }
}

export function url(path: string, params: Record<string, string | number | undefined | null> = {}): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    if (value !== undefined && value !== null && value !== '') query.set(key, String(value));
  }
  const text = query.toString();
  return `${BASE}${path}${text === '' ? '' : `?${text}`}`;
}

export async function get<T>(target: string, signal?: AbortSignal): Promise<T> {
  return (await answer(target, { signal, headers: { accept: 'application/json' } })).json();
}

export async function postSql(sql: string, accept: string, limit: number, signal?: AbortSignal): Promise<Response> {
  return answer(url('/sql'), {
    method: 'POST',
    signal,
    headers: { accept, 'content-type': 'application/json' },
    body: JSON.stringify({ sql, limit }),
  });
}

async function answer(target: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(target, init);
  } catch (error) {
    if ((error as Error).name === 'AbortError') throw error;
    throw new ApiError(0, 'The server does not answer', 'Is plimsoll still running? This page tries again by itself while it is live.');
  }
  if (response.ok) return response;
  throw await failure(response);
}

async function failure(response: Response): Promise<ApiError> {
  try {
    const problem = (await response.json()) as Problem;
    return new ApiError(response.status, problem.title, problem.detail ?? '');
  } catch {
    return new ApiError(response.status, `The server answered ${response.status}`, response.statusText);
  }
}
