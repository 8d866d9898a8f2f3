//! Clock skew between the two sides of a call, corrected as Jaeger does it.
//!
//! Only between a client span and its server span on differing, known hosts: where the server's span does not
//! fit into the client's, it is shifted so that the network time splits evenly; one that lasts longer than
//! the client's only never starts before it. What follows on the same host moves along. Stored data is not altered.

#[cfg(test)]
mod tests;

use plimsoll_schemas::{Attr, DurationNs, Span, SpanKind};

use crate::model::SpanFlags;
use crate::present::AttrSet;
use crate::trace::Interval;
use crate::tree::Tree;

/// Shifts `times` and says whether anything moved.
pub(crate) fn correct(
    spans: &[Span<'_>],
    tree: &Tree,
    times: &mut [Interval],
    flags: &mut [SpanFlags],
) -> bool {
    let mut moved = false;
    for &child in &tree.order {
        let Some(parent) = tree.places[child].parent else { continue };
        let parent_shift = flags[parent].skew.map_or(0, |d| d.0);
        let is_call = (spans[parent].kind, spans[child].kind) == (SpanKind::Client, SpanKind::Server);
        if !is_call && parent_shift == 0 {
            continue;
        }
        let crosses_clocks = match (host(&spans[child]), host(&spans[parent])) {
            (Some(child), Some(parent)) => child != parent,
            _ => false,
        };
        let shift = match (crosses_clocks, is_call) {
            (false, _) => parent_shift,
            (true, true) => fit(times[child], times[parent]),
            (true, false) => 0,
        };
        if shift != 0 {
            let shifted = times[child].shift(shift);
            if shifted != times[child] {
                times[child] = shifted;
                flags[child].skew = Some(DurationNs(shift));
                moved = true;
            }
        }
    }
    moved
}

/// What names a host.
pub(crate) const HOST: AttrSet = AttrSet::of(&[Attr::HostName, Attr::K8sPodName]);

fn host<'a>(span: &Span<'a>) -> Option<&'a str> {
    span.str(Attr::HostName).or_else(|| span.str(Attr::K8sPodName))
}

fn fit(child: Interval, parent: Interval) -> i64 {
    if child.len() > parent.len() {
        return parent.start.saturating_sub(child.start).max(0);
    }
    if child.start >= parent.start && child.end <= parent.end {
        return 0;
    }
    (parent.start + (parent.len() - child.len()) / 2).saturating_sub(child.start)
}
