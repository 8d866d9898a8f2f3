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
use crate::nulls::{concat, filter};
pub use chunk::Chunk;
pub use traces::{TraceKey, Traces};

/// Adjacent chunks of fewer rows are concatenated, so that clients who send one span at a time
/// do not fill memory with the overhead of a hundred columns each. An exporter's usual batch is not copied.
const SMALL_CHUNK_ROWS: usize = 512;

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
        // Like a binary counter: each row is copied a logarithmic number of times.
        while let [sealed @ .., a, b] = chunks.as_slice() {
            if sealed.len() < self.sealed[table as usize] {
                break;
            }
            let (rows_a, rows_b) = (a.batch.num_rows(), b.batch.num_rows());
            if a.tenant != b.tenant || rows_a + rows_b > SMALL_CHUNK_ROWS || rows_a > 2 * rows_b {
                break;
            }
            let batch = concat(&a.batch, &b.batch).map_err(StoreError::arrow("small chunks"))?;
            let keys = a.keys.iter().chain(&b.keys).copied().collect();
            let both = Chunk::new(a.tenant.clone(), (a.seqs.0, b.seqs.1), keys, batch);
            self.bytes = self.bytes + both.bytes - a.bytes - b.bytes;
            chunks.truncate(chunks.len() - 2);
            chunks.push(Arc::new(both));
        }
        Ok(())
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
