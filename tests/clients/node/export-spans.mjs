// Exports spans of every shape through OpenTelemetry's own SDK, and prints what it sent as JSON.
//
// usage: export-spans.mjs grpc|http|proto ENDPOINT

import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { OTLPTraceExporter as GrpcExporter } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as HttpExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtoExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { NodeTracerProvider } from "@opentelemetry/sdk-trace-node";

const PAIRS = 20;
const [protocol, endpoint] = process.argv.slice(2);
const service = `node-${protocol}`;

function exporter() {
  if (protocol === "grpc") return new GrpcExporter({ url: endpoint });
  const url = `${endpoint}/v1/traces`;
  return protocol === "http" ? new HttpExporter({ url }) : new ProtoExporter({ url });
}

/** An attribute's value with its OTLP type. */
function value(v) {
  if (typeof v === "boolean") return { boolValue: v };
  if (typeof v === "string") return { stringValue: v };
  if (typeof v === "number") return Number.isInteger(v) ? { intValue: String(v) } : { doubleValue: v };
  return { arrayValue: { values: v.map(value) } };
}

const attributes = (of) => Object.fromEntries(Object.entries(of ?? {}).map(([k, v]) => [k, value(v)]));
const nanos = ([seconds, ns]) => BigInt(seconds) * 1_000_000_000n + BigInt(ns);

function describe(span) {
  const { traceId, spanId } = span.spanContext();
  return {
    trace_id: traceId,
    span_id: spanId,
    parent_span_id: span.parentSpanContext?.spanId ?? null,
    name: span.name,
    kind: SpanKind[span.kind].toLowerCase(),
    start_unix_nano: String(nanos(span.startTime)),
    duration_ns: Number(nanos(span.endTime) - nanos(span.startTime)),
    status_code: SpanStatusCode[span.status.code].toLowerCase(),
    status_message: span.status.message ?? null,
    attributes: attributes(span.attributes),
    events: span.events.map((e) => ({
      time_unix_nano: String(nanos(e.time)),
      name: e.name,
      attributes: attributes(e.attributes),
    })),
    links: span.links.map((l) => ({
      trace_id: l.context.traceId,
      span_id: l.context.spanId,
      attributes: attributes(l.attributes),
    })),
  };
}

const memory = new InMemorySpanExporter();
const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ "service.name": service, shard: 7 }),
  spanProcessors: [new SimpleSpanProcessor(memory), new BatchSpanProcessor(exporter())],
});
const tracer = provider.getTracer("plimsoll.tests", "1.2.3");

for (let i = 0; i < PAIRS; i += 1) {
  const root = tracer.startSpan(`root ${i}`, { kind: SpanKind.SERVER }, ROOT_CONTEXT);
  root.setAttributes({
    text: `grüße ${i} 🚢`,
    empty: "",
    int: i - 5,
    large: Number.MAX_SAFE_INTEGER - i,
    double: i + 0.5,
    true: true,
    false: false,
    texts: ["a", "", "ü"],
    ints: [1, -2, 3],
    doubles: [0.5, -1.25],
    bools: [true, false],
    "gen_ai.request.model": "model-b",
    "gen_ai.usage.input_tokens": 100 + i,
    "http.response.status_code": 200,
  });
  root.addEvent("first", { n: i, why: "because", ratio: 0.25 });
  root.addEvent("second");
  const links = [{ context: root.spanContext(), attributes: { kind: "follows", weight: i } }];
  const child = tracer.startSpan(`child ${i}`, { kind: SpanKind.CLIENT, links }, trace.setSpan(ROOT_CONTEXT, root));
  // A promoted name with another type than its column keeps its own.
  child.setAttribute("http.response.status_code", "teapot");
  child.setStatus(i % 2 ? { code: SpanStatusCode.ERROR, message: "it broke" } : { code: SpanStatusCode.OK });
  child.end();
  root.end();
}

await provider.forceFlush();
const spans = memory.getFinishedSpans().map(describe);
await provider.shutdown();
process.stdout.write(JSON.stringify({ service, spans }));
