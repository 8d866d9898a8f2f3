//! One span as the analyses see it: borrowed from wherever its bytes lie, with its known attributes typed.

mod attributes;

pub use attributes::Attributes;

use crate::attr::{Attr, Value};
use crate::{DurationNs, SpanId, TraceId, UnixNanos};

/// OpenTelemetry's `SpanKind`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum SpanKind {
    #[default]
    Unspecified,
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

impl SpanKind {
    /// OTLP's number; an unknown one is unspecified.
    pub const fn from_wire(number: i32) -> Self {
        match number {
            1 => Self::Internal,
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Unspecified,
        }
    }

    pub const fn to_wire(self) -> i32 {
        match self {
            Self::Unspecified => 0,
            Self::Internal => 1,
            Self::Server => 2,
            Self::Client => 3,
            Self::Producer => 4,
            Self::Consumer => 5,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }

    /// The inverse of [`SpanKind::as_str`]; an unknown word is unspecified.
    pub fn from_name(name: &str) -> Self {
        match name {
            "internal" => Self::Internal,
            "server" => Self::Server,
            "client" => Self::Client,
            "producer" => Self::Producer,
            "consumer" => Self::Consumer,
            _ => Self::Unspecified,
        }
    }
}

/// OpenTelemetry's span status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum StatusCode {
    #[default]
    Unset,
    Ok,
    Error,
}

impl StatusCode {
    pub const fn from_wire(number: i32) -> Self {
        match number {
            1 => Self::Ok,
            2 => Self::Error,
            _ => Self::Unset,
        }
    }

    pub const fn to_wire(self) -> i32 {
        match self {
            Self::Unset => 0,
            Self::Ok => 1,
            Self::Error => 2,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unset => "unset",
            Self::Ok => "ok",
            Self::Error => "error",
        }
    }

    pub fn from_name(name: &str) -> Self {
        match name {
            "ok" => Self::Ok,
            "error" => Self::Error,
            _ => Self::Unset,
        }
    }
}

/// A timed mark within a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    pub time: UnixNanos,
    pub name: &'a str,
}

/// A causal reference to another span, perhaps of another trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    pub trace_id: TraceId,
    pub span_id: SpanId,
    /// When that span handed its work over, where it is of another trace and did (see [`Span::sends`]).
    pub sent: Option<UnixNanos>,
}

/// One span. Text is borrowed; only attributes that are columns (see [`Attr`]) are typed,
/// the remainder is there when a configured rule names it.
#[derive(Debug, Clone, PartialEq)]
pub struct Span<'a> {
    pub span_id: SpanId,
    pub parent_span_id: Option<SpanId>,
    pub start: UnixNanos,
    /// As sent; negative when the span ends before it starts.
    pub duration: DurationNs,
    pub name: &'a str,
    pub kind: SpanKind,
    pub status: StatusCode,
    pub status_message: &'a str,
    pub service: &'a str,
    pub scope: &'a str,
    /// Known attributes of the span and of its resource, in the order of [`Attr`].
    pub attributes: Attributes<'a>,
    /// The other attributes as text, filled only when configured rules need them.
    pub other_attributes: Vec<(&'a str, &'a str)>,
    pub events: Vec<Event<'a>>,
    pub links: Vec<Link>,
    /// How many spans this one stands for (see [`crate::sampling`]).
    pub adjusted_count: Option<f64>,
}

impl<'a> Span<'a> {
    /// The end of the span, never before its start.
    pub fn end(&self) -> UnixNanos {
        self.start + self.duration.max(DurationNs::ZERO)
    }

    /// Whether it hands work to a consumer.
    pub fn sends(&self) -> bool {
        match self.kind {
            SpanKind::Producer => true,
            // Instrumentations of blocking sends use it.
            SpanKind::Client => {
                matches!(self.str(Attr::MessagingOperationType), Some("send" | "publish" | "create"))
            }
            _ => false,
        }
    }

    #[inline]
    pub fn get(&self, attr: Attr) -> Option<Value<'a>> {
        self.attributes.get(attr)
    }

    #[inline]
    pub fn str(&self, attr: Attr) -> Option<&'a str> {
        match self.get(attr) {
            Some(Value::Str(s)) if !s.is_empty() => Some(s),
            _ => None,
        }
    }

    #[inline]
    pub fn int(&self, attr: Attr) -> Option<i64> {
        match self.get(attr) {
            Some(Value::Int(n)) => Some(n),
            _ => None,
        }
    }

    #[inline]
    pub fn double(&self, attr: Attr) -> Option<f64> {
        match self.get(attr) {
            Some(Value::Double(x)) => Some(x),
            Some(Value::Int(n)) => Some(n as f64),
            _ => None,
        }
    }

    #[inline]
    pub fn bool(&self, attr: Attr) -> Option<bool> {
        match self.get(attr) {
            Some(Value::Bool(b)) => Some(b),
            _ => None,
        }
    }

    /// Any attribute by its name as sent, the span's own before its resource's.
    pub fn named(&self, name: &str) -> Option<Value<'a>> {
        Attr::span(name)
            .and_then(|a| self.get(a))
            .or_else(|| self.other_attributes.iter().find(|(k, _)| *k == name).map(|(_, v)| Value::Str(v)))
            .or_else(|| Attr::resource(name).and_then(|a| self.get(a)))
    }
}
