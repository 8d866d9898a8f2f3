"""Exports spans of every shape through OpenTelemetry's own SDK, and prints what it sent as JSON.

usage: export_spans.py grpc|http ENDPOINT
"""

import json
import sys

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

SPANS = 40


class Recorder(SpanExporter):
    """Keeps what the SDK handed to its exporters."""

    def __init__(self):
        self.spans = []

    def export(self, spans):
        self.spans.extend(spans)
        return SpanExportResult.SUCCESS


def exporter(protocol, endpoint):
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter(endpoint=endpoint, insecure=True)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint=endpoint + "/v1/traces")


def emit(tracer):
    for i in range(SPANS // 2):
        with tracer.start_as_current_span(f"root {i}", kind=SpanKind.SERVER) as root:
            root.set_attributes(
                {
                    "text": f"grüße {i} 🚢",
                    "empty": "",
                    "int": i - 5,
                    "large": 9007199254740993 + i,
                    "double": i / 3,
                    "true": True,
                    "false": False,
                    "texts": ["a", "", "ü"],
                    "ints": [1, -2, 9007199254740993],
                    "doubles": [0.5, -1.25],
                    "bools": [True, False],
                    "gen_ai.request.model": "model-a",
                    "gen_ai.usage.input_tokens": 100 + i,
                    "http.response.status_code": 200,
                }
            )
            root.add_event("first", {"n": i, "why": "because", "ratio": 0.25})
            root.add_event("second")
            context = root.get_span_context()
            links = [Link(context, {"kind": "follows", "weight": i})]
            with tracer.start_as_current_span(f"child {i}", kind=SpanKind.CLIENT, links=links) as child:
                # A promoted name with another type than its column keeps its own.
                child.set_attribute("http.response.status_code", "teapot")
                if i % 2:
                    child.set_status(Status(StatusCode.ERROR, "it broke"))
                else:
                    child.set_status(Status(StatusCode.OK))


def value(v):
    """An attribute's value with its OTLP type."""
    if isinstance(v, bool):
        return {"boolValue": v}
    if isinstance(v, int):
        return {"intValue": str(v)}
    if isinstance(v, float):
        return {"doubleValue": v}
    if isinstance(v, str):
        return {"stringValue": v}
    return {"arrayValue": {"values": [value(x) for x in v]}}


def attributes(mapping):
    return {k: value(v) for k, v in (mapping or {}).items()}


def describe(span):
    context = span.get_span_context()
    return {
        "trace_id": f"{context.trace_id:032x}",
        "span_id": f"{context.span_id:016x}",
        "parent_span_id": f"{span.parent.span_id:016x}" if span.parent else None,
        "name": span.name,
        "kind": span.kind.name.lower(),
        "start_unix_nano": str(span.start_time),
        "duration_ns": span.end_time - span.start_time,
        "status_code": span.status.status_code.name.lower(),
        "status_message": span.status.description,
        "attributes": attributes(span.attributes),
        "events": [
            {"time_unix_nano": str(e.timestamp), "name": e.name, "attributes": attributes(e.attributes)} for e in span.events
        ],
        "links": [
            {
                "trace_id": f"{link.context.trace_id:032x}",
                "span_id": f"{link.context.span_id:016x}",
                "attributes": attributes(link.attributes),
            }
            for link in span.links
        ],
    }


def main():
    protocol, endpoint = sys.argv[1:]
    provider = TracerProvider(resource=Resource.create({"service.name": f"python-{protocol}", "shard": 7}))
    recorder = Recorder()
    provider.add_span_processor(BatchSpanProcessor(recorder))
    provider.add_span_processor(BatchSpanProcessor(exporter(protocol, endpoint)))
    emit(provider.get_tracer("plimsoll.tests", "1.2.3"))
    provider.shutdown()
    json.dump({"service": f"python-{protocol}", "spans": [describe(s) for s in recorder.spans]}, sys.stdout)


if __name__ == "__main__":
    main()
