//! The order that decides every tie: by start, then id, then all else that was sent, so that the answer
//! does not depend on the order of the input even where ids repeat.

use std::cmp::Ordering;

use plimsoll_schemas::{Span, Value};

pub(crate) fn compare(a: &Span<'_>, b: &Span<'_>) -> Ordering {
    a.start.cmp(&b.start).then_with(|| a.span_id.cmp(&b.span_id)).then_with(|| contents(a, b))
}

/// Of two spans with one id the longer comes first: the other may be a fragment of it.
fn contents(a: &Span<'_>, b: &Span<'_>) -> Ordering {
    b.duration
        .cmp(&a.duration)
        .then_with(|| a.parent_span_id.cmp(&b.parent_span_id))
        .then_with(|| (a.service, a.scope, a.name).cmp(&(b.service, b.scope, b.name)))
        .then_with(|| {
            (a.kind as u8, a.status as u8, a.status_message).cmp(&(
                b.kind as u8,
                b.status as u8,
                b.status_message,
            ))
        })
        .then_with(|| {
            let (mine, theirs) = (a.attributes.iter(), b.attributes.iter());
            mine.map(|(attr, value)| (attr, Ranked(*value)))
                .cmp(theirs.map(|(attr, value)| (attr, Ranked(*value))))
        })
        .then_with(|| a.other_attributes.cmp(&b.other_attributes))
        .then_with(|| {
            a.events.iter().map(|e| (e.time, e.name)).cmp(b.events.iter().map(|e| (e.time, e.name)))
        })
        .then_with(|| {
            let (mine, theirs) = (a.links.iter(), b.links.iter());
            mine.map(|l| (l.trace_id, l.span_id)).cmp(theirs.map(|l| (l.trace_id, l.span_id)))
        })
}

/// A value with a total order: by type, then as usual, NaN after every number.
#[derive(Clone, Copy)]
struct Ranked<'a>(Value<'a>);

impl Ord for Ranked<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = |value| match value {
            Value::Str(_) => 0,
            Value::Int(_) => 1,
            Value::Double(_) => 2,
            Value::Bool(_) => 3,
        };
        match (self.0, other.0) {
            (Value::Str(a), Value::Str(b)) => a.cmp(b),
            (Value::Int(a), Value::Int(b)) => a.cmp(&b),
            (Value::Double(a), Value::Double(b)) => a.total_cmp(&b),
            (Value::Bool(a), Value::Bool(b)) => a.cmp(&b),
            (a, b) => rank(a).cmp(&rank(b)),
        }
    }
}

impl PartialOrd for Ranked<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranked<'_> {}

#[cfg(test)]
mod tests {
    use plimsoll_schemas::Attr;

    use super::*;
    use crate::testing::{Build, span};

    #[test]
    fn only_equal_spans_are_equal() {
        let base = || span(1, 0, 9).with(Attr::GenAiUsageCost, f64::NAN);
        assert_eq!(compare(&base(), &base()), Ordering::Equal);
        for other in [
            span(1, 1, 9),
            span(2, 0, 9),
            span(1, 0, 8).with(Attr::GenAiUsageCost, f64::NAN),
            base().child_of(1),
            base().named("other"),
            base().client(),
            base().failed(),
            base().event(1, "e"),
            base().linked_to(7),
            span(1, 0, 9).with(Attr::GenAiUsageCost, 1.0),
            span(1, 0, 9).with(Attr::GenAiUsageCost, 1_i64),
        ] {
            assert_ne!(compare(&base(), &other), Ordering::Equal, "{other:?}");
            assert_eq!(compare(&base(), &other), compare(&other, &base()).reverse());
        }
    }
}
