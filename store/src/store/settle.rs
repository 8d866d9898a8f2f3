//! Settling: traces that went idle are analysed, and what is derived of them is written.
//!
//! A trace that changes afterwards is settled again under a higher revision.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::Array;
use arrow::record_batch::RecordBatch;
use plimsoll_analysis::{TraceAnalysis, analyse};
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{Rules, Span, Tenant, TraceId, UnixNanos};
use rustc_hash::{FxHashMap, FxHashSet};

use super::Inner;
use super::merge::NEAR_NS;
use super::patience::Settling;
use super::senders::{Places, Senders};
use crate::derive::{Members, in_order};
use crate::error::StoreError;
use crate::file_list::FileList;
use crate::lake::read_traces;
use crate::rows::derived::{DerivedRows, Settled};
use crate::rows::{Columns, SpanRows};
use crate::tail::traces::Due;
use crate::tail::{Chunk, TraceKey};

/// Traces a pass: bounds what one pass holds in memory.
pub const TRACES_PER_PASS: usize = 4_000;

/// How long before its root a span of a trace may have ended and still be looked for: a day, as late spans may come, and
/// what clocks may differ by.
const LATE_NS: i64 = 25 * 3_600_000_000_000;

/// What a pass works on: the due traces and where their spans lie.
struct Work {
    due: Vec<Due>,
    chunks: Vec<Arc<Chunk>>,
    files: Arc<FileList>,
    revision: u64,
}

/// What a pass found out.
struct Derived {
    rows: Vec<(Table, RecordBatch)>,
    senders: Senders,
    /// Traces of which some spans may be merged already, or will be apart from the others.
    to_restate: Vec<(Tenant, TraceId)>,
}

impl Inner {
    /// One pass, on a thread that may block. Answers how many traces it settled.
    ///
    /// One pass at a time: two that overlap would find the same traces due, and write their rows twice under one revision.
    /// A pass goes on where nobody waits for it any more, as when closing gives up the task that asked.
    pub(super) fn settle(&self, settling: Settling) -> Result<usize, StoreError> {
        let _one_at_a_time = self.settling.lock();
        let work = {
            let state = self.state.lock();
            let due = state.tail.traces.due(Instant::now(), settling.idle, settling.age, TRACES_PER_PASS);
            if due.is_empty() {
                return Ok(0);
            }
            let spans = &state.tables[Table::Spans as usize];
            Work {
                due,
                chunks: state.tail.span_chunks(),
                files: spans.files.clone(),
                revision: state.tail.seq,
            }
        };
        let Derived { rows: derived, senders, to_restate } = self.derive_rows(&work)?;
        let now = Instant::now();
        let mut awaited = self.awaited.lock();
        let mut state = self.state.lock();
        self.restating.lock().ask(to_restate);
        for (table, batch) in derived {
            state.tail.push_derived(table, batch, now)?;
        }
        state.settled += 1;
        for due in &work.due {
            state.tail.traces.settled(&due.key, due.seqs.1, now);
        }
        // Before the senders are noted that this pass missed itself: they are waited for from now on.
        for due in &work.due {
            for consumer in awaited.take(due.tenant.as_str(), due.key.trace_id) {
                state.tail.traces.revive(&due.tenant, consumer, now);
            }
        }
        awaited.add(&senders);
        let gone = state.tail.drop_settled();
        drop(state);
        drop(gone);
        self.counters.settled_traces.add(work.due.len() as u64);
        Ok(work.due.len())
    }

    fn derive_rows(&self, work: &Work) -> Result<Derived, StoreError> {
        let rules = &self.options.rules;
        let mut located = in_memory(work);
        let (earlier, found) = self.earlier_spans(work, &began(work, &located)?)?;
        let batches: Vec<&RecordBatch> = work.chunks.iter().map(|c| &c.batch).chain(&earlier).collect();
        add_earlier(work, &earlier, rules, &mut located)?;
        // Of all that is in memory a pass looks at the batches with spans of its traces.
        let mut touched = vec![false; batches.len()];
        located.iter().flatten().for_each(|(batch, _)| touched[*batch] = true);
        let rows = batches
            .iter()
            .zip(touched)
            .map(|(b, touched)| touched.then(|| SpanRows::to_analyse(b, rules)).transpose());
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        let (mut derived, mut rows_of_tables) = (DerivedRows::default(), Vec::new());
        let mut to_restate = Vec::new();
        let places = Places { chunks: &work.chunks, files: &work.files };
        let all = located.iter().flatten();
        let senders =
            self.senders(all.filter_map(|(batch, row)| Some((rows[*batch].as_ref()?, *row))), places)?;
        // In the order in which they came: traces that lie side by side share what the cache holds of their columns.
        let mut located: Vec<_> = work.due.iter().zip(located).collect();
        located.sort_unstable_by_key(|(_, members)| members.first().copied());
        for (due, mut members) in located {
            in_order(|batch| rows.get(batch)?.as_ref(), &mut members);
            let mut spans: Vec<Span<'_>> =
                members.iter().filter_map(|(batch, row)| rows[*batch].as_ref()?.span(*row)).collect();
            if spans.is_empty() {
                continue;
            }
            senders.tell(due.tenant.as_str(), &mut spans);
            let analysis = analyse(&spans, rules);
            let of = Settled {
                tenant: due.tenant.as_str(),
                trace_id: due.key.trace_id,
                revision: work.revision,
                resettled: due.resettled || found.contains(&due.key),
            };
            if of.resettled || is_wide(&spans) {
                to_restate.push((due.tenant.clone(), due.key.trace_id));
            }
            derived.push(of, &spans, &analysis);
            note_derived(&work.chunks, &members, &analysis);
            if derived.is_full() {
                rows_of_tables.extend(derived.finish()?);
            }
        }
        rows_of_tables.extend(derived.finish()?);
        Ok(Derived { rows: rows_of_tables, senders, to_restate })
    }

