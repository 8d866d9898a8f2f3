/** A panel's data: fetched when its URL changes, fetched again on the page's tick, old data kept until new is there. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { tick } from '../live';
import { ApiError, get } from './client';

export interface Resource<T> {
  data: T | null;
  error: ApiError | null;
  /** What is shown answers an earlier question. */
  stale: boolean;
}

type Load<T> = (target: string, signal: AbortSignal) => Promise<T>;

export function useResource<T>(target: string | null, live = true, load: Load<T> = get): Resource<T> {
  const [state, setState] = useState<Resource<T>>({ data: null, error: null, stale: target !== null });
  const running = useRef<{ target: string; abort: AbortController } | null>(null);
  const answered = useRef<string | null>(null);
  const beat = live ? tick.value : 0;

  useEffect(() => {
    if (target === null) {
      setState({ data: null, error: null, stale: false });
      return;
    }
    // A tick waits for the answer under way; a new question replaces it.
    if (running.current?.target === target) return;
    running.current?.abort.abort();
    const call = { target, abort: new AbortController() };
    running.current = call;
    if (answered.current !== target) setState((old) => ({ ...old, stale: true }));

    load(target, call.abort.signal)
      .then(
        (data): Resource<T> | null => (running.current === call ? { data, error: null, stale: false } : null),
        (error): Resource<T> | null => {
          if (running.current !== call || error.name === 'AbortError') return null;
          const known = error instanceof ApiError ? error : new ApiError(0, 'This page failed', String(error));
          return { data: null, error: known, stale: false };
        },
      )
      .then((next) => {
        if (next === null) return;
        const repeated = answered.current === target;
        running.current = null;
        answered.current = target;
        // A failed refresh keeps the last good answer beside its error.
        setState((old) => (next.error !== null && repeated ? { ...next, data: old.data } : next));
      });
  }, [target, beat]);

  useEffect(
    () => () => {
      running.current?.abort.abort();
      running.current = null;
    },
    [],
  );
  return state;
}
