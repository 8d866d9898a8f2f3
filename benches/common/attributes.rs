//! Attributes of the load's spans and resources.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};

pub fn extra(kind: usize) -> [KeyValue; 2] {
    [text("deployment.ring", ["r0", "r1", "r2", "r3"][kind]), int("thread.id", 140_234)]
}

pub fn resource(service: &str) -> Vec<KeyValue> {
    vec![
        text("service.name", service),
        text("service.version", "2.3.1"),
        text("service.instance.id", "5f0c6c7e-8a51-4d0e-9f61-6e5b5c0f2b11"),
        text("deployment.environment.name", "production"),
        text("host.name", "node-17"),
        text("host.type", "h100-8x"),
        text("telemetry.sdk.language", "python"),
        text("k8s.pod.name", "agents-7d9c5b6f4-x2x9p"),
    ]
}

pub fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

pub fn int(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

pub fn double(key: &str, value: f64) -> KeyValue {
    attribute(key, Value::DoubleValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}
