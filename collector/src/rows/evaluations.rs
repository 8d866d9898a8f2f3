//! Verdicts that come with telemetry: evaluation events, as log records or on a span (OpenTelemetry GenAI conventions), and
//! evaluations among a span's attributes (OpenInference).

use std::borrow::Cow;
use std::collections::BTreeMap;

use plimsoll_schemas::{SpanId, TraceId, UnixNanos, verdict};

use super::notes::Notes;
use super::value::{Any, text};
use super::verdicts::Verdict;

/// What an evaluation may be about, as far as where it was found says.
#[derive(Debug, Clone, Copy)]
pub struct Target<'t> {
    pub trace_id: Option<TraceId>,
    pub span_id: Option<SpanId>,
    /// Who judged, where the evaluation does not say: the instrumentation scope.
    pub scope: &'t str,
    pub judged: UnixNanos,
}

/// The verdict of a `gen_ai.evaluation.result` event. `None` without a name: then it judges nothing.
pub fn of_event<'a>(attributes: &[(Cow<'a, str>, Any<'a>)], target: Target<'_>) -> Option<Verdict> {
    let value = |key: &str| attributes.iter().find(|(k, _)| k == key).map(|(_, v)| *v);
    let words = |keys: &[&str]| keys.iter().find_map(|key| string(value(key)?));
    let score = value("gen_ai.evaluation.score.value").and_then(number);
    let label = words(&["gen_ai.evaluation.score.label"]);
    let evaluator = words(&["gen_ai.evaluation.evaluator", "plimsoll.evaluator", "evaluator"]);
    Some(Verdict {
        trace_id: target.trace_id,
        span_id: target.span_id,
        response_id: words(&["gen_ai.response.id"]),
        session_id: words(&["gen_ai.conversation.id", "session.id"]),
        metric: words(&["gen_ai.evaluation.name"])?,
        pass: verdict::pass(None, label.as_deref(), score),
        label,
        score,
        evaluator: evaluator.or_else(|| (!target.scope.is_empty()).then(|| target.scope.to_owned())),
        evaluator_version: words(&["gen_ai.evaluation.evaluator.version", "plimsoll.evaluator.version"]),
        explanation: words(&["gen_ai.evaluation.explanation"]),
        judged: target.judged,
    })
}

fn string(value: Any<'_>) -> Option<String> {
    // The row of whatever carries it has noted what is odd about it.
    match value {
        Any::Str(s) if !s.is_empty() => Some(text(s, &mut Notes::default()).into_owned()),
        _ => None,
    }
}

fn number(value: Any<'_>) -> Option<f64> {
    match value {
        Any::Double(x) => Some(x),
        Any::Int(n) => Some(n as f64),
        _ => None,
    }
}

/// Whose evaluations a key of OpenInference lists: `evaluations.0.evaluation.score` is about the span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    Span,
    Trace,
    Session,
}

/// The parts of evaluations among the attributes of one span, each with its evaluation's place in the lists.
#[derive(Debug, Default)]
pub struct Listed<'a>(Vec<((Whose, u16), (String, Any<'a>))>);

impl<'a> Listed<'a> {
    /// Notes an attribute if it is part of an evaluation.
    pub fn note(&mut self, key: &str, value: Any<'a>) {
        // Most keys begin otherwise.
        if !matches!(key.as_bytes().first(), Some(b'a' | b'e' | b's' | b't')) {
            return;
        }
        let lists = [
            ("evaluations.", Whose::Span),
            ("annotations.", Whose::Span),
            ("trace.evaluations.", Whose::Trace),
            ("session.evaluations.", Whose::Session),
        ];
        let found = lists.iter().find_map(|(prefix, whose)| Some((*whose, key.strip_prefix(prefix)?)));
        let Some((whose, (place, part))) =
            found.and_then(|(whose, rest)| Some((whose, rest.split_once('.')?)))
        else {
            return;
        };
        let part = part.strip_prefix("evaluation.").or_else(|| part.strip_prefix("annotation."));
        if let (Ok(place), Some(part)) = (place.parse(), part) {
            self.0.push(((whose, place), (part.to_owned(), value)));
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The verdicts, if any.
    pub fn verdicts(self, target: Target<'_>, session_id: impl Fn() -> Option<String>) -> Vec<Verdict> {
        let mut by_place: BTreeMap<_, Vec<_>> = BTreeMap::new();
        self.0.into_iter().for_each(|(place, part)| by_place.entry(place).or_default().push(part));
        let each = by_place.into_iter().filter_map(|((whose, _), parts)| {
            let value = |key: &str| parts.iter().find(|(k, _)| k == key).map(|(_, v)| *v);
            let words = |key: &str| value(key).and_then(string);
            let (label, score) = (words("label"), value("score").and_then(number));
            if label.is_none() && score.is_none() {
                return None;
            }
            let session_id = if whose == Whose::Session { session_id() } else { None };
            let evaluator =
                words("identifier").or_else(|| words("annotator_kind").map(|kind| kind.to_lowercase()));
            Some(Verdict {
                // A verdict on a session that has no name is one on what is known of it.
                trace_id: target.trace_id.filter(|_| session_id.is_none()),
                span_id: target.span_id.filter(|_| whose == Whose::Span),
                response_id: None,
                session_id,
                metric: words("name")?,
                pass: verdict::pass(None, label.as_deref(), score),
                label,
                score,
                evaluator: evaluator.or_else(|| (!target.scope.is_empty()).then(|| target.scope.to_owned())),
                evaluator_version: None,
                explanation: words("explanation"),
                judged: target.judged,
            })
        });
        each.collect()
    }
}
