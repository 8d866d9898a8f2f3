//! What a model server attests of its own span, and what spans of one name are: the names stand in the table of emitters.

use plimsoll_schemas::{Attr, DurationNs, Span, TimeClass, emitters};

/// The class to which all of the span's own time belongs, where its name says so.
pub(crate) fn class_of(span: &Span<'_>) -> Option<TimeClass> {
    emitters::class_of(span.name)
}

/// What a model server attests of its own span.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Breakdown {
    pub queue: Option<i64>,
    /// What it computed; given, the span's remaining time is not accounted for by anyone.
    pub compute: Option<i64>,
}

pub(crate) fn breakdown(span: &Span<'_>) -> Breakdown {
    let nanos = |attr| span.double(attr).and_then(DurationNs::from_seconds).map(|d| d.0);
    let Some(queue) = nanos(Attr::TimeInQueue) else { return Breakdown::default() };
    let phases = match (nanos(Attr::TimeInModelPrefill), nanos(Attr::TimeInModelDecode)) {
        (Some(prefill), Some(decode)) => Some(prefill.saturating_add(decode)),
        _ => nanos(Attr::TimeInModelInference),
    };
    Breakdown { queue: Some(queue), compute: phases }
}

/// A marker span between two attempts, as agent frameworks emit it.
pub(crate) fn is_retry_marker(span: &Span<'_>) -> bool {
    emitters::is_retry_marker(span.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Build, span};

    #[test]
    fn sglang_numbers_are_no_breakdown() {
        let sglang = span(1, 0, 100).with(Attr::TimeInModelPrefill, 0.05).with(Attr::TimeInModelDecode, 0.04);
        assert_eq!(breakdown(&sglang), Breakdown::default());
    }
}
