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

/// By span; what is counted elsewhere is unknown here.
pub(crate) fn of_leaves(trace: &Trace<'_, '_>) -> Vec<Tokens> {
    if !trace.has_anywhere.meets(USAGE) {
        return vec![Tokens::default(); trace.len()];
    }
    let mut tokens: Vec<Tokens> = (0..trace.len()).map(|i| reported(trace, i)).collect();
    let mut below = vec![Reported::default(); trace.len()];
    let mut responses: Vec<(&str, usize, usize)> = Vec::new();
    for (rank, &i) in trace.tree.order.iter().enumerate().rev() {
        let own = Reported::of(&tokens[i]);
        let covered = below[i];
        drop_covered(&mut tokens[i], covered);
        if let Some(parent) = trace.parent(i) {
            below[parent] = below[parent].or(own).or(covered);
        }
        if tokens[i] != Tokens::default()
            && let Some(response) = trace.spans[i].str(Attr::GenAiResponseId)
        {
            responses.push((response, rank, i));
        }
    }
    responses.sort_unstable();
    for same in responses.chunk_by(|a, b| a.0 == b.0) {
        let mut seen = Reported::default();
        for (_, _, i) in same {
            let own = Reported::of(&tokens[*i]);
            drop_covered(&mut tokens[*i], seen);
            seen = seen.or(own);
        }
    }
    tokens
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
    if !trace.has[i].meets(USAGE) || trace.flags[i].duplicate_id || is_tool_call(span) {
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
