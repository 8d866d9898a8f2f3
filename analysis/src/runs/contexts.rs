//! The stages through which each run was called, from the request's own: `agent > execute > gateway`.

use super::Evidence;
use crate::lists::Lists;

/// Stages at most: what lies deeper has the context of what called it.
const STAGES_MAX: usize = 12;

/// By run. A run's first member in walking order tells who called it, and callers' runs have the smaller numbers.
pub(super) fn of_runs(of: &Evidence<'_, '_, '_>, run_of: &[usize], members: &Lists) -> Vec<String> {
    let runs = members.len();
    let mut contexts: Vec<String> = Vec::with_capacity(runs);
    let mut depths: Vec<usize> = Vec::with_capacity(runs);
    for run in 0..runs {
        let first = members.of(run)[0];
        let stage = of.stages[first];
        let caller = of.trace.parent(first).map(|parent| run_of[parent]);
        let (context, depth) = match caller.map(|caller| (&contexts[caller], depths[caller])) {
            None => (stage.to_owned(), 1),
            Some((caller, depth)) if depth >= STAGES_MAX => (caller.clone(), depth),
            Some((caller, depth)) => (below(caller, stage), depth + 1),
        };
        contexts.push(context);
        depths.push(depth);
    }
    contexts
}

fn below(caller: &str, stage: &str) -> String {
    const BETWEEN: &str = " > ";
    let mut context = String::with_capacity(caller.len() + BETWEEN.len() + stage.len());
    context.push_str(caller);
    context.push_str(BETWEEN);
    context.push_str(stage);
    context
}
