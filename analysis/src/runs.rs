//! Stage runs: one per logical call that enters a stage, with its attempts and its descendants of the same stage.
//!
//! A span enters a stage where its parent has another one, or handed the work over instead of waiting for it: what
//! was queued is a unit of its own, else a request would last as long as the work that it left behind. A span that
//! was sent twice enters once. Entries that are attempts of one logical call are one run, and so are the entries on
//! the far side that those attempts reached. A run lasts from its first enqueue or start to its last end, and its
//! outcome is that of the attempt whose result counted.

mod partition;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use plimsoll_schemas::{DurationNs, Outcome, SpanKind, UnixNanos};

use crate::attempts::Attempts;
use crate::calls::Calls;
use crate::decompose::Partition;
use crate::envelopes::Envelopes;
use crate::lists::Lists;
use crate::model::{ClassTimes, PathPart, StageRun, Tokens};
use crate::slices::Slices;
use crate::tokens;
use crate::trace::{Interval, Trace};
use crate::waits::Wait;
use partition::Sweep;

/// All that earlier steps found out.
#[derive(Debug)]
pub(crate) struct Evidence<'t, 's, 'a> {
    pub trace: &'t Trace<'s, 'a>,
    pub stages: &'t [&'a str],
    pub slices: &'t Slices<'a>,
    pub envelopes: &'t Envelopes<'a>,
    pub outcomes: &'t [Outcome],
    pub calls: &'t Calls<'a>,
    pub attempts: &'t Attempts<'a>,
    pub waits: &'t [Wait],
    pub partitions: &'t [Partition],
    pub critical_path: &'t [PathPart<'a>],
}

pub(crate) fn gather<'a>(of: &Evidence<'_, '_, 'a>) -> Vec<StageRun<'a>> {
    let trace = of.trace;
    let units = Units::new(of);
    let tokens = tokens::of_leaves(trace);

    let entries = Entries::new(of, &units);
    let mut path = vec![ClassTimes::default(); entries.runs];
    for part in of.critical_path {
        path[entries.run_of[part.span]].add(part.class, part.duration);
    }
    let mut contexts = Contexts::new(of, &entries);
    let members = Lists::new(entries.runs, &trace.tree.order, |i| Some(entries.run_of[i]));
    let mut sweep = Sweep::default();
    let mut runs: Vec<StageRun<'a>> = (0..entries.runs)
        .map(|run| {
            let members = members.of(run);
            let is_entry = |i: &&usize| entries.is_entry[**i];
            let said = || members.iter().copied().filter(|i| !entries.is_copy[*i]);
            let first =
                *members.iter().filter(is_entry).min_by_key(|i| order(trace, **i)).unwrap_or(&members[0]);
            let start = members.iter().map(|i| begin(of, *i)).min().unwrap_or(0);
            let end = members.iter().map(|i| trace.times[*i].end).max().unwrap_or(start);
            let attempts = match units.group_of[first] {
                Some(group) => of.attempts.groups[group].attempts.len(),
                None => members.iter().filter(is_entry).count(),
            };
            let mut sum = Tokens::default();
            members.iter().for_each(|i| sum.add(&tokens[*i]));
            StageRun {
                stage: of.stages[first],
                root: first,
                members: members.iter().copied().filter(|i| *i != first).collect(),
                is_request: trace.tree.roots.first().is_some_and(|root| entries.run_of[*root] == run),
                start: UnixNanos(start),
                duration: DurationNs(end - start),
                outcome: of.outcomes[units
                    .decisive(trace, members.iter().copied().filter(|i| entries.is_entry[*i]))
                    .unwrap_or(first)],
                time: sweep.partition(of, said(), Interval { start, end }, attempts > 1),
                queue_source: members.iter().filter_map(|i| of.waits[*i].source).min(),
                context: contexts.take(run),
                path: path[run],
                attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
                errors: said().map(|i| u32::from(of.outcomes[i] != Outcome::Ok)).sum(),
                slice: of.slices.of_run(first, members),
                envelope: of.envelopes.of_run(first, members),
                tokens: sum,
            }
        })
        .collect();
    runs.sort_by_cached_key(|run| (run.start, order(trace, run.root)));
    runs
}

/// Stages of a context at most: what lies deeper has the context of what called it.
const CONTEXT_STAGES_MAX: usize = 12;

/// By run, the stages through which it was called.
struct Contexts(Vec<String>);

