//! Who sends what: one entry for each emitter, or family that sends alike. Everything that depends on knowing an emitter
//! stands in these tables; what is computed from it does not.
//!
//! Normalised onto OpenTelemetry's semantic conventions, GenAI as of [`CONVENTIONS_VERSION`]: what an emitter says by another
//! name, in another unit or as another type is put into the conventional attribute's column too, unless the emitter sent
//! that attribute itself. What was sent stays as it was sent.

mod conventions;
mod frameworks;
mod gateways;
mod messaging;
mod model_servers;
mod reading;
mod said;

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

use crate::attr::Attr;
use crate::class::TimeClass;

pub use reading::Reading;
pub use said::{About, Said};

/// The release of OpenTelemetry's semantic conventions whose GenAI part everything is normalised onto.
pub const CONVENTIONS_VERSION: &str = "1.41.1";

/// One emitter. What it does not need is left at [`Emitter::NONE`].
#[derive(Debug)]
pub struct Emitter {
    /// As people call it, with the version that was looked at.
    pub name: &'static str,
    /// What else says what a column says, the more trustworthy first.
    pub aliases: &'static [Alias],
    /// Names of spans that tell the operation where no attribute does.
    pub names: &'static [Named],
    /// Names of spans that are nothing but a wait on a queue.
    pub queue_spans: &'static [&'static str],
    /// Names of spans that are nothing but fetching what the work needs.
    pub load_spans: &'static [&'static str],
    /// Pairs of events that mark a wait on a queue: from the first of one name to the first of the other after it.
    pub queue_events: &'static [(&'static str, &'static str)],
    /// Byte events of a proxy: the request was read, the upstream got its first byte.
    pub proxy_events: &'static [(&'static str, &'static str)],
    /// Names of spans that stand between two attempts and are none themselves.
    pub retry_markers: &'static [&'static str],
    /// Names of a span that asks for work and ends at once, and of the span below it that is the work; what follows is the
    /// name of the work, and the asker waits for it.
    pub awaited: Option<(&'static str, &'static str)>,
}

impl Emitter {
    pub const NONE: Self = Self {
        name: "",
        aliases: &[],
        names: &[],
        queue_spans: &[],
        load_spans: &[],
        queue_events: &[],
        proxy_events: &[],
        retry_markers: &[],
        awaited: None,
    };
}

/// An attribute that says what a column says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alias {
    /// As sent.
    pub key: &'static str,
    pub target: Attr,
    pub reading: Reading,
    /// The operations on whose spans it says so; on any, where none is named.
    pub of: &'static [&'static str],
}

/// A span name that tells its operation, with at most one `*`, which names the agent or tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// What the instrumentation scope begins with.
    pub scope: &'static str,
    pub name: &'static str,
    pub operation: &'static str,
}

const fn alias(key: &'static str, target: Attr, reading: Reading) -> Alias {
    Alias { key, target, reading, of: &[] }
}

impl Alias {
    const fn of(self, operations: &'static [&'static str]) -> Self {
        Self { of: operations, ..self }
    }
}

/// Operations of [`Alias::of`].
const TOOL: &[&str] = &["execute_tool"];
const AGENT: &[&str] = &["invoke_agent", "create_agent"];
const MODEL: &[&str] = &["chat", "text_completion", "generate_content", "embeddings"];

const fn named(scope: &'static str, name: &'static str, operation: &'static str) -> Named {
    Named { scope, name, operation }
}

/// All of them. Where two say the same of one span, the first is believed.
pub const EMITTERS: &[&Emitter] = &[
    &conventions::OPENTELEMETRY,
    &frameworks::OPENINFERENCE,
    &frameworks::OPENLLMETRY,
    &frameworks::VERCEL,
    &frameworks::PYDANTIC_AI,
    &frameworks::GOOGLE_ADK,
    &frameworks::STRANDS,
    &frameworks::LANGSMITH,
    &frameworks::CREWAI,
    &frameworks::SEMANTIC_KERNEL,
    &frameworks::MASTRA,
    &frameworks::GENKIT,
    &frameworks::SPRING_AI,
    &frameworks::LIVEKIT,
    &frameworks::MLFLOW,
    &frameworks::CLAUDE_CODE,
    &frameworks::LANGFUSE,
    &model_servers::VLLM,
    &model_servers::SGLANG,
    &model_servers::TGI,
    &model_servers::TRITON,
    &messaging::TEMPORAL,
    &messaging::CELERY,
    &messaging::BROKERS,
    &gateways::ENVOY,
    &gateways::LITELLM,
    &gateways::MCP,
];

/// What is known of one attribute name on spans.
#[derive(Debug, Default)]
pub struct Key {
    /// Its own column.
    pub column: Option<Attr>,
    /// What else it says, each with its rank among all that say the same.
    pub says: Vec<(u16, Alias)>,
    /// Whether there is more to it than what its own column has.
    says_more: bool,
}

impl Key {
    /// Whether there is more to one of the things it says, though its own column has the value.
    fn says_more(&self, alias: &Alias) -> bool {
        self.column != Some(alias.target) || matches!(alias.reading, Reading::Name | Reading::Operation)
    }
}

static KEYS: LazyLock<FxHashMap<&'static [u8], Key>> = LazyLock::new(|| {
    let mut keys: FxHashMap<&'static [u8], Key> = FxHashMap::default();
    for attr in Attr::ALL.iter().filter(|a| a.info().scope == crate::attr::Scope::Span) {
        keys.entry(attr.info().name.as_bytes()).or_default().column = Some(*attr);
    }
    for (rank, alias) in (0..).zip(EMITTERS.iter().flat_map(|e| e.aliases)) {
        keys.entry(alias.key.as_bytes()).or_default().says.push((rank, *alias));
    }
    for key in keys.values_mut() {
        key.says_more = key.says.iter().any(|(_, alias)| key.says_more(alias));
    }
    keys
});

