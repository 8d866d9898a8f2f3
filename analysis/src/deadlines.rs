//! When the time of whoever wanted a span's work is over: the earliest deadline of the span and its ancestors.

use plimsoll_schemas::Attr;

use crate::present::AttrSet;
use crate::trace::Trace;

const DEADLINE: AttrSet = AttrSet::of(&[Attr::Deadline]);

/// Empty where no span of the trace names one.
#[derive(Debug)]
pub(crate) struct Deadlines(Vec<Option<i64>>);

impl Deadlines {
    pub fn of(&self, span: usize) -> Option<i64> {
        self.0.get(span).copied().flatten()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

pub(crate) fn resolve(trace: &Trace<'_, '_>) -> Deadlines {
    if !trace.has_anywhere.meets(DEADLINE) {
        return Deadlines(Vec::new());
    }
    let mut deadline: Vec<Option<i64>> = vec![None; trace.len()];
    for &i in &trace.tree.order {
        let own = trace.spans[i].int(Attr::Deadline);
        let above = trace.parent(i).and_then(|p| deadline[p]);
        deadline[i] = own.into_iter().chain(above).min();
    }
    Deadlines(deadline)
}
