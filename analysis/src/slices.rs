//! The slice of every span and of the trace, and the session that the trace belongs to.
//!
//! A span's key is what it says itself (attributes, then resource), else what its closest ancestor says.
//! The trace's is its root's; where the root knows nothing, it is that of the first span by start that does:
//! an agent's root span seldom names the model that its inference spans name.

#[cfg(test)]
mod tests;

use plimsoll_schemas::{Attr, Slice, SliceKey, Span};

use crate::present::AttrSet;
use crate::trace::Trace;

#[derive(Debug)]
pub(crate) struct Slices<'a> {
    pub trace: Slice<'a>,
    spans: Vec<Slice<'a>>,
}

impl<'a> Slices<'a> {
    /// The span's own, the trace's where it has none.
    pub fn of(&self, span: usize) -> Slice<'a> {
        or(self.spans[span], self.trace)
    }

    /// That of the span by which a stage was entered; what it does not know the first of the run's members does,
    /// before the trace has the word.
    pub fn of_run(&self, entry: usize, members: &[usize]) -> Slice<'a> {
        let mut slice = self.spans[entry];
        for member in members {
            if SliceKey::ALL.iter().all(|key| slice.get(*key).is_some()) {
                break;
            }
            slice = or(slice, self.spans[*member]);
        }
        or(slice, self.trace)
    }
}

pub(crate) fn resolve<'a>(trace: &Trace<'_, 'a>) -> Slices<'a> {
    let mut slices = Slices { trace: Slice::default(), spans: vec![Slice::default(); trace.len()] };
    for &i in &trace.tree.order {
        let inherited = trace.parent(i).map_or(Slice::default(), |parent| slices.spans[parent]);
        slices.spans[i] =
            if trace.has[i].meets(KEYS) { or(own(&trace.spans[i]), inherited) } else { inherited };
    }
    if let Some(root) = trace.tree.roots.first() {
        slices.trace = slices.spans[*root];
        for i in &trace.by_start {
            slices.trace = or(slices.trace, slices.spans[*i]);
        }
    }
    slices
}

/// Whatever any key may come from.
const KEYS: AttrSet = AttrSet::of(SliceKey::WorkloadClass.sources())
    .or(AttrSet::of(SliceKey::Model.sources()))
    .or(AttrSet::of(SliceKey::Hardware.sources()));

fn own<'a>(span: &Span<'a>) -> Slice<'a> {
    let mut slice = Slice::default();
    for key in SliceKey::ALL {
        slice.set(key, key.sources().iter().find_map(|source| span.str(*source)));
    }
    slice
}

fn or<'a>(first: Slice<'a>, second: Slice<'a>) -> Slice<'a> {
    Slice {
        workload_class: first.workload_class.or(second.workload_class),
        model: first.model.or(second.model),
        hardware: first.hardware.or(second.hardware),
    }
}

/// The root's session, else that of the first span by start that has one.
pub(crate) fn session<'a>(trace: &Trace<'_, 'a>) -> Option<&'a str> {
    if !trace.has_anywhere.meets(AttrSet::of(&[Attr::SessionId, Attr::GenAiConversationId])) {
        return None;
    }
    let of = |i: &usize| {
        let span = &trace.spans[*i];
        span.str(Attr::SessionId).or_else(|| span.str(Attr::GenAiConversationId))
    };
    trace.tree.roots.first().and_then(of).or_else(|| trace.by_start.iter().find_map(of))
}
