//! Stage runs: one per logical call that enters a stage, with its attempts and its descendants of the same stage.
//!
//! A span enters a stage where its parent has another one, or handed the work over instead of waiting for it: what
//! was queued is a unit of its own, else a request would last as long as the work that it left behind. A span that
//! was sent twice enters once. Entries that are attempts of one logical call are one run, and so are the entries on
//! the far side that those attempts reached. A run lasts from its first enqueue or start to its last end, and its
//! outcome is that of the attempt whose result counted.

mod contexts;
mod partition;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use plimsoll_schemas::{DurationNs, Outcome, QueueSource, SpanKind, UnixNanos};

use crate::attempts::Attempts;
use crate::cover::Cover;
use crate::deadlines::Deadlines;
use crate::envelopes::Envelopes;
use crate::lists::Lists;
use crate::model::{ClassTimes, PathPart, Segment, SpanAnalysis, StageRun, Tokens};
use crate::slices::Slices;
use crate::tokens;
use crate::trace::{Interval, Trace, is_same};
use partition::Sweep;

/// All that earlier steps found out.
#[derive(Debug)]
pub(crate) struct Evidence<'t, 's, 'a> {
    pub trace: &'t Trace<'s, 'a>,
    pub stages: &'t [&'a str],
    pub slices: &'t Slices<'a>,
    pub envelopes: &'t Envelopes<'a>,
    pub outcomes: &'t [Outcome],
    pub attempts: &'t Attempts<'a>,
    pub cover: &'t Cover<'t>,
    pub deadlines: &'t Deadlines,
    pub spans: &'t [SpanAnalysis<'a>],
    /// Of all spans.
    pub segments: &'t [Segment],
    pub critical_path: &'t [PathPart<'a>],
}

/// The runs of a trace.
#[derive(Debug)]
pub(crate) struct Runs<'a> {
    /// By start.
    pub list: Vec<StageRun<'a>>,
    /// By the runs' numbers.
    pub members: Lists,
    /// See [`contexts`].
    pub contexts: String,
}

pub(crate) fn gather<'a>(of: &Evidence<'_, '_, 'a>) -> Runs<'a> {
    let trace = of.trace;
    let entries = Entries::new(of);
    let members = Lists::new(entries.runs, trace.tree.order.iter().copied(), |i| Some(entries.of[i].run));
    let mut sums: Vec<Sum> = (0..entries.runs).map(|run| Sum::new(of, &entries, members.of(run))).collect();
    for (span, tokens) in tokens::of_leaves(trace) {
        sums[entries.of[span].run].tokens.add(&tokens);
    }
    for part in of.critical_path {
        sums[entries.of[part.span].run].path.add(part.class, part.duration);
    }
    let contexts = contexts::of_runs(of, &entries, &members);
    let request = trace.tree.root().map(|root| entries.of[root].run);
    let mut sweep = Sweep::default();
    let mut by_start: Vec<_> =
        sums.iter().enumerate().map(|(run, sum)| (sum.start, order(trace, sum.first), run)).collect();
    by_start.sort_unstable();
    let run = |(start, _, run): (i64, _, usize)| {
        let (sum, members) = (&sums[run], members.of(run));
        let attempts = match of.attempts.unit(sum.first).group {
            Some(group) => of.attempts.groups[group].attempts.len(),
            None => sum.entries,
        };
        let said = members.iter().copied().filter(|i| !entries.of[*i].is_copy);
        StageRun {
            stage: of.stages[sum.first],
            root: sum.first,
            number: run,
            is_request: request == Some(run),
            start: UnixNanos(start),
            duration: DurationNs(sum.end - start),
            outcome: of.outcomes[sum.decisive],
            deadline: of.deadlines.of(sum.first).map(UnixNanos),
            time: sweep.partition(of, said, Interval { start, end: sum.end }, attempts > 1),
            queue_source: sum.queue_source,
            context: contexts.of[run].text.clone(),
            path: sum.path,
            attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
            errors: sum.errors,
            slice: of.slices.of_run(sum.first, members),
            envelope: of.envelopes.of_run(sum.first, members),
            tokens: sum.tokens,
        }
    };
    let list = by_start.into_iter().map(run).collect();
    Runs { list, members, contexts: contexts.text }
}

