export function Sql(_: { traceId?: string }) { return <p>soon</p>; }
