//! A small language for spans in tests: `span(2, 10, 40).child_of(1).client().with(Attr::HttpStatusCode, 503)`.

use plimsoll_schemas::span::{Attributes, Event, Link};
use plimsoll_schemas::{Attr, DurationNs, Span, SpanId, SpanKind, StatusCode, TraceId, UnixNanos, Value};

pub type TestSpan = Span<'static>;

pub fn id(n: u64) -> SpanId {
    SpanId::from_bytes(n.to_be_bytes())
}

/// A span of service `svc`, named `op`, from `start` to `end` in nanoseconds.
pub fn span(n: u64, start: i64, end: i64) -> TestSpan {
    Span {
        span_id: id(n),
        parent_span_id: None,
        start: UnixNanos(start),
        duration: DurationNs(end - start),
        name: "op",
        kind: SpanKind::Internal,
        status: StatusCode::Unset,
        status_message: "",
        service: "svc",
        scope: "",
        attributes: Attributes::default(),
        other_attributes: Vec::new(),
        events: Vec::new(),
        links: Vec::new(),
        adjusted_count: None,
    }
}

pub trait Build: Sized {
    fn child_of(self, parent: u64) -> Self;
    fn linked_to(self, other: u64) -> Self;
    fn kind(self, kind: SpanKind) -> Self;
    fn named(self, name: &'static str) -> Self;
    fn on(self, service: &'static str) -> Self;
    fn with(self, attr: Attr, value: impl Into<TestValue>) -> Self;
    fn event(self, at: i64, name: &'static str) -> Self;
    fn failed(self) -> Self;

    fn client(self) -> Self {
        self.kind(SpanKind::Client)
    }

    fn server(self) -> Self {
        self.kind(SpanKind::Server)
    }

    fn producer(self) -> Self {
        self.kind(SpanKind::Producer)
    }

    fn consumer(self) -> Self {
        self.kind(SpanKind::Consumer)
    }

    fn stage(self, stage: &'static str) -> Self {
        self.with(Attr::PlimsollStage, stage)
    }

    fn tool(self, name: &'static str) -> Self {
        self.with(Attr::GenAiOperationName, "execute_tool").with(Attr::GenAiToolName, name)
    }
}

/// A [`Value`] from a plain literal.
pub struct TestValue(Value<'static>);

impl From<&'static str> for TestValue {
    fn from(s: &'static str) -> Self {
        Self(Value::Str(s))
    }
}

impl From<i64> for TestValue {
    fn from(n: i64) -> Self {
        Self(Value::Int(n))
    }
}

impl From<bool> for TestValue {
    fn from(b: bool) -> Self {
        Self(Value::Bool(b))
    }
}

impl From<f64> for TestValue {
    fn from(x: f64) -> Self {
        Self(Value::Double(x))
    }
}

impl Build for TestSpan {
    fn child_of(mut self, parent: u64) -> Self {
        self.parent_span_id = Some(id(parent));
        self
    }

    fn linked_to(mut self, other: u64) -> Self {
        self.links.push(Link { trace_id: TraceId::from_bytes([1; 16]), span_id: id(other), sent: None });
        self
    }

    fn kind(mut self, kind: SpanKind) -> Self {
        self.kind = kind;
        self
    }

    fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    fn on(mut self, service: &'static str) -> Self {
        self.service = service;
        self
    }

    fn with(mut self, attr: Attr, value: impl Into<TestValue>) -> Self {
        self.attributes.insert(attr, value.into().0);
        self
    }

    fn event(mut self, at: i64, name: &'static str) -> Self {
        self.events.push(Event { time: UnixNanos(at), name });
        self
    }

    fn failed(mut self) -> Self {
        self.status = StatusCode::Error;
        self
    }
}
