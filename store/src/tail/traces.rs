//! What is known of the traces whose spans are in memory: when they were last heard of, whether they settled,
//! and which spans they have, so that one that is sent again is not kept twice.

use std::time::{Duration, Instant};

use plimsoll_schemas::{SpanId, Tenant, TraceId};
use rustc_hash::{FxHashMap, FxHashSet};

use super::Chunk;

/// Whose trace. The tenant is an index into [`Traces::tenants`]: clients choose trace ids, so two tenants may share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceKey {
    pub tenant: u32,
    pub trace_id: TraceId,
}

/// One trace's state.
#[derive(Debug)]
pub struct TraceState {
    first_heard: Instant,
    last_heard: Instant,
    /// First and last log sequence in memory.
    pub seqs: (u64, u64),
    /// The last sequence that the latest settling included.
    settled: Option<u64>,
    /// The flush before which it settled: only that flush or a later one makes its derived rows durable.
    settled_in: u64,
    /// Whether derived rows of an earlier revision may exist.
    pub resettled: bool,
    spans: SpanSet,
}

impl TraceState {
    fn is_settled(&self) -> bool {
        self.settled.is_some_and(|seq| seq >= self.seqs.1)
    }
}

/// Most traces have a few dozen spans, for which a scan is faster than a hash set; some have a hundred thousand.
#[derive(Debug)]
pub enum SpanSet {
    Few(Vec<SpanId>),
    Many(FxHashSet<SpanId>),
}

const FEW_SPANS: usize = 64;
/// Of so many runs of a chunk's rows one is looked at first.
const LOOKED_AT_EVERY: usize = 8;

impl SpanSet {
    pub fn with_capacity(spans: usize) -> Self {
        if spans <= FEW_SPANS {
            Self::Few(Vec::with_capacity(spans))
        } else {
            Self::Many(FxHashSet::with_capacity_and_hasher(spans, Default::default()))
        }
    }

    /// False if it was there already.
    pub fn insert(&mut self, id: SpanId) -> bool {
        match self {
            Self::Few(ids) if ids.contains(&id) => false,
            Self::Few(ids) if ids.len() < FEW_SPANS => {
                ids.push(id);
                true
            }
            Self::Few(ids) => {
                let mut many: FxHashSet<_> = ids.drain(..).collect();
                let new = many.insert(id);
                *self = Self::Many(many);
                new
            }
            Self::Many(ids) => ids.insert(id),
        }
    }
}

/// See the module's description.
#[derive(Debug, Default)]
pub struct Traces {
    tenants: Vec<Tenant>,
    states: FxHashMap<TraceKey, TraceState>,
    /// Flushes begun.
    flushes: u64,
}

/// A trace that is due to settle.
#[derive(Debug, Clone)]
pub struct Due {
    pub key: TraceKey,
    pub tenant: Tenant,
    pub seqs: (u64, u64),
    pub resettled: bool,
}

