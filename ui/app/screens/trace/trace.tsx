export function Trace(_: { traceId?: string }) { return <p>soon</p>; }
