//! A small file of each format, written by hand after its documentation.

use flate2::Compression;
use flate2::write::GzEncoder;
use plimsoll_import::Format;
use serde_json::json;
use std::io::Write;

use crate::{attribute, read};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[test]
fn jaeger() {
    let file = json!({"data": [{"traceID": TRACE, "spans": [
        {"traceID": TRACE, "spanID": "a1", "operationName": "GET /", "references": [], "startTime": 1_700_000_000_000_001_i64,
         "duration": 5000, "processID": "p1", "tags": [
            {"key": "span.kind", "type": "string", "value": "server"}, {"key": "http.status_code", "type": "int64", "value": 503},
            {"key": "error", "type": "bool", "value": true}, {"key": "otel.scope.name", "type": "string", "value": "lib"}],
         "logs": [{"timestamp": 1_700_000_000_000_100_i64, "fields": [{"key": "event", "type": "string", "value": "retry"}, {"key": "n", "type": "int64", "value": 1}]}]},
        {"traceID": TRACE, "spanID": "a2", "operationName": "call", "startTime": 1_700_000_000_000_010_i64, "duration": 10,
         "processID": "p2", "references": [{"refType": "CHILD_OF", "traceID": TRACE, "spanID": "a1"}, {"refType": "FOLLOWS_FROM", "traceID": TRACE, "spanID": "a9"}], "tags": []},
        {"spanID": "a3"},
    ], "processes": {"p1": {"serviceName": "front", "tags": [{"key": "host.name", "type": "string", "value": "n1"}]}, "p2": {"serviceName": "back"}}}]});
    let got = read(file.to_string().as_bytes());
    assert_eq!(got.format, Some(Format::JaegerJson), "{got:?}");
    assert_eq!(got.rejected, ["a span without traceID or spanID"]);
    let (span, resource) = &got.spans[0];
    assert_eq!((span["spanId"].as_str(), span["kind"].as_i64()), (Some("00000000000000a1"), Some(2)));
    assert_eq!(span["startTimeUnixNano"], "1700000000000001000");
    assert_eq!(span["endTimeUnixNano"], "1700000000005001000");
    assert_eq!(attribute(span, "http.status_code"), Some(&json!("503")));
    assert_eq!(span["status"]["code"], 2);
    assert_eq!(
        (&span["events"][0]["name"], &span["events"][0]["timeUnixNano"]),
        (&json!("retry"), &json!("1700000000000100000"))
    );
    assert_eq!(attribute(resource, "service.name"), Some(&json!("front")));
    assert_eq!(attribute(resource, "host.name"), Some(&json!("n1")));
    let (child, resource) = &got.spans[1];
    assert_eq!(child["parentSpanId"], "00000000000000a1");
    assert_eq!(child["links"][0]["spanId"], "00000000000000a9");
    assert_eq!(attribute(resource, "service.name"), Some(&json!("back")));
}

#[test]
fn a_jaeger_trace_by_itself_may_speak_of_data() {
    let trace = |service: &str| {
        let span = json!({"traceID": TRACE, "spanID": "a1", "operationName": "data", "startTime": 1_700_000_000_000_000_i64, "duration": 5,
            "processID": "p1", "tags": [{"key": "data", "type": "string", "value": "data"}]});
        json!({"traceID": TRACE, "spans": [span], "processes": {"p1": {"serviceName": service}}})
    };
    for (file, count) in [
        (trace("a").to_string(), 1),
        (json!([trace("a"), trace("b")]).to_string(), 2),
        (json!({"data": [trace("a"), trace("b")], "total": 0, "errors": null}).to_string(), 2),
        (format!("{}\n{}\n", trace("a"), trace("b")), 2),
    ] {
        let got = read(file.as_bytes());
        assert_eq!((got.format, got.spans.len()), (Some(Format::JaegerJson), count), "{file}: {got:?}");
        assert_eq!(
            attribute(&got.spans[count - 1].1, "service.name"),
            Some(&json!(if count == 1 { "a" } else { "b" }))
        );
    }
}

