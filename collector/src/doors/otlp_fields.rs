//! The fields of OTLP's messages, as far as traces and logs have them: names as JSON has them, numbers and types
//! as protobuf has them.

use opentelemetry_proto::tonic::logs::v1::SeverityNumber;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

#[derive(Debug)]
pub struct Message(pub &'static [Field]);

#[derive(Debug)]
pub struct Field {
    pub number: u32,
    pub name: &'static str,
    pub kind: Type,
    pub repeated: bool,
}

#[derive(Debug, Clone, Copy)]
pub enum Type {
    Message(&'static Message),
    Text,
    HexId,
    Base64,
    Bool,
    Int64,
    Uint32,
    Fixed32,
    Fixed64,
    Double,
    /// With what finds the number of a name.
    Enum(fn(&str) -> Option<i32>),
}

use Type::{Base64, Bool, Double, Enum, Fixed32, Fixed64, HexId, Int64, Text, Uint32};

const fn one(number: u32, name: &'static str, kind: Type) -> Field {
    Field { number, name, kind, repeated: false }
}

const fn many(number: u32, name: &'static str, kind: Type) -> Field {
    Field { number, name, kind, repeated: true }
}

pub static TRACES: Message = Message(&[many(1, "resourceSpans", Type::Message(&RESOURCE_SPANS))]);
pub static LOGS: Message = Message(&[many(1, "resourceLogs", Type::Message(&RESOURCE_LOGS))]);

static RESOURCE_SPANS: Message = Message(&[
    one(1, "resource", Type::Message(&RESOURCE)),
    many(2, "scopeSpans", Type::Message(&SCOPE_SPANS)),
    one(3, "schemaUrl", Text),
]);

static RESOURCE_LOGS: Message = Message(&[
    one(1, "resource", Type::Message(&RESOURCE)),
    many(2, "scopeLogs", Type::Message(&SCOPE_LOGS)),
    one(3, "schemaUrl", Text),
]);

static RESOURCE: Message =
    Message(&[many(1, "attributes", Type::Message(&KEY_VALUE)), one(2, "droppedAttributesCount", Uint32)]);

static SCOPE: Message = Message(&[
    one(1, "name", Text),
    one(2, "version", Text),
    many(3, "attributes", Type::Message(&KEY_VALUE)),
    one(4, "droppedAttributesCount", Uint32),
]);

static SCOPE_SPANS: Message = Message(&[
    one(1, "scope", Type::Message(&SCOPE)),
    many(2, "spans", Type::Message(&SPAN)),
    one(3, "schemaUrl", Text),
]);

static SCOPE_LOGS: Message = Message(&[
    one(1, "scope", Type::Message(&SCOPE)),
    many(2, "logRecords", Type::Message(&LOG_RECORD)),
    one(3, "schemaUrl", Text),
]);

static SPAN: Message = Message(&[
    one(1, "traceId", HexId),
    one(2, "spanId", HexId),
    one(3, "traceState", Text),
    one(4, "parentSpanId", HexId),
    one(5, "name", Text),
    one(6, "kind", Enum(span_kind)),
    one(7, "startTimeUnixNano", Fixed64),
    one(8, "endTimeUnixNano", Fixed64),
    many(9, "attributes", Type::Message(&KEY_VALUE)),
    one(10, "droppedAttributesCount", Uint32),
    many(11, "events", Type::Message(&EVENT)),
    one(12, "droppedEventsCount", Uint32),
    many(13, "links", Type::Message(&LINK)),
    one(14, "droppedLinksCount", Uint32),
    one(15, "status", Type::Message(&STATUS)),
    one(16, "flags", Fixed32),
]);

static EVENT: Message = Message(&[
    one(1, "timeUnixNano", Fixed64),
    one(2, "name", Text),
    many(3, "attributes", Type::Message(&KEY_VALUE)),
    one(4, "droppedAttributesCount", Uint32),
]);

static LINK: Message = Message(&[
    one(1, "traceId", HexId),
    one(2, "spanId", HexId),
    one(3, "traceState", Text),
    many(4, "attributes", Type::Message(&KEY_VALUE)),
    one(5, "droppedAttributesCount", Uint32),
    one(6, "flags", Fixed32),
]);

static STATUS: Message = Message(&[one(2, "message", Text), one(3, "code", Enum(status_code))]);

static LOG_RECORD: Message = Message(&[
    one(1, "timeUnixNano", Fixed64),
    one(2, "severityNumber", Enum(severity)),
    one(3, "severityText", Text),
    one(5, "body", Type::Message(&ANY_VALUE)),
    many(6, "attributes", Type::Message(&KEY_VALUE)),
    one(7, "droppedAttributesCount", Uint32),
    one(8, "flags", Fixed32),
    one(9, "traceId", HexId),
    one(10, "spanId", HexId),
    one(11, "observedTimeUnixNano", Fixed64),
    one(12, "eventName", Text),
]);

static KEY_VALUE: Message = Message(&[one(1, "key", Text), one(2, "value", Type::Message(&ANY_VALUE))]);

static ANY_VALUE: Message = Message(&[
    one(1, "stringValue", Text),
    one(2, "boolValue", Bool),
    one(3, "intValue", Int64),
    one(4, "doubleValue", Double),
    one(5, "arrayValue", Type::Message(&ARRAY)),
    one(6, "kvlistValue", Type::Message(&KEY_VALUES)),
    one(7, "bytesValue", Base64),
]);

static ARRAY: Message = Message(&[many(1, "values", Type::Message(&ANY_VALUE))]);
static KEY_VALUES: Message = Message(&[many(1, "values", Type::Message(&KEY_VALUE))]);

fn span_kind(name: &str) -> Option<i32> {
    SpanKind::from_str_name(name).map(|kind| kind as i32)
}

fn status_code(name: &str) -> Option<i32> {
    StatusCode::from_str_name(name).map(|code| code as i32)
}

fn severity(name: &str) -> Option<i32> {
    SeverityNumber::from_str_name(name).map(|number| number as i32)
}