/// What the members of one run add up to.
#[derive(Debug)]
struct Sum {
    /// The entry that came first.
    first: usize,
    /// The entry whose outcome is the run's.
    decisive: usize,
    entries: usize,
    /// The first enqueue or start.
    start: i64,
    end: i64,
    queue_source: Option<QueueSource>,
    errors: u32,
    tokens: Tokens,
    path: ClassTimes,
}

impl Sum {
    fn new(of: &Evidence<'_, '_, '_>, entries: &Entries, members: &[usize]) -> Self {
        let trace = of.trace;
        // The first of the members in walking order is that by which the run came about: an entry.
        let mut sum = Self {
            first: members[0],
            decisive: members[0],
            entries: 0,
            start: i64::MAX,
            end: i64::MIN,
            queue_source: None,
            errors: 0,
            tokens: Tokens::default(),
            path: ClassTimes::default(),
        };
        for &i in members {
            let (time, answer) = (trace.times[i], &of.spans[i]);
            sum.start = sum.start.min(time.start.saturating_sub(answer.queue_before.0));
            sum.end = sum.end.max(time.end);
            sum.queue_source = sum.queue_source.into_iter().chain(answer.queue_source).min();
            sum.errors += u32::from(of.outcomes[i] != Outcome::Ok && !entries.of[i].is_copy);
            if entries.of[i].is_entry {
                sum.entries += 1;
                if i != members[0] {
                    sum.first = std::cmp::min_by_key(sum.first, i, |i| order(trace, *i));
                    sum.decisive = std::cmp::max_by_key(sum.decisive, i, |i| decides(of, *i));
                }
            }
        }
        sum
    }
}

/// By time, then by id: the same for every order of the input.
fn order(trace: &Trace<'_, '_>, i: usize) -> (i64, plimsoll_schemas::SpanId, bool) {
    (trace.times[i].start, trace.spans[i].span_id, trace.flags[i].duplicate_id)
}

/// Of a run's entries the one with the largest says how the run ended.
fn decides(of: &Evidence<'_, '_, '_>, entry: usize) -> impl Ord {
    let is_used = |i: usize| of.attempts.unit(i).is_used;
    let used = is_used(entry) || of.trace.parent(entry).is_some_and(is_used);
    (used, of.trace.times[entry].end, order(of.trace, entry))
}

/// No run yet.
const NONE: usize = usize::MAX;

fn is_handed_over(trace: &Trace<'_, '_>, i: usize) -> bool {
    trace.tree.places[i].by_link || trace.spans[i].kind == SpanKind::Consumer
}

struct Entries {
    runs: usize,
    /// By span.
    of: Vec<Membership>,
}

/// A span as part of its run.
#[derive(Debug, Clone, Copy)]
struct Membership {
    run: usize,
    is_entry: bool,
    /// Its original is in the same run, and speaks for it.
    is_copy: bool,
}

impl Entries {
    fn new<'a>(of: &Evidence<'_, '_, 'a>) -> Self {
        let trace = of.trace;
        let nowhere = Membership { run: NONE, is_entry: false, is_copy: false };
        let mut entries = Self { runs: 0, of: vec![nowhere; trace.len()] };
        // By group, side of the call, and stage.
        let mut of_calls: BTreeMap<(usize, bool, &'a str), usize> = BTreeMap::new();
        for &i in &trace.tree.order {
            let parent = trace.parent(i);
            let awaited =
                parent.filter(|p| is_same(of.stages[*p], of.stages[i]) && !is_handed_over(trace, i));
            // The original comes first: it has the same parent and, if anything, a smaller rank.
            let original =
                trace.original(i).filter(|o| entries.of[*o].run != NONE && of.stages[*o] == of.stages[i]);
            if let Some(within) = original.or(awaited) {
                let run = entries.of[within].run;
                entries.of[i] = Membership { run, is_entry: false, is_copy: original.is_some() };
                continue;
            }
            let far = || parent.filter(|p| trace.is_remote(i, *p)).and_then(|p| of.attempts.unit(p).group);
            let call = match of.attempts.unit(i).group {
                Some(group) => Some((group, false)),
                None => far().map(|group| (group, true)),
            };
            let new = entries.runs;
            let run = match call {
                Some((group, is_far)) => *of_calls.entry((group, is_far, of.stages[i])).or_insert(new),
                None => new,
            };
            entries.of[i] = Membership { run, is_entry: true, is_copy: false };
            entries.runs += usize::from(run == new);
        }
        entries
    }
}
