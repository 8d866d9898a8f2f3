//! OpenTelemetry's own SDKs export, each by each of its exporters; what comes out is what went in.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::harness::{Server, node, python};

#[tokio::test(flavor = "multi_thread")]
async fn python_over_grpc() {
    check(|server| python("export_spans.py", &["grpc", &server.otlp_grpc])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_over_http() {
    check(|server| python("export_spans.py", &["http", &server.otlp_http])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_over_grpc() {
    check(|server| node("export-spans.mjs", &["grpc", &server.otlp_grpc])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_over_http_with_json() {
    check(|server| node("export-spans.mjs", &["http", &server.otlp_http])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_over_http_with_protobuf() {
    check(|server| node("export-spans.mjs", &["proto", &server.otlp_http])).await;
}

async fn check(export: impl FnOnce(&Server) -> Value) {
    let home = tempfile::tempdir().expect("a folder");
    let server = Server::start(home.path(), &[]);
    let sent = export(&server);
    let spans = sent["spans"].as_array().expect("a list");
    assert_eq!(spans.len(), 40);
    rows_are(&server, &sent).await;
    otlp_is(&server, spans).await;
    // The same again out of files.
    assert!(server.terminate().success());
    let server = Server::start(home.path(), &[]);
    rows_are(&server, &sent).await;
    otlp_is(&server, spans).await;
}

/// SQL: every span once, with its columns, attributes, events and links.
async fn rows_are(server: &Server, sent: &Value) {
    let rows = server
        .sql(
            "SELECT span_id, trace_id, parent_span_id, name, kind, CAST(start_unix_nano AS VARCHAR), duration_ns, \
             status_code, status_message, service_name, gen_ai_request_model, gen_ai_usage_input_tokens, \
             attributes, events, links FROM spans",
        )
        .await;
    let spans = sent["spans"].as_array().expect("a list");
    assert_eq!(rows.len(), spans.len());
    let by_id: BTreeMap<&str, &Vec<Value>> =
        rows.iter().map(|row| (row[0].as_str().expect("an id"), row)).collect();
    for span in spans {
        let row = by_id[span["span_id"].as_str().expect("an id")];
        let scalars =
            ["trace_id", "parent_span_id", "name", "kind", "start_unix_nano", "duration_ns", "status_code"];
        for (i, key) in scalars.iter().enumerate() {
            assert_eq!(row[i + 1], span[key], "{key} of {span}");
        }
        assert_eq!(row[8].as_str().unwrap_or(""), span["status_message"].as_str().unwrap_or(""));
        assert_eq!(row[9], sent["service"]);
        let attributes = &span["attributes"];
        assert_eq!(row[10], attributes["gen_ai.request.model"]["stringValue"]);
        let tokens = attributes["gen_ai.usage.input_tokens"]["intValue"].as_str();
        assert_eq!(row[11].as_i64().map(|n| n.to_string()).as_deref(), tokens);
        let map = row[12].as_object().cloned().unwrap_or_default();
        for key in ["text", "empty"] {
            assert_eq!(map.get(key), attributes[key].get("stringValue"), "{key} of {span}");
        }
        let names = |of: &Value, key: &str| -> Vec<Value> {
            of.as_array().map(|list| list.iter().map(|item| item[key].clone()).collect()).unwrap_or_default()
        };
        assert_eq!(names(&row[13], "name"), names(&span["events"], "name"));
        assert_eq!(names(&row[14], "span_id"), names(&span["links"], "span_id"));
        assert_eq!(names(&row[14], "trace_id"), names(&span["links"], "trace_id"));
    }
}

/// OTLP: every attribute with its type and value, on spans, events and links.
async fn otlp_is(server: &Server, spans: &[Value]) {
    let mut by_trace: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for span in spans {
        by_trace.entry(span["trace_id"].as_str().expect("an id")).or_default().push(span);
    }
    for (trace_id, expected) in by_trace {
        let trace = server.get_ok(&format!("/api/v1/traces/{trace_id}")).await;
        let found: Vec<&Value> = list(&trace["resourceSpans"])
            .flat_map(|r| list(&r["scopeSpans"]))
            .flat_map(|s| {
                assert_eq!(
                    (&s["scope"]["name"], &s["scope"]["version"]),
                    (&json!("plimsoll.tests"), &json!("1.2.3"))
                );
                list(&s["spans"])
            })
            .collect();
        assert_eq!(found.len(), expected.len(), "{trace_id}");
        for span in expected {
            let got = found.iter().find(|f| f["spanId"] == span["span_id"]).expect("the span");
            assert_eq!(attributes(&got["attributes"]), span["attributes"], "{span}");
            let events: Vec<Value> = list(&got["events"])
                .map(|e| json!({"time_unix_nano": e["timeUnixNano"], "name": e["name"], "attributes": attributes(&e["attributes"])}))
                .collect();
            assert_eq!(Value::from(events), span["events"], "{span}");
            let links: Vec<Value> = list(&got["links"])
                .map(|l| json!({"trace_id": l["traceId"], "span_id": l["spanId"], "attributes": attributes(&l["attributes"])}))
                .collect();
            assert_eq!(Value::from(links), span["links"], "{span}");
        }
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

/// OTLP's list of attributes as an object.
fn attributes(of: &Value) -> Value {
    let pairs = list(of).map(|kv| (kv["key"].as_str().expect("a key").to_owned(), kv["value"].clone()));
    Value::Object(pairs.collect::<Map<String, Value>>())
}