    /// What files have of the due traces, and of which of them: of a trace that did not settle yet, what was written before any of its spans
    /// in memory came; of one that did, all, since memory let go of it then (a span that is in both counts once).
    ///
    /// `began` says when a trace began whose root is among those in memory. Of such a trace nothing is looked for that is much older:
    /// asking every file of a lake for every trace would cost more than all else.
    fn earlier_spans(
        &self,
        work: &Work,
        began: &[Option<UnixNanos>],
    ) -> Result<(Vec<RecordBatch>, FxHashSet<TraceKey>), StoreError> {
        let mut batches = Vec::new();
        let mut found = FxHashSet::default();
        let index = index(work);
        for file in work.files.iter() {
            let newest = file.time_range.1.0.saturating_add(LATE_NS);
            let is_old = |began: &Option<UnixNanos>| began.is_some_and(|began| newest < began.0);
            let may_be_there = |d: &Due| d.resettled || file.wal_seq_max < d.seqs.0;
            let asked = work.due.iter().zip(began).filter(|(d, began)| may_be_there(d) && !is_old(began));
            let held = file.held(asked.map(|(d, _)| &d.key.trace_id));
            let ids = self.damaged.done_without(file, held)?.unwrap_or_default();
            if ids.is_empty() {
                continue;
            }
            let read = self.damaged.done_without(file, read_traces(file, &ids, None))?.unwrap_or_default();
            for batch in &read {
                let rows = SpanRows::new(batch, &self.options.rules)?;
                for row in 0..rows.len() {
                    let Some(id) = rows.trace_id(row) else { continue };
                    found.extend(index.get(&(rows.tenant(row), id)).map(|at| work.due[*at].key));
                }
            }
            batches.extend(read);
        }
        Ok((batches, found))
    }
}

/// Keeps what was derived of rows that are in memory, for the files that they go to.
fn note_derived(chunks: &[Arc<Chunk>], members: &Members, analysis: &TraceAnalysis<'_>) {
    let rows: Vec<_> = members.iter().zip(&analysis.spans).collect();
    for run in rows.chunk_by(|((a, _), _), ((b, _), _)| a == b) {
        let ((batch, _), _) = run[0];
        if let Some(chunk) = chunks.get(*batch) {
            chunk.note_derived(&analysis.slice, run.iter().map(|((_, row), span)| (*row, *span)));
        }
    }
}

/// Whether a merge of some of the spans may not look at the files of the others.
fn is_wide(spans: &[Span<'_>]) -> bool {
    let starts = || spans.iter().map(|span| span.start);
    let (first, last) = (starts().min().unwrap_or_default(), starts().max().unwrap_or_default());
    last.0.saturating_sub(first.0) > NEAR_NS
}

/// Rows (batch, row) of each due trace.
type Located = Vec<Members>;

fn index(work: &Work) -> FxHashMap<(&str, TraceId), usize> {
    work.due.iter().enumerate().map(|(i, d)| ((d.tenant.as_str(), d.key.trace_id), i)).collect()
}

fn in_memory(work: &Work) -> Located {
    let index = index(work);
    let first = work.due.iter().map(|d| d.seqs.0).min().unwrap_or(0);
    let last = work.due.iter().map(|d| d.seqs.1).max().unwrap_or(u64::MAX);
    let mut members: Vec<Vec<(usize, usize)>> = vec![Vec::new(); work.due.len()];
    for (batch, chunk) in work.chunks.iter().enumerate() {
        if chunk.seqs.1 < first || chunk.seqs.0 > last {
            continue;
        }
        let mut previous: Option<(TraceId, Option<usize>)> = None;
        for (row, id) in chunk.keys.iter().enumerate() {
            let at = match previous {
                Some((same, at)) if same == *id => at,
                _ => index.get(&(chunk.tenant.as_str(), *id)).copied(),
            };
            previous = Some((*id, at));
            if let Some(at) = at {
                members[at].push((batch, row));
            }
        }
    }
    members
}

/// When each due trace began, where its root is in memory.
fn began(work: &Work, located: &Located) -> Result<Vec<Option<UnixNanos>>, StoreError> {
    let columns = work.chunks.iter().map(|chunk| {
        let columns = Columns::of(&chunk.batch);
        Ok((columns.text("parent_span_id")?, columns.int("start_unix_nano")?))
    });
    let columns = columns.collect::<Result<Vec<_>, StoreError>>()?;
    let of = |members: &Vec<(usize, usize)>| {
        let roots = members.iter().filter(|(batch, row)| columns[*batch].0.is_null(*row));
        roots.map(|(batch, row)| UnixNanos(columns[*batch].1.value(*row))).min()
    };
    Ok(located.iter().map(of).collect())
}

/// Adds those that were read from files, behind the chunks in memory.
fn add_earlier(
    work: &Work,
    earlier: &[RecordBatch],
    rules: &Rules,
    located: &mut Located,
) -> Result<(), StoreError> {
    if earlier.is_empty() {
        return Ok(());
    }
    let index = index(work);
    for (batch, read) in earlier.iter().enumerate() {
        let (batch, read) = (work.chunks.len() + batch, SpanRows::new(read, rules)?);
        for row in 0..read.len() {
            let Some(id) = read.trace_id(row) else { continue };
            if let Some(at) = index.get(&(read.tenant(row), id)) {
                located[*at].push((batch, row));
            }
        }
    }
    Ok(())
}