#[test]
fn zipkin_halves_are_told_apart_without_the_flag() {
    let half = |kind: &str, service: &str, at: i64| json!({"traceId": TRACE, "id": "b1", "kind": kind, "timestamp": at, "duration": 10, "localEndpoint": {"serviceName": service}});
    let file = json!([
        half("CLIENT", "front", 1_700_000_000_000_000),
        half("SERVER", "back", 1_700_000_000_000_001)
    ]);
    let got = read(file.to_string().as_bytes());
    let [(client, _), (server, _)] = got.spans.as_slice() else { panic!("{got:?}") };
    assert_eq!(server["parentSpanId"], client["spanId"]);
    assert_ne!(server["spanId"], client["spanId"]);
    // A server's span alone keeps its id.
    let got = read(json!([half("SERVER", "back", 1_700_000_000_000_001)]).to_string().as_bytes());
    assert_eq!(got.spans[0].0["spanId"], "00000000000000b1");
}

#[test]
fn zipkin_splits_shared_spans() {
    let client = json!({"traceId": "a3ce929d0e0e4736", "id": "b1", "name": "get", "kind": "CLIENT", "timestamp": 1_700_000_000_000_000_i64, "duration": 100,
        "localEndpoint": {"serviceName": "front"}, "remoteEndpoint": {"serviceName": "back", "ipv4": "10.0.0.1", "port": 80}, "tags": {"http.path": "/x"}});
    let server = json!({"traceId": "a3ce929d0e0e4736", "id": "b1", "name": "get", "kind": "SERVER", "shared": true, "timestamp": 1_700_000_000_000_010_i64, "duration": 80,
        "localEndpoint": {"serviceName": "back"}, "annotations": [{"timestamp": 1_700_000_000_000_020_i64, "value": "wr"}], "tags": {"error": "boom"}});
    let below = json!({"traceId": "a3ce929d0e0e4736", "id": "b2", "parentId": "b1", "name": "sql", "timestamp": 1_700_000_000_000_020_i64, "duration": 30, "localEndpoint": {"serviceName": "back"}});
    for file in [json!([client, server, below]), json!([[client, server, below]])] {
        let got = read(file.to_string().as_bytes());
        assert_eq!(got.format, Some(Format::ZipkinJson), "{got:?}");
        let find = |name: &str, kind: i64| {
            &got.spans.iter().find(|(s, _)| s["name"] == name && s["kind"] == kind).expect("it is there").0
        };
        let (client, server, below) = (find("get", 3), find("get", 2), find("sql", 0));
        assert_eq!(client["traceId"], "0000000000000000a3ce929d0e0e4736");
        assert_ne!(client["spanId"], server["spanId"]);
        assert_eq!(server["parentSpanId"], client["spanId"]);
        assert_eq!(below["parentSpanId"], server["spanId"], "a child of the server's half");
        assert_eq!((&server["status"]["code"], &server["status"]["message"]), (&json!(2), &json!("boom")));
        assert_eq!(attribute(client, "peer.service"), Some(&json!("back")));
    }
}

#[test]
fn langfuse_keeps_raw_attributes_and_fills_in_the_rest() {
    let metadata = json!({"attributes": {"gen_ai.usage.input_tokens": "12", "build": "007"}, "resourceAttributes": {"service.name": "bot"},
        "scope": "{\"name\": \"sdk\", \"version\": \"3\"}", "thread": "t-1"}).to_string();
    let file = json!({"trace": {"id": TRACE, "sessionId": "s-1", "name": "chat"}, "observations": [
        {"id": "00f067aa0ba902b7", "traceId": TRACE, "type": "GENERATION", "name": "llm", "startTime": "2025-06-11T14:01:32.598Z", "endTime": "2025-06-11T14:01:39.589Z",
         "parentObservationId": null, "level": "ERROR", "statusMessage": "rate limit", "model": "gpt-x", "usageDetails": {"input": 99, "output": 7}, "metadata": metadata},
        {"id": "7f3e", "traceId": TRACE, "type": "TOOL", "name": "search", "startTime": "2025-06-11T14:01:33Z", "endTime": null, "parentObservationId": "00f067aa0ba902b7", "metadata": null},
        {"name": "no id"}],
      "scores": [{"id": "x", "name": "helpful", "value": 1, "dataType": "BOOLEAN", "source": "EVAL", "comment": "fine", "timestamp": "2025-06-11T15:00:00Z"},
                 {"name": "tone", "stringValue": "rude", "dataType": "CATEGORICAL", "observationId": "7f3e", "traceId": TRACE}]});
    let got = read(file.to_string().as_bytes());
    assert_eq!(got.format, Some(Format::Langfuse), "{got:?}");
    assert_eq!(got.rejected, ["an observation without id or traceId"]);
    let (llm, resource) = &got.spans[0];
    assert_eq!(attribute(resource, "service.name"), Some(&json!("bot")));
    for (key, value) in [
        ("gen_ai.usage.input_tokens", json!("12")),
        ("build", json!("007")),
        ("langfuse.observation.type", json!("generation")),
        ("gen_ai.request.model", json!("gpt-x")),
        ("session.id", json!("s-1")),
        ("langfuse.metadata.thread", json!("t-1")),
    ] {
        assert_eq!(attribute(llm, key), Some(&value), "{key}");
    }
    assert_eq!(attribute(llm, "gen_ai.usage.output_tokens"), None, "its own words on usage stand alone");
    assert_eq!(llm["status"]["message"], "rate limit");
    let (tool, _) = &got.spans[1];
    assert_eq!(attribute(tool, "langfuse.observation.type"), Some(&json!("tool")));
    assert_eq!(tool["endTimeUnixNano"], tool["startTimeUnixNano"]);
    let [helpful, tone] = got.verdicts.as_slice() else { panic!("{:?}", got.verdicts) };
    assert_eq!(
        (helpful.pass, helpful.evaluator.as_deref(), helpful.trace_id.as_deref()),
        (Some(true), Some("eval"), Some(TRACE))
    );
    assert_eq!((tone.label.as_deref(), tone.span_id.as_deref()), (Some("rude"), Some("0000000000007f3e")));
}

