//! The rows that are durable in the log but in no file yet, and what is known of the traces among them.
//!
//! Not thread-safe by itself: the store keeps it behind one lock, which is held for bookkeeping only,
//! never for I/O, sorting or analysis.

mod chunk;
pub mod traces;

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, BooleanArray, Int64Array};
use arrow::record_batch::RecordBatch;
use plimsoll_schemas::Tenant;
use plimsoll_schemas::table::Table;
use rustc_hash::FxHashMap;

use crate::decode::Decoded;
use crate::error::StoreError;
use crate::nulls::filter;
pub use chunk::Chunk;
pub use traces::{TraceKey, Traces};

/// See the module's description.
#[derive(Debug, Default)]
pub struct Tail {
    tables: [Vec<Arc<Chunk>>; Table::ALL.len()],
    /// How many chunks of each table a flush under way has taken: they stay as they are.
    sealed: [usize; Table::ALL.len()],
    pub traces: Traces,
    /// Chunks that were flushed, but some of whose traces did not settle yet.
    retained: Vec<Arc<Chunk>>,
    bytes: usize,
    retained_bytes: usize,
    rows: usize,
    /// When the oldest unflushed row came.
    oldest: Option<Instant>,
    /// The highest sequence that is visible.
    pub seq: u64,
    /// Changes whenever what a snapshot would see changes.
    pub generation: u64,
}

/// What was published of one record.
#[derive(Debug, Default, Clone, Copy)]
pub struct Published {
    pub duplicate_spans: u64,
}

impl Tail {
    /// Makes the rows of one durable record visible.
    pub fn publish(
        &mut self,
        seq: u64,
        tenant: &Tenant,
        decoded: Decoded,
        now: Instant,
    ) -> Result<Published, StoreError> {
        let mut published = Published::default();
        for (table, batch) in decoded.batches {
            if batch.num_rows() == 0 {
                continue;
            }
            let mut batch = with_wal_seq(table, &batch, seq)?;
            let mut keys = Vec::new();
            if table == Table::Spans {
                let fresh = self.traces.note(tenant, &decoded.span_keys, seq, now);
                keys = decoded.span_keys.iter().map(|(trace, _)| *trace).collect();
                if let Some(fresh) = fresh {
                    published.duplicate_spans = fresh.iter().filter(|f| !**f).count() as u64;
                    let mask = BooleanArray::from(fresh.clone());
                    batch = filter(&batch, &mask).map_err(StoreError::arrow("duplicate spans"))?;
                    keys = keys.into_iter().zip(fresh).filter(|(_, f)| *f).map(|(k, _)| k).collect();
                }
            }
            if batch.num_rows() > 0 {
                self.push(table, Chunk::new(tenant.clone(), (seq, seq), keys, batch), now)?;
            }
        }
        self.seq = self.seq.max(seq);
        self.generation += 1;
        Ok(published)
    }

    /// Adds rows that settling derived.
    pub fn push_derived(&mut self, table: Table, batch: RecordBatch, now: Instant) -> Result<(), StoreError> {
        debug_assert!(table.is_derived());
        self.generation += 1;
        self.push(table, Chunk::new(Tenant::default(), (self.seq, self.seq), Vec::new(), batch), now)
    }

    fn push(&mut self, table: Table, chunk: Chunk, now: Instant) -> Result<(), StoreError> {
        self.bytes += chunk.bytes;
        self.rows += chunk.batch.num_rows();
        self.oldest.get_or_insert(now);
        let chunks = &mut self.tables[table as usize];
        chunks.push(Arc::new(chunk));
        loop {
            let from = chunks.len() - Chunk::alike(&chunks[self.sealed[table as usize]..]);
            let Some((first, rest)) = chunks[from..].split_first().filter(|(_, rest)| !rest.is_empty())
            else {
                return Ok(());
            };
            let one = first.with(rest)?;
            self.bytes =
                self.bytes + one.bytes - chunks[from..].iter().map(|chunk| chunk.bytes).sum::<usize>();
            chunks.truncate(from);
            chunks.push(Arc::new(one));
        }
    }

    /// The unflushed chunks of a table, oldest first.
    pub fn chunks(&self, table: Table) -> &[Arc<Chunk>] {
        &self.tables[table as usize]
    }

    /// Every chunk in memory that may hold spans of a trace that did not settle.
    pub fn span_chunks(&self) -> Vec<Arc<Chunk>> {
        self.retained.iter().chain(self.chunks(Table::Spans)).cloned().collect()
    }

    /// Takes out what [`Tail::seal`] gave. Spans whose traces did not settle stay retained for settling,
    /// though no longer visible: the files have them now.
    pub fn remove_flushed(&mut self, flushed: &[Vec<Arc<Chunk>>; Table::ALL.len()]) {
        self.sealed = Default::default();
        for (chunks, flushed) in self.tables.iter_mut().zip(flushed) {
            debug_assert!(chunks.iter().zip(flushed).all(|(a, b)| Arc::ptr_eq(a, b)));
            for chunk in chunks.drain(..flushed.len()) {
                self.bytes -= chunk.bytes;
                self.rows -= chunk.batch.num_rows();
                if self.traces.any_unsettled(&chunk) {
                    self.retained_bytes += chunk.bytes;
                    self.retained.push(chunk);
                }
            }
        }
        if self.tables.iter().all(Vec::is_empty) {
            self.oldest = None;
        } else {
            self.oldest = Some(Instant::now());
        }
        self.generation += 1;
    }

    /// Lets go of retained chunks whose traces have all settled, and hands them over: freeing their memory takes longer than
    /// the lock should be held.
    #[must_use]
    pub fn drop_settled(&mut self) -> Vec<Arc<Chunk>> {
        let (kept, gone) = self.retained.drain(..).partition(|chunk| self.traces.any_unsettled(chunk));
        self.retained = kept;
        self.retained_bytes = self.retained.iter().map(|c| c.bytes).sum();
        gone
    }

