//! Fills in the columns of `spans` that only the whole trace can tell: stage, slice keys, outcome, queue, attempt.

use arrow::record_batch::RecordBatch;
use plimsoll_analysis::{analyse, edges};
use plimsoll_schemas::{Rules, Span, SpanId, TraceId, UnixNanos};
use rustc_hash::FxHashMap;

use crate::error::StoreError;
use crate::lake::first_rows;
use crate::rows::SpanRows;
use crate::rows::derived::{DerivedRows, Settled};
use crate::rows::filled::Filled;
use crate::store::Senders;

/// The spans of complete traces with their derived columns, and where each row belongs.
#[derive(Debug)]
pub struct Derivation {
    /// The input batches with their derived columns filled in.
    pub batches: Vec<RecordBatch>,
    /// The numbers of their rows by partition, each sorted by (trace, start), every span once.
    pub partitions: Vec<(String, Vec<u32>)>,
}

/// Derives the columns of `batches`. Spans in `context` take part in the analysis of their traces,
/// but are not in the answer: they lie in other files already. `senders` are those of other traces.
pub fn derive(
    batches: &[RecordBatch],
    context: &[RecordBatch],
    senders: &Senders,
    rules: &Rules,
) -> Result<Derivation, StoreError> {
    let rows = batches
        .iter()
        .chain(context)
        .map(|b| SpanRows::to_analyse(b, rules))
        .collect::<Result<Vec<_>, _>>()?;
    let mut columns: Vec<Filled> = batches.iter().map(|b| Filled::with_rows(b.num_rows())).collect();
    let mut partitions: FxHashMap<String, Vec<u32>> = FxHashMap::default();
    let first = first_rows(batches);
    for (tenant, _, members) in traces(&rows) {
        let mut spans: Vec<Span<'_>> = members.iter().filter_map(|(b, r)| rows[*b].span(*r)).collect();
        senders.tell(tenant, &mut spans);
        let analysis = analyse(&spans, rules);
        let partition = partitions.entry(analysis.slice.slug(tenant)).or_default();
        let of = members.iter().zip(&analysis.spans).collect::<Vec<_>>();
        for run in of.chunk_by(|((a, _), _), ((b, _), _)| a == b) {
            let ((batch, _), _) = run[0];
            let Some(columns) = columns.get_mut(*batch) else { continue };
            let slice = columns.slice(&analysis.slice);
            for ((_, row), span) in run {
                columns.fill(*row, span, slice);
                partition.push(first[*batch] + *row as u32);
            }
        }
    }
    let batches =
        batches.iter().zip(columns).map(|(batch, filled)| filled.apply(batch)).collect::<Result<_, _>>()?;
    let mut partitions: Vec<_> = partitions.into_iter().filter(|(_, rows)| !rows.is_empty()).collect();
    partitions.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Derivation { batches, partitions })
}

/// For queries: the same rows with the derived columns filled in, as far as `batches` tell.
pub fn derive_recent(batches: &[RecordBatch], rules: &Rules) -> Result<Vec<RecordBatch>, StoreError> {
    Ok(derive(batches, &[], &Senders::default(), rules)?.batches)
}

/// The rows of `edges` that these spans' traces have so far; they have no revision, since nothing settled.
pub fn edges_so_far(batches: &[RecordBatch], rules: &Rules) -> Result<Option<RecordBatch>, StoreError> {
    let rows = batches.iter().map(|b| SpanRows::to_analyse(b, rules)).collect::<Result<Vec<_>, _>>()?;
    let mut derived = DerivedRows::default();
    for (tenant, trace_id, members) in traces(&rows) {
        let spans: Vec<Span<'_>> = members.iter().filter_map(|(b, r)| rows[*b].span(*r)).collect();
        let of = Settled { tenant, trace_id, revision: 0, resettled: false };
        derived.push_edges(of, &edges(&spans, rules));
    }
    Ok(derived.finish()?.pop().map(|(_, edges)| edges))
}

/// Of each row of a trace its batch and its number there.
pub type Members = Vec<(usize, usize)>;

/// The rows of each (tenant, trace), sorted by start and id; a span that is there twice counts once.
fn traces<'a>(rows: &[SpanRows<'a>]) -> Vec<(&'a str, TraceId, Members)> {
    let mut index: FxHashMap<(&'a str, TraceId), usize> = FxHashMap::default();
    let mut traces: Vec<(&'a str, TraceId, Members)> = Vec::new();
    // Files are sorted by trace, so that a row's is most often the one before's.
    let mut last: Option<(&'a str, &'a str, usize)> = None;
    for (b, batch) in rows.iter().enumerate() {
        for row in 0..batch.len() {
            let (tenant, text) = (batch.tenant(row), batch.trace_text(row));
            let at = match last.filter(|(of, trace, _)| (*of, *trace) == (tenant, text)) {
                Some((_, _, at)) => at,
                None => {
                    let Some(id) = batch.trace_id(row) else { continue };
                    *index.entry((tenant, id)).or_insert_with(|| {
                        traces.push((tenant, id, Vec::new()));
                        traces.len() - 1
                    })
                }
            };
            last = Some((tenant, text, at));
            traces[at].2.push((b, row));
        }
    }
    traces.sort_unstable_by(|a, b| (a.1, a.0).cmp(&(b.1, b.0)));
    for (_, _, members) in &mut traces {
        in_order(|batch| rows.get(batch), members);
    }
    traces
}

/// Brings the rows of a trace into their order, wherever they lie: of a span that is there twice the one that came first is left,
/// and spans that began together are in the order of their ids. What is derived of a trace must not depend on where
/// its rows are read first.
pub fn in_order<'r, 'a: 'r>(rows: impl Fn(usize) -> Option<&'r SpanRows<'a>>, members: &mut Members) {
    let mut spans: Vec<(SpanId, i64, UnixNanos, (usize, usize))> = Vec::with_capacity(members.len());
    spans.extend(members.iter().filter_map(|(batch, row)| {
        let rows = rows(*batch)?;
        Some((rows.span_id(*row)?, rows.wal_seq(*row), rows.start(*row), (*batch, *row)))
    }));
    spans.sort_unstable();
    spans.dedup_by_key(|(id, ..)| *id);
    spans.sort_by_key(|(_, _, start, _)| *start);
    members.clear();
    members.extend(spans.into_iter().map(|(.., at)| at));
}