#[test]
fn langfuse_tools_keep_what_went_in() {
    let tool = |input: serde_json::Value, attributes: serde_json::Value| {
        json!({"id": "7f3e", "traceId": TRACE, "type": "TOOL", "name": "search", "startTime": "2025-06-11T14:01:33Z",
            "parentObservationId": null, "input": input, "output": "found", "metadata": {"attributes": attributes}})
    };
    let score = json!({"name": "helpful", "value": 1, "dataType": "BOOLEAN", "source": "EVAL"});
    let file = json!({"id": TRACE, "scores": [score], "observations": [
        tool(json!("{\"q\": 1}"), json!({})),
        tool(json!({"q": 1}), json!({"gen_ai.operation.name": "execute_tool"})),
        tool(json!("{\"q\": 1}"), json!({"input.value": "{\"q\": 1}", "openinference.span.kind": "TOOL", "output.value": "found"})),
    ]});
    let got = read(file.to_string().as_bytes());
    assert_eq!(got.verdicts.len(), 1, "the document is the trace: {:?}", got.verdicts);
    let [(text, _), (object, _), (own, _)] = got.spans.as_slice() else { panic!("{got:?}") };
    assert_eq!(attribute(text, "gen_ai.tool.call.arguments"), Some(&json!("{\"q\": 1}")));
    assert_eq!(attribute(object, "gen_ai.tool.call.arguments"), Some(&json!("{\"q\":1}")));
    assert_eq!(attribute(object, "langfuse.observation.output"), Some(&json!("found")));
    for key in ["gen_ai.tool.call.arguments", "langfuse.observation.input", "langfuse.observation.output"] {
        assert_eq!(attribute(own, key), None, "its own attributes say it: {key}");
    }
}

