//! An agent that repeats itself: the same tool with the same arguments, whatever came of it. Its unit is the
//! logical call, so that a transport retry is not a repetition. Calls without recorded arguments are left out:
//! whether they repeat is unknown.

use std::borrow::Cow;

use plimsoll_schemas::stage::is_tool_call;
use plimsoll_schemas::{Attr, Outcome};

use super::{Attempts, tries};
use crate::calls::Calls;
use crate::model::GroupSource;
use crate::present::AttrSet;
use crate::trace::Trace;

pub(super) fn repeat<'a>(
    trace: &Trace<'_, 'a>,
    calls: &Calls<'a>,
    outcomes: &[Outcome],
    attempts: &mut Attempts<'a>,
) {
    if !trace.has_anywhere.meets(AttrSet::of(&[Attr::GenAiToolCallArguments])) {
        return;
    }
    let mut asked: Vec<(&str, &str, usize)> = Vec::new();
    for (c, call) in calls.list.iter().enumerate() {
        let is_first = !attempts.logical.of(c).is_empty();
        if is_first
            && is_tool_call(&trace.spans[call.span])
            && let (Some(tool), Some(arguments)) =
                (call.target.callee, call.str(trace, Attr::GenAiToolCallArguments))
        {
            asked.push((tool, arguments, c));
        }
    }
    asked.sort_unstable();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for of_tool in asked.chunk_by(|a, b| a.0 == b.0).filter(|calls| calls.len() > 1) {
        // A text that comes again is read once.
        let texts = of_tool.chunk_by(|a, b| a.1 == b.1);
        let mut texts: Vec<_> = texts.map(|calls| (canonical_json(calls[0].1), calls)).collect();
        texts.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for same in texts.chunk_by(|a, b| a.0 == b.0) {
            let mut calls: Vec<usize> =
                same.iter().flat_map(|(_, calls)| calls.iter()).map(|(_, _, c)| *c).collect();
            if calls.len() > 1 {
                calls.sort_unstable();
                groups.push(calls);
            }
        }
    }
    groups.sort_unstable();
    for members in groups {
        attempts.groups.push(tries(trace, calls, outcomes, GroupSource::SemanticRepeat, &members));
    }
}

/// JSON without its accidents: the order of keys and white space. Other text stands for itself.
pub fn canonical_json(arguments: &str) -> Cow<'_, str> {
    match serde_json::from_str::<serde_json::Value>(arguments) {
        Ok(mut value) => {
            value.sort_all_objects();
            Cow::Owned(value.to_string())
        }
        Err(_) => Cow::Borrowed(arguments),
    }
}