    /// Retained chunks with columns that nobody reads any more, or most of whose rows are not waited for. Each with the rows that are,
    /// where these are few.
    pub fn shrinkable(&self) -> Vec<(Arc<Chunk>, Option<Vec<bool>>)> {
        let shrinkable = |chunk: &Arc<Chunk>| {
            let few = self.traces.few_unsettled_rows(chunk);
            (few.is_some() || chunk.has_all_columns).then(|| (chunk.clone(), few))
        };
        self.retained.iter().filter_map(shrinkable).collect()
    }

    /// Keeps others in the place of retained chunks, which it hands over as far as they are still there.
    #[must_use]
    pub fn replace_retained(&mut self, others: Vec<(Arc<Chunk>, Chunk)>) -> Vec<Arc<Chunk>> {
        let places = self.retained.iter().enumerate().map(|(at, chunk)| (Arc::as_ptr(chunk), at));
        let places: FxHashMap<*const Chunk, usize> = places.collect();
        let mut gone = Vec::with_capacity(others.len());
        for (old, new) in others {
            if let Some(at) = places.get(&Arc::as_ptr(&old)) {
                gone.push(std::mem::replace(&mut self.retained[*at], Arc::new(new)));
            }
        }
        self.retained_bytes = self.retained.iter().map(|c| c.bytes).sum();
        gone
    }

    /// Everything that a flush should write. It stays visible, and as it is, until [`Tail::remove_flushed`].
    pub fn seal(&mut self) -> [Vec<Arc<Chunk>>; Table::ALL.len()] {
        self.sealed = std::array::from_fn(|i| self.tables[i].len());
        self.traces.begin_flush();
        self.tables.clone()
    }

    pub fn bytes(&self) -> usize {
        self.bytes + self.retained_bytes
    }

    /// Of rows that were flushed, and whose traces did not settle.
    pub fn retained_bytes(&self) -> usize {
        self.retained_bytes
    }

    pub fn unflushed_bytes(&self) -> usize {
        self.bytes
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn oldest(&self) -> Option<Instant> {
        self.oldest
    }
}

/// The table's file schema, complete with the last column, which only the log knows.
fn with_wal_seq(table: Table, batch: &RecordBatch, seq: u64) -> Result<RecordBatch, StoreError> {
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    columns.push(Arc::new(Int64Array::from_value(seq as i64, batch.num_rows())));
    RecordBatch::try_new(table.file_schema(), columns)
        .map_err(StoreError::arrow(format!("decoded rows of {}", table.as_str())))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;
    use crate::rows::Columns;

    fn push(tail: &mut Tail, tenant: &str, first: i64, rows: usize) {
        let schema = Schema::new(vec![
            Field::new("row", DataType::Int64, false),
            Field::new("nothing", DataType::Utf8, true),
        ]);
        let row: ArrayRef = Arc::new((first..first + rows as i64).collect::<Int64Array>());
        let nothing = crate::nulls::null_column(&DataType::Utf8, rows);
        let batch = RecordBatch::try_new(Arc::new(schema), vec![row, nothing]).expect("a batch");
        let tenant = Tenant::new(tenant).expect("a tenant");
        let seq = first as u64;
        let chunk = Chunk::new(tenant, (seq, seq), Vec::new(), batch);
        tail.push(Table::Spans, chunk, Instant::now()).expect("fits");
    }

    fn numbers(chunks: &[Arc<Chunk>]) -> Vec<i64> {
        let of =
            |chunk: &Arc<Chunk>| Columns::of(&chunk.batch).int("row").expect("numbers").values().to_vec();
        chunks.iter().flat_map(of).collect()
    }

    #[test]
    fn small_chunks_are_put_together_and_rows_stay_in_their_order() {
        for rows in [1, 3, 8, 24, 63, 64, 200, 511, 512, 600] {
            let (mut tail, mut next) = (Tail::default(), 0);
            for _ in 0..1_000 {
                push(&mut tail, "a", next, rows);
                next += rows as i64;
            }
            let chunks = tail.chunks(Table::Spans);
            assert_eq!(numbers(chunks), (0..next).collect::<Vec<_>>(), "{rows} rows");
            let bytes: usize = chunks.iter().map(|chunk| chunk.bytes).sum();
            assert_eq!((tail.bytes(), tail.rows()), (bytes, next as usize), "{rows} rows");
            // Some of the last are on their way.
            let most = 1_000.min(next as usize / 250 + 32);
            assert!(chunks.len() <= most, "{rows} rows: {} chunks", chunks.len());
        }
    }

    #[test]
    fn what_a_flush_has_taken_and_what_is_another_tenants_stays_as_it_is() {
        let mut tail = Tail::default();
        (0..7).for_each(|row| push(&mut tail, "a", row, 1));
        let sealed = tail.seal();
        (7..30).for_each(|row| push(&mut tail, "a", row, 1));
        (30..60).for_each(|row| push(&mut tail, if row % 2 == 0 { "a" } else { "b" }, row, 1));
        let chunks = tail.chunks(Table::Spans);
        assert_eq!(numbers(chunks), (0..60).collect::<Vec<_>>());
        assert!(chunks.iter().zip(&sealed[Table::Spans as usize]).all(|(now, then)| Arc::ptr_eq(now, then)));
        assert_eq!(chunks.len(), 7 + 3 + 29, "what was taken, three of eight rows, then tenants in turns");
        tail.remove_flushed(&sealed);
        assert_eq!(numbers(tail.chunks(Table::Spans)), (7..60).collect::<Vec<_>>());
    }
}
