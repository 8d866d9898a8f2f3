//! What should not have been done: retries that repeat a side effect, come too late or cannot help; executions that differ from
//! what was approved. Only on evidence: where an attribute is missing, the answer is unknown, which is no violation.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use plimsoll_schemas::stage::is_tool_call;
use plimsoll_schemas::{Attr, Outcome, UnixNanos};

use crate::attempts::Attempts;
use crate::calls::{Call, Calls};
use crate::deadlines::Deadlines;
use crate::model::{AttemptGroup, Violation, ViolationKind};
use crate::present::AttrSet;
use crate::trace::Trace;

/// Whether a tool may be called twice for the same thing.
const IDEMPOTENT: [Attr; 2] = [Attr::ToolIdempotent, Attr::McpToolIdempotent];
const APPROVAL: AttrSet = AttrSet::of(&[Attr::ApprovedDigest, Attr::ApprovalRequired]);

/// By start, then by kind.
pub(crate) fn find<'a>(
    trace: &Trace<'_, 'a>,
    calls: &Calls<'a>,
    attempts: &Attempts<'a>,
    deadlines: &Deadlines,
) -> Vec<Violation<'a>> {
    let mut found = Vec::new();
    for (g, group) in attempts.groups.iter().enumerate().filter(|(_, group)| group.source.is_retry()) {
        of_group(trace, g, group, &mut found);
    }
    if !deadlines.is_empty() {
        after_deadline(trace, calls, attempts, deadlines, &mut found);
    }
    if trace.has_anywhere.meets(APPROVAL) {
        calls.list.iter().for_each(|call| found.extend(of_approval(trace, call)));
    }
    found.sort_by_key(|v| (trace.times[v.span].start, trace.spans[v.span].span_id, v.kind));
    found
}

fn of_group<'a>(trace: &Trace<'_, 'a>, g: usize, group: &AttemptGroup<'a>, found: &mut Vec<Violation<'a>>) {
    let mut push = |kind, span, detail: Cow<'static, str>| {
        found.push(Violation { kind, span, group: Some(g), edge: group.edge, detail });
    };
    let says = |value: bool| group.attempts.iter().any(|a| idempotent(trace, a.span) == Some(value));
    if let Some(again) = group.attempts.get(1).filter(|a| a.idempotency_key.is_none() && says(false)) {
        push(
            ViolationKind::RetryWithoutKey,
            again.span,
            "tried again without an idempotency key, though the tool says that it is not idempotent".into(),
        );
    }
    let mut done = group.attempts.iter().filter(|a| a.outcome == Outcome::Ok && a.idempotency_key.is_some());
    if let (Some(_), Some(twice)) = (done.next(), done.next())
        && !says(true)
    {
        push(
            ViolationKind::DuplicateSideEffect,
            twice.span,
            format!("succeeded again under the same idempotency key, as attempt {}", twice.ordinal).into(),
        );
    }
    for pair in group.attempts.windows(2).filter(|pair| !pair[1].hedge) {
        let failed = pair[0].outcome;
        if failed != Outcome::Ok && !failed.is_retryable() {
            push(
                ViolationKind::RetryOfNonRetryable,
                pair[1].span,
                format!("tried again after {}, which trying again cannot help", failed.as_str()).into(),
            );
        }
    }
}

/// What the call, what it wraps and what answers it say.
fn idempotent(trace: &Trace<'_, '_>, span: usize) -> Option<bool> {
    let of = |i: usize| IDEMPOTENT.iter().find_map(|attr| trace.spans[i].bool(*attr));
    let parent = trace.parent(span);
    of(span)
        .or_else(|| trace.tree.children.of(span).iter().find_map(|c| of(*c)))
        .or_else(|| parent.and_then(of))
}

/// Calls that began when the time of whoever wanted them was over.
fn after_deadline<'a>(
    trace: &Trace<'_, 'a>,
    calls: &Calls<'a>,
    attempts: &Attempts<'a>,
    deadlines: &Deadlines,
    found: &mut Vec<Violation<'a>>,
) {
    for call in &calls.list {
        let start = trace.times[call.span].start;
        if let Some(over) = deadlines.of(call.span).filter(|d| start > *d) {
            let group = attempts.of_span(call.span).map(|(group, _)| group);
            found.push(Violation {
                kind: ViolationKind::AttemptAfterDeadline,
                span: call.span,
                group: group.filter(|g| attempts.groups[*g].source.is_retry()),
                edge: call.edge(trace, std::iter::once(call.span)),
                detail: format!(
                    "began {} ms after the deadline",
                    (UnixNanos(start) - UnixNanos(over)).0 / 1_000_000
                )
                .into(),
            });
        }
    }
}

fn of_approval<'a>(trace: &Trace<'_, 'a>, call: &Call<'a>) -> Option<Violation<'a>> {
    let spans = [&trace.spans[call.span], &trace.spans[call.top]];
    if !spans.iter().any(|s| is_tool_call(s)) {
        return None;
    }
    let (kind, detail) = match (call.str(trace, Attr::ApprovedDigest), call.str(trace, Attr::ArgumentsDigest))
    {
        (Some(approved), Some(used)) if approved != used => {
            (ViolationKind::ApprovalMismatch, format!("executed {used}, approved was {approved}").into())
        }
        (None, _) if spans.iter().any(|s| s.bool(Attr::ApprovalRequired) == Some(true)) => {
            (ViolationKind::MissingApproval, "executed without the approval that its policy asks for".into())
        }
        _ => return None,
    };
    let edge = call.edge(trace, std::iter::once(call.span));
    Some(Violation { kind, span: call.span, group: None, edge, detail })
}
