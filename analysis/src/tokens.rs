//! Tokens and cost, counted once. Several layers report the same usage: an agent over its model calls, one library
//! over another, a client over its model server. Each number is taken from the lowest span that reports it, and
//! once per response id. Google ADK's span over merged tool calls, and tool calls as such, report none.

#[cfg(test)]
mod tests;

use plimsoll_schemas::Attr;
use plimsoll_schemas::stage::is_tool_call;

use crate::model::Tokens;
use crate::present::AttrSet;
use crate::trace::Trace;

/// The spans whose numbers count, in walking order, and the numbers.
pub(crate) fn of_leaves(trace: &Trace<'_, '_>) -> Vec<(usize, Tokens)> {
    let mut leaves = Vec::new();
    if !trace.has_anywhere.meets(USAGE) {
        return leaves;
    }
    let mut below = vec![Reported::default(); trace.len()];
    for &i in trace.tree.order.iter().rev() {
        let covered = below[i];
        let mut reporting = covered;
        if trace.has(i).meets(USAGE) {
            let mut tokens = reported(trace, i);
            reporting = covered.or(Reported::of(&tokens));
            drop_covered(&mut tokens, covered);
            if tokens != Tokens::default() {
                leaves.push((i, tokens));
            }
        }
        if reporting.any()
            && let Some(parent) = trace.parent(i)
        {
            below[parent] = below[parent].or(reporting);
        }
    }
    leaves.reverse();
    once_per_response(trace, &mut leaves);
    leaves
}

/// Of several with one response id, the first that reports a number has it.
fn once_per_response(trace: &Trace<'_, '_>, leaves: &mut [(usize, Tokens)]) {
    if !trace.has_anywhere.meets(AttrSet::of(&[Attr::GenAiResponseId])) {
        return;
    }
    let response = |(at, leaf): (usize, &(usize, Tokens))| {
        trace.spans[leaf.0].str(Attr::GenAiResponseId).map(|response| (response, at))
    };
    let mut responses: Vec<(&str, usize)> = leaves.iter().enumerate().filter_map(response).collect();
    responses.sort_unstable();
    for same in responses.chunk_by(|a, b| a.0 == b.0) {
        let mut seen = Reported::default();
        for (_, at) in same {
            let tokens = &mut leaves[*at].1;
            let own = Reported::of(tokens);
            drop_covered(tokens, seen);
            seen = seen.or(own);
        }
    }
}

/// Which of the numbers are known.
#[derive(Debug, Clone, Copy, Default)]
struct Reported {
    input: bool,
    output: bool,
    cost: bool,
}

impl Reported {
    fn of(tokens: &Tokens) -> Self {
        Self {
            input: tokens.input.is_some(),
            output: tokens.output.is_some(),
            cost: tokens.cost_usd.is_some(),
        }
    }

    fn any(self) -> bool {
        self.input | self.output | self.cost
    }

    fn or(self, other: Self) -> Self {
        Self {
            input: self.input | other.input,
            output: self.output | other.output,
            cost: self.cost | other.cost,
        }
    }
}

fn drop_covered(tokens: &mut Tokens, covered: Reported) {
    tokens.input = tokens.input.filter(|_| !covered.input);
    tokens.output = tokens.output.filter(|_| !covered.output);
    tokens.cost_usd = tokens.cost_usd.filter(|_| !covered.cost);
}

const USAGE: AttrSet =
    AttrSet::of(&[Attr::GenAiUsageInputTokens, Attr::GenAiUsageOutputTokens, Attr::GenAiUsageCost]);

fn reported(trace: &Trace<'_, '_>, i: usize) -> Tokens {
    let span = &trace.spans[i];
    if trace.flags[i].duplicate_id || is_tool_call(span) {
        return Tokens::default();
    }
    let count = |attr| span.int(attr).filter(|n| *n >= 0);
    Tokens {
        input: count(Attr::GenAiUsageInputTokens),
        output: count(Attr::GenAiUsageOutputTokens),
        cost_usd: span.double(Attr::GenAiUsageCost).filter(|cost| cost.is_finite() && *cost >= 0.0),
    }
}

impl Tokens {
    pub(crate) fn add(&mut self, other: &Self) {
        fn sum<T>(a: Option<T>, b: Option<T>, add: impl Fn(T, T) -> T) -> Option<T> {
            match (a, b) {
                (Some(a), Some(b)) => Some(add(a, b)),
                (a, b) => a.or(b),
            }
        }
        self.input = sum(self.input, other.input, i64::saturating_add);
        self.output = sum(self.output, other.output, i64::saturating_add);
        self.cost_usd = sum(self.cost_usd, other.cost_usd, |a, b| a + b);
    }
}
