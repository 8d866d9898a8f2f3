/** A screen whose code comes when it is first opened. */
import type { ComponentType, JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Loading, Nothing } from './parts';

export function lazy<P extends object>(load: () => Promise<ComponentType<P>>): ComponentType<P> & { prefetch: () => void } {
  let ready: ComponentType<P> | null = null;
  const fetch = () => load().then((component) => (ready = component));
  const Lazy = (props: P): JSX.Element => {
    const [failed, setFailed] = useState(false);
    const [, redraw] = useState(0);
    useEffect(() => {
      if (ready === null) fetch().then(() => redraw(1), () => setFailed(true));
    }, []);
    if (failed) return <Nothing title="This screen's code did not load">The server may have been replaced by another version: reload the page.</Nothing>;
    const Ready = ready;
    return Ready === null ? <Loading what="Loading" /> : <Ready {...props} />;
  };
  return Object.assign(Lazy, { prefetch: () => void fetch().catch(() => undefined) });
}