/// What is known of an attribute of this name, as it came over the wire.
pub fn key(name: &[u8]) -> Option<&'static Key> {
    KEYS.get(name)
}

/// Names among which that of every span is looked for: most are none of them by their length or first letter.
#[derive(Debug)]
struct Names<T> {
    /// Bit n: some name has n bytes, or n and a multiple of 64.
    lengths: u64,
    /// Bit n: some name begins with byte n, or n and a multiple of 64.
    firsts: u64,
    known: FxHashMap<&'static str, T>,
}

impl<T> FromIterator<(&'static str, T)> for Names<T> {
    fn from_iter<I: IntoIterator<Item = (&'static str, T)>>(names: I) -> Self {
        let known: FxHashMap<&'static str, T> = names.into_iter().collect();
        let (mut lengths, mut firsts) = (0, 0);
        for name in known.keys() {
            lengths |= length_bit(name);
            firsts |= first_bit(name);
        }
        Self { lengths, firsts, known }
    }
}

impl<T> Names<T> {
    #[inline]
    fn get(&self, name: &str) -> Option<&T> {
        if self.lengths & length_bit(name) != 0 && self.firsts & first_bit(name) != 0 {
            self.known.get(name)
        } else {
            None
        }
    }
}

#[inline]
fn length_bit(name: &str) -> u64 {
    1 << (name.len() % 64)
}

#[inline]
fn first_bit(name: &str) -> u64 {
    name.as_bytes().first().map_or(0, |first| 1 << (first % 64))
}

static CLASSES: LazyLock<Names<TimeClass>> = LazyLock::new(|| {
    let classes = EMITTERS.iter().flat_map(|e| {
        let queue = e.queue_spans.iter().map(|name| (*name, TimeClass::Queue));
        queue.chain(e.load_spans.iter().map(|name| (*name, TimeClass::Load)))
    });
    classes.collect()
});

/// The class to which all of a span's own time belongs, where its name says so.
#[inline]
pub fn class_of(span_name: &str) -> Option<TimeClass> {
    CLASSES.get(span_name).copied()
}

static RETRY_MARKERS: LazyLock<Names<()>> =
    LazyLock::new(|| EMITTERS.iter().flat_map(|e| e.retry_markers).map(|name| (*name, ())).collect());

/// Whether a span of this name stands between two attempts.
#[inline]
pub fn is_retry_marker(span_name: &str) -> bool {
    RETRY_MARKERS.get(span_name).is_some()
}

static AWAITED: LazyLock<Vec<(&'static str, &'static str)>> =
    LazyLock::new(|| EMITTERS.iter().filter_map(|e| e.awaited).collect());

static FIRSTS_OF_AWAITED: LazyLock<u64> =
    LazyLock::new(|| AWAITED.iter().fold(0, |firsts, (_, work)| firsts | first_bit(work)));

/// Whether a span of this name may be work that is awaited; most are not by their first letter.
#[inline]
pub fn may_be_awaited(works: &str) -> bool {
    *FIRSTS_OF_AWAITED & first_bit(works) != 0
}

/// Whether the caller of the first span waits for the second, though the first ended when it had asked for it.
pub fn is_awaited(asks: &str, works: &str) -> bool {
    AWAITED.iter().any(|(ask, work)| {
        let ran = works.strip_prefix(work);
        ran.is_some() && ran == asks.strip_prefix(ask)
    })
}

/// The pairs of events that mark a wait on a queue.
pub fn queue_events() -> impl Iterator<Item = (&'static str, &'static str)> {
    EMITTERS.iter().flat_map(|e| e.queue_events).copied()
}

/// The pairs of a proxy's byte events.
pub fn proxy_events() -> impl Iterator<Item = (&'static str, &'static str)> {
    EMITTERS.iter().flat_map(|e| e.proxy_events).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_emitter_has_a_name_and_nothing_stands_there_twice() {
        let names: HashSet<_> = EMITTERS.iter().map(|e| e.name).collect();
        assert_eq!(names.len(), EMITTERS.len());
        assert!(!names.contains(""));
        let aliases: Vec<_> = EMITTERS.iter().flat_map(|e| e.aliases).map(|a| (a.key, a.target)).collect();
        let distinct: HashSet<_> = aliases.iter().collect();
        assert_eq!(distinct.len(), aliases.len());
        let classes = EMITTERS.iter().map(|e| e.queue_spans.len() + e.load_spans.len()).sum::<usize>();
        assert_eq!(CLASSES.known.len(), classes);
    }

    #[test]
    fn a_name_is_found_as_a_whole() {
        for name in EMITTERS.iter().flat_map(|e| e.queue_spans) {
            assert_eq!(class_of(name), Some(TimeClass::Queue));
            assert_eq!(class_of(&name[1..]), None);
        }
        assert_eq!(class_of(""), None);
        assert!(is_retry_marker("model_retry") && !is_retry_marker("model_retries"));
    }

    #[test]
    fn an_activity_is_awaited_by_its_own_start_only() {
        assert!(may_be_awaited("RunActivity:Pay"));
        assert!(is_awaited("StartActivity:Pay", "RunActivity:Pay"));
        assert!(!is_awaited("StartActivity:Log", "RunActivity:Pay"));
        assert!(!is_awaited("Pay", "Pay"));
    }

    #[test]
    fn a_key_knows_its_column_and_what_it_says() {
        let model = key(b"llm.model_name").expect("known");
        assert_eq!(model.column, Some(Attr::LlmModelName));
        assert!(model.says.iter().any(|(_, a)| a.target == Attr::GenAiRequestModel));
        assert!(key(b"anything.else").is_none());
    }
}
