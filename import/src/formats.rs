//! The formats: how each is recognised, and who reads it.

mod jaeger;
mod langfuse;
mod otlp;
mod otlp_protobuf;
mod phoenix;
mod tau2;
mod zipkin;

use crate::error::ImportError;
use crate::input::Input;
use crate::item::Item;

/// Where items go.
pub(crate) type Sink<'a> = dyn FnMut(Item) -> Result<(), ImportError> + 'a;

/// A format that can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OTLP as JSON, one request or one a line, as the OpenTelemetry Collector's file exporter writes them.
    OtlpJson,
    /// OTLP as protobuf, one request, or each after its length as the Collector's file exporter writes them.
    OtlpProtobuf,
    JaegerJson,
    ZipkinJson,
    Langfuse,
    /// Spans with OpenInference's attributes, as Arize Phoenix exports them.
    Phoenix,
    /// Sessions of tau2-bench, with their reward as verdict.
    Tau2,
    /// What judges said of tau2-bench sessions.
    Tau2Judge,
}

impl Format {
    pub const ALL: [Self; 8] = [
        Self::OtlpJson,
        Self::OtlpProtobuf,
        Self::JaegerJson,
        Self::ZipkinJson,
        Self::Langfuse,
        Self::Phoenix,
        Self::Tau2,
        Self::Tau2Judge,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OtlpJson => "otlp-json",
            Self::OtlpProtobuf => "otlp-protobuf",
            Self::JaegerJson => "jaeger",
            Self::ZipkinJson => "zipkin",
            Self::Langfuse => "langfuse",
            Self::Phoenix => "phoenix",
            Self::Tau2 => "tau2",
            Self::Tau2Judge => "tau2-judge",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.as_str() == name)
    }

    /// By the members that only this format has.
    pub(crate) fn of_content(beginning: &[u8]) -> Result<Self, ImportError> {
        if otlp_protobuf::is_protobuf(beginning) {
            return Ok(Self::OtlpProtobuf);
        }
        let first = beginning.iter().find(|b| !b.is_ascii_whitespace() && !matches!(b, 0xef | 0xbb | 0xbf));
        match first {
            None => return Err(ImportError::Unknown("the file is empty".into())),
            Some(b'{' | b'[') => {}
            Some(_) => return Err(unknown()),
        }
        let text = String::from_utf8_lossy(beginning);
        let has = |members: &[&str]| members.iter().all(|m| text.contains(&format!("\"{m}\"")));
        let found = [
            (Self::OtlpJson, otlp::is_json(|member| has(&[member]))),
            (Self::Tau2Judge, has(&["simulation_id", "judge_response"])),
            (Self::Tau2, has(&["simulations"]) || has(&["info", "agent_info"])),
            (Self::JaegerJson, has(&["traceID", "spanID"])),
            (Self::Langfuse, has(&["observations"]) || has(&["traceId", "startTime", "parentObservationId"])),
            (Self::Phoenix, has(&["context", "trace_id"]) || has(&["context.trace_id"])),
            (Self::ZipkinJson, has(&["traceId", "id"])),
        ];
        found.into_iter().find(|(_, is)| *is).map(|(format, _)| format).ok_or_else(unknown)
    }

    pub(crate) fn read(self, input: &mut Input<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        match self {
            Self::OtlpJson => otlp::requests(input, sink),
            Self::OtlpProtobuf => otlp_protobuf::read(input, sink),
            Self::JaegerJson => jaeger::read(input, sink),
            Self::ZipkinJson => zipkin::read(input, sink),
            Self::Langfuse => langfuse::read(input, sink),
            Self::Phoenix => phoenix::read(input, sink),
            Self::Tau2 => tau2::sessions(input, sink),
            Self::Tau2Judge => tau2::judgements(input, sink),
        }
    }
}

fn unknown() -> ImportError {
    let names: Vec<&str> = Format::ALL.iter().map(|f| f.as_str()).collect();
    ImportError::Unknown(format!(
        "no known format by its content; --format says which it is, one of {}",
        names.join(", ")
    ))
}