impl Traces {
    pub fn tenant_index(&mut self, tenant: &Tenant) -> u32 {
        let index = self.tenants.iter().position(|t| t == tenant).unwrap_or_else(|| {
            self.tenants.push(tenant.clone());
            self.tenants.len() - 1
        });
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    pub fn find_tenant(&self, tenant: &Tenant) -> Option<u32> {
        self.tenants.iter().position(|t| t == tenant).and_then(|i| u32::try_from(i).ok())
    }

    /// Notes the spans of one record. `None` if all are new, else which of them are.
    pub fn note(
        &mut self,
        tenant: &Tenant,
        spans: &[(TraceId, SpanId)],
        seq: u64,
        now: Instant,
    ) -> Option<Vec<bool>> {
        let tenant = self.tenant_index(tenant);
        let mut fresh: Option<Vec<bool>> = None;
        let mut rest = spans;
        while let Some((trace_id, _)) = rest.first() {
            let run = rest.iter().take_while(|(t, _)| t == trace_id).count();
            let state =
                self.states.entry(TraceKey { tenant, trace_id: *trace_id }).or_insert_with(|| TraceState {
                    first_heard: now,
                    last_heard: now,
                    seqs: (seq, seq),
                    settled: None,
                    settled_in: 0,
                    resettled: false,
                    spans: SpanSet::with_capacity(run),
                });
            let mut any = false;
            for (i, (_, span_id)) in rest[..run].iter().enumerate() {
                if state.spans.insert(*span_id) {
                    any = true;
                } else {
                    let at = spans.len() - rest.len() + i;
                    fresh.get_or_insert_with(|| vec![true; spans.len()])[at] = false;
                }
            }
            if any {
                state.seqs = (state.seqs.0.min(seq), state.seqs.1.max(seq));
                state.last_heard = now;
            }
            rest = &rest[run..];
        }
        fresh
    }

    /// Asks for a trace that is in files only to be settled again.
    pub fn revive(&mut self, tenant: &Tenant, trace_id: TraceId, now: Instant) {
        let tenant = self.tenant_index(tenant);
        let state = self.states.entry(TraceKey { tenant, trace_id }).or_insert_with(|| TraceState {
            first_heard: now,
            last_heard: now,
            // Above every sequence: nothing of it is in memory, all files are consulted.
            seqs: (u64::MAX, 0),
            settled: None,
            settled_in: 0,
            resettled: true,
            spans: SpanSet::with_capacity(0),
        });
        state.resettled = true;
        state.settled = None;
    }

    /// Traces whose rows came from a replay: an earlier run may have settled them.
    pub fn mark_all_resettled(&mut self) {
        for state in self.states.values_mut() {
            state.resettled = true;
        }
    }

    /// The unsettled traces that are idle for `idle` or as old as `age`; where they are more than `most`, those that came first.
    pub fn due(&self, now: Instant, idle: Duration, age: Duration, most: usize) -> Vec<Due> {
        let is_due = |s: &TraceState| {
            now.saturating_duration_since(s.last_heard) >= idle
                || now.saturating_duration_since(s.first_heard) >= age
        };
        let mut due: Vec<_> = self.states.iter().filter(|(_, s)| !s.is_settled() && is_due(s)).collect();
        if due.len() > most {
            due.select_nth_unstable_by_key(most, |(_, s)| s.seqs);
            due.truncate(most);
        }
        let due = due.into_iter().map(|(key, s)| Due {
            key: *key,
            tenant: self.tenants[key.tenant as usize].clone(),
            seqs: s.seqs,
            resettled: s.resettled || s.settled.is_some(),
        });
        due.collect()
    }

    /// Notes that a trace was settled with all its spans up to `seq`.
    pub fn settled(&mut self, key: &TraceKey, seq: u64, now: Instant) {
        if let Some(state) = self.states.get_mut(key) {
            state.settled = Some(seq.max(state.settled.unwrap_or(0)));
            state.settled_in = self.flushes;
            state.resettled = true;
            // Spans that still come start a new wait, also for one that was settled for its age.
            state.first_heard = now;
        }
    }

    pub fn is_unsettled(&self, tenant: &Tenant, trace_id: TraceId) -> bool {
        let state =
            self.find_tenant(tenant).and_then(|tenant| self.states.get(&TraceKey { tenant, trace_id }));
        state.is_some_and(|s| !s.is_settled())
    }

    pub fn any_unsettled(&self, chunk: &Chunk) -> bool {
        self.unsettled_runs(chunk, 1).any(|(_, unsettled)| unsettled)
    }

    /// Of each row of a chunk, whether its trace did not settle; `None` where that is so of half of them or more, or of those that are
    /// looked at first: the rows of a chunk came together, and settle together.
    pub fn few_unsettled_rows(&self, chunk: &Chunk) -> Option<Vec<bool>> {
        let are_few = |runs: &[(usize, bool)]| {
            let rows: usize = runs.iter().map(|(rows, _)| rows).sum();
            let waited_for: usize =
                runs.iter().filter_map(|(rows, unsettled)| unsettled.then_some(rows)).sum();
            2 * waited_for < rows
        };
        if !are_few(&self.unsettled_runs(chunk, LOOKED_AT_EVERY).collect::<Vec<_>>()) {
            return None;
        }
        let runs: Vec<_> = self.unsettled_runs(chunk, 1).collect();
        are_few(&runs).then(|| {
            let mut mask = Vec::with_capacity(chunk.keys.len());
            runs.iter().for_each(|(rows, unsettled)| mask.resize(mask.len() + rows, *unsettled));
            mask
        })
    }

    /// Of each so many-th run of rows of one trace, how many they are and whether it did not settle.
    fn unsettled_runs(&self, chunk: &Chunk, every: usize) -> impl Iterator<Item = (usize, bool)> {
        let tenant = self.find_tenant(&chunk.tenant);
        chunk.keys.chunk_by(|a, b| a == b).step_by(every).map(move |run| {
            let state = tenant.and_then(|tenant| self.states.get(&TraceKey { tenant, trace_id: run[0] }));
            (run.len(), state.is_some_and(|s| !s.is_settled()))
        })
    }

    pub fn begin_flush(&mut self) {
        self.flushes += 1;
    }

    /// Forgets traces whose spans, up to `seq`, and derived rows are all in files.
    pub fn forget_flushed(&mut self, seq: u64) {
        let flushes = self.flushes;
        self.states.retain(|_, s| !(s.is_settled() && s.seqs.1 <= seq && s.settled_in < flushes));
    }

    /// Every trace that would have to be settled again after a crash at this moment: those that did not settle,
    /// and those whose derived rows are in memory only.
    pub fn pending(&self) -> impl Iterator<Item = (&Tenant, TraceId)> {
        self.states.keys().map(|key| (&self.tenants[key.tenant as usize], key.trace_id))
    }

    /// The lowest sequence of any trace that did not settle: rows below it are final.
    pub fn unsettled_floor(&self) -> Option<u64> {
        self.states.values().filter(|s| !s.is_settled()).map(|s| s.seqs.0).min()
    }

    pub fn unsettled(&self) -> usize {
        self.states.values().filter(|s| !s.is_settled()).count()
    }
}
