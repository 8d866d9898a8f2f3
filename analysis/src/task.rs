//! The task that a trace was given, where its spans name one.

use std::borrow::Cow;

use plimsoll_schemas::task::{TASK, TASK_IN_METADATA};
use plimsoll_schemas::{Attr, Span};
use serde_json::Value;

use crate::present::AttrSet;
use crate::trace::Trace;

const KEYS: AttrSet = AttrSet::of(&[TASK, Attr::OpenInferenceMetadata]);

/// The root's, else that of the first span by start that names one.
pub(crate) fn resolve<'a>(trace: &Trace<'_, 'a>) -> Option<Cow<'a, str>> {
    if !trace.has_anywhere.meets(KEYS) {
        return None;
    }
    let of = |i: &usize| if trace.has(*i).meets(KEYS) { of(&trace.spans[*i]) } else { None };
    trace.tree.root().as_ref().and_then(of).or_else(|| trace.by_start.iter().find_map(of))
}

fn of<'a>(span: &Span<'a>) -> Option<Cow<'a, str>> {
    span.str(TASK).map(Cow::Borrowed).or_else(|| in_metadata(span))
}

fn in_metadata<'a>(span: &Span<'a>) -> Option<Cow<'a, str>> {
    let metadata: Value = serde_json::from_str(span.str(Attr::OpenInferenceMetadata)?).ok()?;
    TASK_IN_METADATA.iter().find_map(|key| match metadata.get(key)? {
        Value::String(task) if !task.is_empty() => Some(task.clone().into()),
        Value::Number(task) => Some(task.to_string().into()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Build, span};

    #[test]
    fn the_root_names_it_else_the_first_span_that_does() {
        let check = |spans: &[Span<'_>], expected: Option<&str>| {
            assert_eq!(resolve(&Trace::new(spans)).as_deref(), expected);
        };
        let root = || span(1, 0, 100);
        let child = |n: u64| span(n, n as i64, 50).child_of(1);
        check(&[root(), child(2)], None);
        check(&[root(), child(3).with(TASK, "b"), child(2).with(TASK, "a")], Some("a"));
        check(&[root().with(TASK, "c"), child(2).with(TASK, "d")], Some("c"));
        let metadata = |text: &'static str| [root().with(Attr::OpenInferenceMetadata, text)];
        check(&metadata(r#"{"task_id": 13, "note": "x"}"#), Some("13"));
        check(&metadata(r#"{"task_id": {"a": 1}}"#), None);
        check(&metadata("not JSON"), None);
    }
}
