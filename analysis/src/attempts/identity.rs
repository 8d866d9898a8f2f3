//! What two calls must share to be attempts of one.

use std::hash::BuildHasher;

use plimsoll_schemas::{Attr, SpanId};
use rustc_hash::FxBuildHasher;

use crate::calls::{Call, Calls, Target};
use crate::present::AttrSet;
use crate::trace::Trace;

/// Calls that differ in it are never attempts of one logical call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// What any identity is made of, besides the place and the target.
const TELLING: AttrSet = AttrSet::of(&[
    Attr::IdempotencyKey,
    Attr::HttpIdempotencyKey,
    Attr::TemporalActivityId,
    Attr::MessagingMessageId,
    Attr::GenAiToolCallId,
    Attr::UrlPath,
    Attr::GenAiToolCallArguments,
]);

impl<'a> Identity<'a> {
    pub fn of(trace: &Trace<'_, 'a>, call: &Call<'a>) -> Self {
        let span = &trace.spans[call.span];
        let top = &trace.spans[call.top];
        let parent = trace.parent(call.top).map(|p| trace.spans[p].span_id);
        // Attempts whose parent is missing are still siblings by its id; roots are nobody's.
        let parent = parent.or(top.parent_span_id).unwrap_or(top.span_id);
        if !call.has(trace).meets(TELLING) {
            return Self::Sibling { parent, target: call.target, request: None, path: None, arguments: None };
        }
        if let Some(key) = key(trace, call) {
            return Self::Key { target: call.target, key };
        }
        if call.is_delivery
            && let Some(activity) = span.str(Attr::TemporalActivityId)
        {
            return Self::Activity { workflow: span.str(Attr::TemporalWorkflowId), activity };
        }
        let message = if call.is_delivery { span.str(Attr::MessagingMessageId) } else { None };
        Self::Sibling {
            parent,
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

/// Tells the calls that have one identity, in order, where there are two or more.
pub(crate) fn shared<'a>(
    trace: &Trace<'_, 'a>,
    calls: &Calls<'a>,
    mut tell: impl FnMut(&Identity<'a>, &[usize]),
) {
    // By hash first: most are alone with theirs, and then nothing is compared.
    let hashes = calls.list.iter().map(|call| FxBuildHasher.hash_one(Identity::of(trace, call)));
    let mut hashed: Vec<(u64, usize)> = hashes.zip(0..).collect();
    hashed.sort_unstable();
    let (mut alike, mut same) = (Vec::new(), Vec::new());
    for chunk in hashed.chunk_by(|a, b| a.0 == b.0).filter(|chunk| chunk.len() > 1) {
        alike.clear();
        alike.extend(chunk.iter().map(|(_, c)| (Identity::of(trace, &calls.list[*c]), *c)));
        alike.sort_unstable();
        for one in alike.chunk_by(|a, b| a.0 == b.0).filter(|one| one.len() > 1) {
            same.clear();
            same.extend(one.iter().map(|(_, c)| *c));
            tell(&one[0].0, &same);
        }
    }
}

pub(crate) fn key<'a>(trace: &Trace<'_, 'a>, call: &Call<'a>) -> Option<&'a str> {
    call.str(trace, Attr::IdempotencyKey).or_else(|| call.str(trace, Attr::HttpIdempotencyKey))
}
