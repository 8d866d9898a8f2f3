//! Fills in the columns of `spans` that only the whole trace can tell: stage, slice keys, outcome, queue, attempt.

use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int32Array, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use plimsoll_analysis::{SpanAnalysis, analyse, edges};
use plimsoll_schemas::table::{SPAN_DERIVED_COLUMNS, Table};
use plimsoll_schemas::{Rules, SliceKey, Span, TraceId};
use rustc_hash::FxHashMap;

use crate::error::StoreError;
use crate::lake::first_rows;
use crate::rows::SpanRows;
use crate::rows::derived::{DerivedRows, Settled};
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
    let rows =
        batches.iter().chain(context).map(|b| SpanRows::new(b, rules)).collect::<Result<Vec<_>, _>>()?;
    let mut columns: Vec<Filled> = batches.iter().map(|b| Filled::new(b.num_rows())).collect();
    let mut words = Words::default();
    let mut partitions: FxHashMap<String, Vec<u32>> = FxHashMap::default();
    let first = first_rows(batches);
    for (tenant, _, members) in traces(&rows) {
        let mut spans: Vec<Span<'_>> = members.iter().filter_map(|(b, r)| rows[*b].span(*r)).collect();
        senders.tell(tenant, &mut spans);
        let analysis = analyse(&spans, rules);
        let partition = partitions.entry(analysis.slice.slug(tenant)).or_default();
        let slice = SliceKey::ALL.map(|key| analysis.slice.get(key).map(|v| words.key(v)));
        for (i, (batch, row)) in members.iter().enumerate().filter(|(_, (b, _))| *b < batches.len()) {
            columns[*batch].fill(*row, &analysis.spans[i], slice, &mut words);
            partition.push(first[*batch] + *row as u32);
        }
    }
    let values: ArrayRef = Arc::new(StringArray::from(words.list));
    let batches = batches
        .iter()
        .zip(columns)
        .map(|(batch, filled)| filled.apply(batch, &values))
        .collect::<Result<_, _>>()?;
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
    let rows = batches.iter().map(|b| SpanRows::new(b, rules)).collect::<Result<Vec<_>, _>>()?;
    let mut derived = DerivedRows::default();
    for (tenant, trace_id, members) in traces(&rows) {
        let spans: Vec<Span<'_>> = members.iter().filter_map(|(b, r)| rows[*b].span(*r)).collect();
        let of = Settled { tenant, trace_id, revision: 0, resettled: false };
        derived.push_edges(of, &edges(&spans, rules));
    }
    Ok(derived.finish()?.pop().map(|(_, edges)| edges))
}

type Members = Vec<(usize, usize)>;

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
        // Wherever they lie: of a span that is there twice the one that came first, and of spans that began together the order
        // of their ids. What is derived of a trace must not depend on which of its files is read first.
        let of = |(b, r): &(usize, usize)| Some((rows[*b].span_id(*r)?, rows[*b].wal_seq(*r), (*b, *r)));
        let mut spans: Vec<_> = members.iter().filter_map(of).collect();
        spans.sort_unstable();
        spans.dedup_by_key(|(id, ..)| *id);
        spans.sort_by_key(|(_, _, (b, r))| rows[*b].start(*r));
        *members = spans.into_iter().map(|(_, _, at)| at).collect();
    }
    traces
}

/// Distinct words, so that all keyword columns share one dictionary.
#[derive(Default)]
struct Words {
    list: Vec<String>,
    index: FxHashMap<String, i32>,
}

impl Words {
    fn key(&mut self, word: &str) -> i32 {
        if let Some(key) = self.index.get(word) {
            return *key;
        }
        let key = i32::try_from(self.list.len()).unwrap_or(i32::MAX);
        self.list.push(word.to_owned());
        self.index.insert(word.to_owned(), key);
        key
    }
}

/// The derived columns of one batch.
struct Filled {
    stage: Vec<Option<i32>>,
    slice: [Vec<Option<i32>>; SliceKey::ALL.len()],
    outcome: Vec<Option<i32>>,
    queue: Vec<Option<i64>>,
    queue_source: Vec<Option<i32>>,
    attempt: Vec<Option<i32>>,
}

impl Filled {
    fn new(rows: usize) -> Self {
        let none = || vec![None; rows];
        Self {
            stage: none(),
            slice: [none(), none(), none()],
            outcome: none(),
            queue: vec![None; rows],
            queue_source: none(),
            attempt: none(),
        }
    }

    fn fill(
        &mut self,
        row: usize,
        of: &SpanAnalysis<'_>,
        slice: [Option<i32>; SliceKey::ALL.len()],
        words: &mut Words,
    ) {
        self.stage[row] = Some(words.key(of.stage));
        for (column, word) in self.slice.iter_mut().zip(slice) {
            column[row] = word;
        }
        self.outcome[row] = Some(words.key(of.outcome.as_str()));
        if let Some(source) = of.queue_source {
            self.queue[row] = Some(of.queued().0);
            self.queue_source[row] = Some(words.key(source.as_str()));
        }
        self.attempt[row] = of.attempt.map(|(_, ordinal)| i32::try_from(ordinal).unwrap_or(i32::MAX));
    }

    fn apply(self, batch: &RecordBatch, values: &ArrayRef) -> Result<RecordBatch, StoreError> {
        let keyword = |keys: Vec<Option<i32>>| -> Result<ArrayRef, StoreError> {
            let array = DictionaryArray::try_new(Int32Array::from(keys), values.clone())
                .map_err(StoreError::arrow("derived keywords"))?;
            Ok(Arc::new(array))
        };
        let [workload_class, model, hardware] = self.slice;
        let filled: [ArrayRef; SPAN_DERIVED_COLUMNS.len()] = [
            keyword(self.stage)?,
            keyword(workload_class)?,
            keyword(model)?,
            keyword(hardware)?,
            keyword(self.outcome)?,
            Arc::new(Int64Array::from(self.queue)),
            keyword(self.queue_source)?,
            Arc::new(Int32Array::from(self.attempt)),
        ];
        let schema = Table::Spans.file_schema();
        let mut columns = batch.columns().to_vec();
        for (name, array) in SPAN_DERIVED_COLUMNS.iter().zip(filled) {
            let index = schema.index_of(name).map_err(StoreError::arrow("derived columns"))?;
            columns[index] = array;
        }
        RecordBatch::try_new(schema, columns).map_err(StoreError::arrow("derived columns"))
    }
}