#[test]
fn data_frames_in_every_orientation_and_what_the_python_sdk_prints() {
    let records = json!([
        {"name": "a", "context.trace_id": TRACE, "context.span_id": "a1", "start_time": 1_749_650_492_598_i64, "end_time": 1_749_650_493_000_i64, "attributes.llm.model_name": "m"},
        {"name": "b", "context.trace_id": TRACE, "context.span_id": "a2", "start_time": 1_749_650_492_598_i64, "end_time": 1_749_650_493_000_i64, "attributes.llm.model_name": null},
    ]);
    let names = [
        "name",
        "context.trace_id",
        "context.span_id",
        "start_time",
        "end_time",
        "attributes.llm.model_name",
    ];
    let rows = records.as_array().expect("a list");
    let mut columns = json!({});
    for name in names {
        columns[name] = json!({"i1": rows[0][name], "i2": rows[1][name]});
    }
    let cells: Vec<Vec<_>> =
        rows.iter().map(|row| names.iter().map(|name| row[name].clone()).collect()).collect();
    let split = json!({"columns": names, "index": ["i1", "i2"], "data": cells});
    let table = json!({"schema": {"fields": []}, "data": records});
    let expected = read(records.to_string().as_bytes());
    assert_eq!((expected.format, expected.spans.len()), (Some(Format::Phoenix), 2), "{expected:?}");
    assert_eq!(attribute(&expected.spans[0].0, "llm.model_name"), Some(&json!("m")));
    for (orientation, frame) in [("columns", columns), ("split", split), ("table", table)] {
        let got = read(frame.to_string().as_bytes());
        assert_eq!((got.format, &got.spans), (Some(Format::Phoenix), &expected.spans), "{orientation}");
    }
    let printed = json!({"name": "GET", "context": {"trace_id": format!("0x{TRACE}"), "span_id": "0x00f067aa0ba902b7", "trace_state": "[]"},
        "kind": "SpanKind.CLIENT", "parent_id": null, "start_time": "2025-06-11T14:01:32.598000Z", "end_time": "2025-06-11T14:01:33.000000Z",
        "status": {"status_code": "ERROR", "description": "refused"}, "attributes": {"http.method": "GET"}, "events": [],
        "links": [{"context": {"trace_id": format!("0x{TRACE}"), "span_id": "0x00f067aa0ba902b8"}, "attributes": {"a": 1}}],
        "resource": {"attributes": {"service.name": "front"}, "schema_url": ""}});
    let got = read(format!("{printed:#}\n{printed:#}\n").as_bytes());
    assert_eq!(got.spans.len(), 2, "{got:?}");
    let (span, resource) = &got.spans[0];
    assert_eq!((&span["traceId"], &span["kind"]), (&json!(TRACE), &json!(3)));
    assert_eq!(span["status"], json!({"code": 2, "message": "refused"}));
    assert_eq!(span["links"][0]["spanId"], "00f067aa0ba902b8");
    assert_eq!(attribute(resource, "service.name"), Some(&json!("front")));
}

#[test]
fn phoenix_rows_nested_and_flat() {
    let nested = json!({"name": "llm", "context": {"trace_id": TRACE, "span_id": "00f067aa0ba902b7"}, "parent_id": null, "span_kind": "LLM",
        "start_time": "2025-06-11T14:01:32.598000+00:00", "end_time": "2025-06-11T14:01:33+00:00", "status_code": "ERROR", "status_message": "no",
        "attributes": {"llm": {"model_name": "m", "input_messages": [{"message": {"role": "user"}}], "token_count": {"prompt": 3}}, "tag": {"tags": ["a", "b"]}},
        "events": [{"name": "exception", "timestamp": "2025-06-11T14:01:33+00:00", "attributes": {"exception.type": "E"}}],
        "annotations": [{"name": "Hallucination", "annotator_kind": "LLM", "result": {"label": "hallucinated", "score": 1.0, "explanation": "made up"}}]});
    let flat = json!({"name": "tool", "span_kind": "TOOL", "context.trace_id": TRACE, "context.span_id": "00f067aa0ba902b8", "parent_id": "00f067aa0ba902b7",
        "start_time": 1_749_650_492_598_i64, "end_time": 1_749_650_493_000_i64, "status_code": "OK", "attributes.tool.name": "search", "eval.Relevance.label": "relevant", "eval.Relevance.score": 0.9});
    let got = read(format!("{nested}\n{flat}\n{{}}\n").as_bytes());
    assert_eq!(got.format, Some(Format::Phoenix), "{got:?}");
    assert_eq!(got.rejected.len(), 1);
    let (llm, _) = &got.spans[0];
    for (key, value) in [
        ("llm.model_name", json!("m")),
        ("llm.input_messages.0.message.role", json!("user")),
        ("llm.token_count.prompt", json!("3")),
        ("openinference.span.kind", json!("LLM")),
    ] {
        assert_eq!(attribute(llm, key), Some(&value), "{key}");
    }
    assert_eq!(llm["status"]["code"], 2);
    let (tool, _) = &got.spans[1];
    assert_eq!(
        (&tool["startTimeUnixNano"], &tool["status"]["code"]),
        (&json!("1749650492598000000"), &json!(1))
    );
    assert_eq!(attribute(tool, "tool.name"), Some(&json!("search")));
    let verdicts: Vec<_> =
        got.verdicts.iter().map(|v| (v.metric.as_str(), v.label.as_deref(), v.score)).collect();
    assert_eq!(
        verdicts,
        [("Hallucination", Some("hallucinated"), Some(1.0)), ("Relevance", Some("relevant"), Some(0.9))]
    );
}

