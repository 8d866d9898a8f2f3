//! How every span ended. An error that says nothing of its cause is `dependency` where something that
//! the span called failed too; one that gives a code or a telling word is taken at it.

#[cfg(test)]
mod tests;

use plimsoll_schemas::{Outcome, Rules};

use crate::trace::Trace;

pub(crate) fn resolve(trace: &Trace<'_, '_>, rules: &Rules) -> Vec<Outcome> {
    let mut outcomes = vec![Outcome::Ok; trace.len()];
    // Children before parents.
    for &i in trace.tree.order.iter().rev() {
        let span = &trace.spans[i];
        let configured = rules.outcomes.iter().find(|rule| rule.matches(span)).map(|rule| rule.outcome);
        outcomes[i] = configured.or_else(|| Outcome::stated(span)).unwrap_or_else(|| {
            let explained = trace.tree.children.of(i).iter().any(|child| outcomes[*child] != Outcome::Ok);
            if explained { Outcome::Dependency } else { Outcome::Internal }
        });
    }
    outcomes
}
