//! Verdicts: what somebody or something judged of a span, a trace, a session or a response.

use serde::{Deserialize, Serialize};

/// The log record event that carries a verdict (OpenTelemetry GenAI semantic conventions 1.41).
pub const EVENT_NAME: &str = "gen_ai.evaluation.result";

/// What a label means, where it is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    Pass,
    Fail,
    /// Neither: what it judges is not judged by it.
    Unknown,
}

impl Meaning {
    pub const fn pass(self) -> Option<bool> {
        match self {
            Self::Pass => Some(true),
            Self::Fail => Some(false),
            Self::Unknown => None,
        }
    }
}

/// Whether a free-text label means pass or fail; `None` where it says neither.
pub fn pass_of_label(label: &str) -> Option<bool> {
    let label = label.trim().to_ascii_lowercase();
    let is = |words: &[&str]| words.contains(&label.as_str());
    if is(&[
        "pass",
        "passed",
        "ok",
        "true",
        "yes",
        "good",
        "correct",
        "satisfied",
        "satisfactory",
        "compliant",
        "relevant",
        "success",
        "accept",
        "accepted",
        "positive",
        "thumbs_up",
    ]) {
        Some(true)
    } else if is(&[
        "fail",
        "failed",
        "false",
        "no",
        "bad",
        "wrong",
        "incorrect",
        "unsatisfied",
        "unsatisfactory",
        "non-compliant",
        "noncompliant",
        "irrelevant",
        "failure",
        "reject",
        "rejected",
        "negative",
        "thumbs_down",
        "hallucinated",
    ]) {
        Some(false)
    } else {
        None
    }
}

/// Pass or fail of a verdict: what it says outright, then its label, then a score of exactly 0 or 1.
pub fn pass(explicit: Option<bool>, label: Option<&str>, score: Option<f64>) -> Option<bool> {
    explicit.or_else(|| label.and_then(pass_of_label)).or(match (label, score) {
        (None, Some(1.0)) => Some(true),
        (None, Some(0.0)) => Some(false),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_free_text() {
        assert_eq!(pass_of_label(" Passed "), Some(true));
        assert_eq!(pass_of_label("hallucinated"), Some(false));
        assert_eq!(pass_of_label("needs review"), None);
        assert_eq!(
            pass(None, Some("needs review"), Some(1.0)),
            None,
            "a label that says neither is not overruled by a score"
        );
        assert_eq!(pass(None, None, Some(0.0)), Some(false));
        assert_eq!(pass(None, None, Some(0.7)), None);
    }
}