impl Contexts {
    fn new(of: &Evidence<'_, '_, '_>, entries: &Entries) -> Self {
        let mut contexts: Vec<Option<(String, usize)>> = vec![None; entries.runs];
        // Parents before children.
        for &i in &of.trace.tree.order {
            let run = entries.run_of[i];
            if contexts[run].is_some() {
                continue;
            }
            let caller = of.trace.parent(i).and_then(|p| contexts[entries.run_of[p]].as_ref());
            contexts[run] = Some(match caller {
                None => (of.stages[i].to_owned(), 1),
                Some((caller, depth)) if *depth >= CONTEXT_STAGES_MAX => (caller.clone(), *depth),
                Some((caller, depth)) => (format!("{caller} > {}", of.stages[i]), depth + 1),
            });
        }
        Self(contexts.into_iter().map(|context| context.unwrap_or_default().0).collect())
    }

    fn take(&mut self, run: usize) -> String {
        std::mem::take(&mut self.0[run])
    }
}

/// The first enqueue or start.
fn begin(of: &Evidence<'_, '_, '_>, i: usize) -> i64 {
    of.trace.times[i].start.saturating_sub(of.waits[i].before)
}

/// By time, then by id: the same for every order of the input.
fn order(trace: &Trace<'_, '_>, i: usize) -> (i64, plimsoll_schemas::SpanId, bool) {
    (trace.times[i].start, trace.spans[i].span_id, trace.flags[i].duplicate_id)
}

/// The spans that stand for attempts: a call's innermost and outermost.
struct Units {
    /// The transport group.
    group_of: Vec<Option<usize>>,
    /// Whether its result is the one that counted.
    is_used: Vec<bool>,
}

impl Units {
    fn new(of: &Evidence<'_, '_, '_>) -> Self {
        let n = of.trace.len();
        let mut units = Self { group_of: vec![None; n], is_used: vec![false; n] };
        for first in 0..of.calls.list.len() {
            let Some(group) = of.attempts.group_of_call[first] else { continue };
            let tries = &of.attempts.groups[group].attempts;
            for (c, attempt) in of.attempts.logical.of(first).iter().zip(tries) {
                for span in [of.calls.list[*c].span, of.calls.list[*c].top] {
                    units.group_of[span] = Some(group);
                    units.is_used[span] |= !attempt.superseded;
                }
            }
        }
        units
    }

    /// The entry whose outcome is the run's.
    fn decisive(&self, trace: &Trace<'_, '_>, entries: impl Iterator<Item = usize>) -> Option<usize> {
        entries.max_by_key(|i| {
            let used = self.is_used[*i] || trace.parent(*i).is_some_and(|p| self.is_used[p]);
            (used, trace.times[*i].end, order(trace, *i))
        })
    }
}

/// No run yet.
const NONE: usize = usize::MAX;

fn is_handed_over(trace: &Trace<'_, '_>, i: usize) -> bool {
    trace.tree.by_link[i] || trace.spans[i].kind == SpanKind::Consumer
}

struct Entries {
    runs: usize,
    run_of: Vec<usize>,
    is_entry: Vec<bool>,
    /// Its original is in the same run, and speaks for it.
    is_copy: Vec<bool>,
}

impl Entries {
    fn new<'a>(of: &Evidence<'_, '_, 'a>, units: &Units) -> Self {
        let trace = of.trace;
        let n = trace.len();
        let mut entries =
            Self { runs: 0, run_of: vec![NONE; n], is_entry: vec![false; n], is_copy: vec![false; n] };
        // By group, side of the call, and stage.
        let mut of_calls: BTreeMap<(usize, bool, &'a str), usize> = BTreeMap::new();
        for &i in &trace.tree.order {
            let parent = trace.parent(i);
            let awaited = parent.filter(|p| of.stages[*p] == of.stages[i] && !is_handed_over(trace, i));
            // The original comes first: it has the same parent and, if anything, a smaller rank.
            let original =
                trace.original(i).filter(|o| entries.run_of[*o] != NONE && of.stages[*o] == of.stages[i]);
            if let Some(within) = original.or(awaited) {
                entries.run_of[i] = entries.run_of[within];
                entries.is_copy[i] = original.is_some();
                continue;
            }
            entries.is_entry[i] = true;
            let far = || parent.filter(|p| trace.is_remote(i, *p)).and_then(|p| units.group_of[p]);
            let call = match units.group_of[i] {
                Some(group) => Some((group, false)),
                None => far().map(|group| (group, true)),
            };
            let new = entries.runs;
            entries.run_of[i] = match call {
                Some((group, is_far)) => *of_calls.entry((group, is_far, of.stages[i])).or_insert(new),
                None => new,
            };
            entries.runs += usize::from(entries.run_of[i] == new);
        }
        entries
    }
}
