//! The heart: what the spans of one trace say about where its time went, what was tried again, and how it ended.
//!
//! Pure functions: no I/O, no clock, no runtime. The same spans in any order give the same answer.
//! Definitions and their sources stand with each module; the vocabulary is in `plimsoll-schemas`.
//!
//! Nothing recurses and nothing is quadratic: a trace of 100,000 spans or a chain 10,000 deep is an ordinary input,
//! and so are cycles, missing parents, duplicate ids and spans that end before they start.

mod attempts;
mod calls;
mod cover;
mod critical_path;
mod deadlines;
mod decompose;
mod edges;
mod emitter;
mod envelopes;
pub mod fleet;
mod lists;
pub mod model;
mod order;
mod outcomes;
mod present;
mod reads;
mod runs;
mod skew;
pub mod slack;
mod slices;
mod stages;
mod task;
#[cfg(test)]
mod testing;
mod tokens;
mod trace;
mod tree;
mod violations;
mod waits;

pub use attempts::canonical_json;
pub use model::*;
pub use reads::{PASSED_OVER, reads};

use plimsoll_schemas::{DurationNs, Rules, Span, TimeClass};

/// Analyses the spans of one trace, given in any order. O(n log n) in their number.
///
/// The answer borrows text from what the spans borrow, and from the rules; not from the slice of spans itself.
pub fn analyse<'a>(spans: &[Span<'a>], rules: &'a Rules) -> TraceAnalysis<'a> {
    let trace = trace::Trace::new(spans);
    let stages = stages::resolve(&trace, rules);
    let slices = slices::resolve(&trace);
    let envelopes = envelopes::resolve(&trace);
    let outcomes = outcomes::resolve(&trace, rules);

    let calls = calls::find(&trace);
    let attempts = attempts::group(&trace, &calls, &outcomes);
    let cover = cover::Cover::new(&trace, |i| waits::of_activity(&trace, &attempts, i));
    let backoffs = attempts::backoffs(&trace, &calls, &attempts, &cover);
    let mut decomposer = decompose::Decomposer::new(&trace, &cover, &backoffs);
    let answer = |i: usize| {
        let wait = waits::of_span(&trace, &attempts, i);
        let decompose::Partition { segments, time, residual, clipped } = decomposer.span(i, &wait);
        SpanAnalysis {
            stage: stages[i],
            parent: trace.tree.places[i].parent,
            depth: trace.tree.places[i].depth,
            outcome: outcomes[i],
            time,
            segments,
            residual,
            queue_source: wait.source,
            queue_before: DurationNs(wait.before),
            queue_clipped: DurationNs(clipped),
            attempt: attempts.of_span(i),
            flags: SpanFlags { negative_handoff: wait.negative, ..trace.flags[i] },
        }
    };
    let answers: Vec<SpanAnalysis<'a>> = (0..spans.len()).map(answer).collect();

    let segments = decomposer.segments;
    let critical_path = critical_path::walk(&trace, &cover, &answers, &segments);
    let deadlines = deadlines::resolve(&trace);
    let runs = runs::gather(&runs::Evidence {
        deadlines: &deadlines,
        trace: &trace,
        stages: &stages,
        slices: &slices,
        envelopes: &envelopes,
        outcomes: &outcomes,
        attempts: &attempts,
        cover: &cover,
        spans: &answers,
        segments: &segments,
        critical_path: &critical_path,
    });
    let violations = violations::find(&trace, &calls, &attempts, &deadlines);
    let queued = |i: usize| answers[i].queue_source.map(|_| answers[i].queued());
    let edges = edges::count(&trace, &calls, &attempts, &slices, &outcomes, queued);
    let flags = trace.summary(answers.iter().map(|s| &s.flags));
    TraceAnalysis {
        root: trace.tree.root(),
        session_id: slices::session(&trace),
        task_id: task::resolve(&trace),
        slice: slices.trace,
        envelope: envelopes.trace,
        order: trace.tree.order,
        spans: answers,
        segments,
        critical_path,
        groups: attempts.groups,
        runs: runs.list,
        members: runs.members,
        contexts: runs.contexts,
        edges,
        violations,
        flags,
    }
}

/// The calls of one trace by edge and window: those of [`analyse`], where nothing else of it is wanted.
pub fn edges<'a>(spans: &[Span<'a>], rules: &Rules) -> Vec<EdgeWindow<'a>> {
    let trace = trace::Trace::new(spans);
    let slices = slices::resolve(&trace);
    let outcomes = outcomes::resolve(&trace, rules);
    let calls = calls::find(&trace);
    let attempts = attempts::group(&trace, &calls, &outcomes);
    let cover = cover::Cover::new(&trace, |i| waits::of_activity(&trace, &attempts, i));
    let backoffs = attempts::backoffs(&trace, &calls, &attempts, &cover);
    let mut decomposer = decompose::Decomposer::new(&trace, &cover, &backoffs);
    let queued = |i: usize| {
        let wait = waits::of_span(&trace, &attempts, i);
        wait.source?;
        Some(decomposer.span(i, &wait).time.get(TimeClass::Queue) + DurationNs(wait.before))
    };
    edges::count(&trace, &calls, &attempts, &slices, &outcomes, queued)
}
