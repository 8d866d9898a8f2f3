//! What two calls must share to be attempts of one.

use plimsoll_schemas::{Attr, SpanId};

use crate::calls::{Call, Target};
use crate::trace::Trace;

/// Calls that differ in it are never attempts of one logical call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Identity<'a> {
    /// The caller says by a key that it is one thing, wherever it calls from.
    Key { target: Target<'a>, key: &'a str },
    /// A workflow engine runs it until it succeeds.
    Activity { workflow: Option<&'a str>, activity: &'a str },
    /// Nothing says so but that the same is asked for from the same place.
    Sibling {
        parent: SpanId,
        target: Target<'a>,
        /// Message id, or the id that a model gave to its decision to call a tool: a repeated decision is no retry.
        request: Option<&'a str>,
        path: Option<&'a str>,
        arguments: Option<&'a str>,
    },
}

impl<'a> Identity<'a> {
    pub fn of(trace: &Trace<'_, 'a>, call: &Call<'a>) -> Self {
        let span = &trace.spans[call.span];
        if let Some(key) = key(trace, call) {
            return Self::Key { target: call.target, key };
        }
        if call.is_delivery
            && let Some(activity) = span.str(Attr::TemporalActivityId)
        {
            return Self::Activity { workflow: span.str(Attr::TemporalWorkflowId), activity };
        }
        let top = &trace.spans[call.top];
        let parent = trace.parent(call.top).map(|p| trace.spans[p].span_id);
        let message = if call.is_delivery { span.str(Attr::MessagingMessageId) } else { None };
        Self::Sibling {
            // Attempts whose parent is missing are still siblings by its id; roots are nobody's.
            parent: parent.or(top.parent_span_id).unwrap_or(top.span_id),
            target: call.target,
            request: message.or_else(|| call.str(trace, Attr::GenAiToolCallId)),
            path: span.str(Attr::UrlPath),
            arguments: call.str(trace, Attr::GenAiToolCallArguments),
        }
    }

    /// Whether it alone makes calls one logical call, however they ended and whether or not they overlap.
    pub fn is_one_call(&self) -> bool {
        !matches!(self, Self::Sibling { .. })
    }
}

pub(crate) fn key<'a>(trace: &Trace<'_, 'a>, call: &Call<'a>) -> Option<&'a str> {
    call.str(trace, Attr::IdempotencyKey).or_else(|| call.str(trace, Attr::HttpIdempotencyKey))
}