struct OneByOne<'b>(&'b [u8]);

impl std::io::Read for OneByOne<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let length = buf.len().min(1);
        std::io::Read::read(&mut self.0, &mut buf[..length])
    }
}

#[test]
fn packed_files_are_unpacked() {
    let line = json!({"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": [{"traceId": TRACE, "spanId": "00f067aa0ba902b7"}]}]}]}).to_string();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(line.as_bytes()).expect("in memory");
    for bytes in [
        gzip.finish().expect("in memory"),
        zstd::encode_all(line.as_bytes(), 1).expect("in memory"),
        line.clone().into_bytes(),
    ] {
        let got = read(&bytes);
        assert_eq!((got.format, got.spans.len()), (Some(Format::OtlpJson), 1), "{got:?}");
        // As a slow pipe brings them.
        let mut spans = 0;
        let read = plimsoll_import::read(OneByOne(&bytes), None, &mut |_| {
            spans += 1;
            Ok(())
        });
        assert_eq!((read.ok(), spans), (Some(Format::OtlpJson), 1));
    }
}

#[test]
fn protobuf_bare_and_framed() {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use prost::Message;
    let span = Span {
        trace_id: vec![7; 16],
        span_id: vec![8; 8],
        name: "op".into(),
        start_time_unix_nano: 5,
        end_time_unix_nano: 9,
        ..Span::default()
    };
    let resource_spans = vec![ResourceSpans {
        scope_spans: vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    }];
    let bytes = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
    let mut framed = Vec::new();
    for _ in 0..2 {
        framed.extend_from_slice(&u32::try_from(bytes.len()).expect("small").to_be_bytes());
        framed.extend_from_slice(&bytes);
    }
    let got = read(&bytes);
    assert_eq!((got.format, got.spans.len()), (Some(Format::OtlpProtobuf), 1), "{got:?}");
    assert_eq!(got.spans[0].0["traceId"], "07".repeat(16));
    assert_eq!(read(&framed).spans.len(), 2);
    let cut = read(&framed[..framed.len() - 3]);
    assert_eq!(cut.spans.len(), 1);
    assert!(cut.error.as_deref().is_some_and(|e| e.contains("message 2: cut off")), "{:?}", cut.error);
}

#[test]
fn log_records_in_protobuf() {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
    use prost::Message;
    let record = LogRecord { time_unix_nano: 7, trace_id: vec![7; 16], ..LogRecord::default() };
    let scope_logs = vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }];
    let got = read(&ExportLogsServiceRequest { resource_logs }.encode_to_vec());
    assert_eq!((got.logs.len(), got.spans.len(), got.error), (1, 0, None));
    assert_eq!(got.logs[0]["scopeLogs"][0]["logRecords"][0]["traceId"], "07".repeat(16));
}

#[test]
fn otlp_in_the_answers_of_queries_and_beside_metrics() {
    let element = json!({"scopeSpans": [{"spans": [{"traceId": TRACE, "spanId": "00f067aa0ba902b7"}]}]});
    for file in [
        json!({"result": {"resourceSpans": [element]}}),
        json!({"trace": {"resourceSpans": [element]}}),
        json!({"batches": [element]}),
        json!([{"resourceSpans": [element]}]),
        json!([{"trace": {"resourceSpans": [element]}}]),
    ] {
        let got = read(file.to_string().as_bytes());
        assert_eq!(
            (got.format, got.spans.len(), got.rejected.len()),
            (Some(Format::OtlpJson), 1, 0),
            "{file}"
        );
    }
    let got = read(json!({"resourceMetrics": [{}]}).to_string().as_bytes());
    assert_eq!(got.rejected, ["metrics: only spans and log records are kept"]);
}

#[test]
fn sessions_without_an_info_are_nobodys() {
    let session = json!({"id": "s", "start_time": "2025-08-01T15:53:27", "end_time": "2025-08-01T15:53:41", "messages": []});
    let got = read(json!({"simulations": [session]}).to_string().as_bytes());
    assert_eq!((got.spans.len(), got.rejected.len()), (0, 1), "{got:?}");
}

#[test]
fn what_is_no_export_is_named() {
    for (bytes, part) in [(&b""[..], "empty"), (b"{\"a\": 1}", "--format"), (b"hello", "--format")] {
        let error = read(bytes).error.expect("no format");
        assert!(error.contains(part), "{error}");
    }
}
