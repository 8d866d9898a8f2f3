//! The stages through which each run was called, from the request's own: `agent > execute > gateway`.

use std::ops::Range;

use super::{Entries, Evidence};
use crate::lists::Lists;

/// Stages at most: what lies deeper has the context of what called it.
const STAGES_MAX: usize = 12;
const BETWEEN: &str = " > ";
/// Bytes of an ordinary context: room for them is made at once.
const LENGTH: usize = 32;

/// By run, each its part of the text of all.
#[derive(Debug)]
pub(super) struct Contexts {
    pub text: String,
    pub of: Vec<Context>,
}

#[derive(Debug)]
pub(super) struct Context {
    pub text: Range<usize>,
    /// How many stages it has.
    stages: usize,
}

/// A run's first member in walking order tells who called it, and callers' runs have the smaller numbers.
pub(super) fn of_runs(of: &Evidence<'_, '_, '_>, entries: &Entries, members: &Lists) -> Contexts {
    let runs = members.len();
    let mut contexts = Contexts { text: String::with_capacity(LENGTH * runs), of: Vec::with_capacity(runs) };
    for run in 0..runs {
        let first = members.of(run)[0];
        let caller = of.trace.parent(first).map(|parent| entries.of[parent].run);
        let above = caller.map(|caller| &contexts.of[caller]).map(|above| (above.text.clone(), above.stages));
        let (text, stages) = match above {
            None => (contexts.add(None, of.stages[first]), 1),
            Some((above, stages)) if stages >= STAGES_MAX => (above, stages),
            Some((above, stages)) => (contexts.add(Some(above), of.stages[first]), stages + 1),
        };
        contexts.of.push(Context { text, stages });
    }
    contexts
}

impl Contexts {
    /// The stage below what is written at `above`.
    fn add(&mut self, above: Option<Range<usize>>, stage: &str) -> Range<usize> {
        let begin = self.text.len();
        if let Some(above) = above {
            self.text.extend_from_within(above);
            self.text.push_str(BETWEEN);
        }
        self.text.push_str(stage);
        begin..self.text.len()
    }
}
