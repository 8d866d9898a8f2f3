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
        for key in SliceKey::ALL {
            // What the trace does not know none of its spans does.
            if slice.get(key).is_none() && self.trace.get(key).is_some() {
                let known = members.iter().find_map(|member| self.spans[*member].get(key));
                slice.set(key, known.or(self.trace.get(key)));
            }
        }
        slice
    }
}

pub(crate) fn resolve<'a>(trace: &Trace<'_, 'a>) -> Slices<'a> {
    let mut slices = Slices { trace: Slice::default(), spans: vec![Slice::default(); trace.len()] };
    for &i in &trace.tree.order {
        let inherited = trace.parent(i).map_or(Slice::default(), |parent| slices.spans[parent]);
        slices.spans[i] =
            if trace.has(i).meets(KEYS) { or(own(&trace.spans[i]), inherited) } else { inherited };
    }
    if let Some(root) = trace.tree.root() {
        slices.trace = slices.spans[root];
        for (key, sources) in SliceKey::ALL.into_iter().zip(SOURCES) {
            if slices.trace.get(key).is_none() && trace.has_anywhere.meets(sources) {
                let known = trace.by_start.iter().find_map(|i| slices.spans[*i].get(key));
                slices.trace.set(key, known);
            }
        }
    }
    slices
}

/// Whatever each key may come from.
const SOURCES: [AttrSet; SliceKey::ALL.len()] = [
    AttrSet::of(SliceKey::ALL[0].sources()),
    AttrSet::of(SliceKey::ALL[1].sources()),
    AttrSet::of(SliceKey::ALL[2].sources()),
];
/// Whatever any key may come from.
const KEYS: AttrSet = SOURCES[0].or(SOURCES[1]).or(SOURCES[2]);

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
    trace.tree.root().as_ref().and_then(of).or_else(|| trace.by_start.iter().find_map(of))
}
