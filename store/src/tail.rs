//! The rows that are durable in the log but in no file yet, and what is known of the traces among them.
//!
//! Not thread-safe by itself: the store keeps it behind one lock, which is held for bookkeeping only,
//! never for I/O, sorting or analysis.

pub mod traces;

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, BooleanArray, Int64Array};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::record_batch::RecordBatch;
use parking_lot::Mutex;
use plimsoll_analysis::SpanAnalysis;
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{Slice, Tenant, TraceId};

use crate::decode::Decoded;
use crate::error::StoreError;
use crate::keyword::own_bytes;
use crate::rows::filled::Filled;
pub use traces::{TraceKey, Traces};

/// Adjacent chunks of fewer rows are concatenated, so that clients who send one span at a time
/// do not fill memory with the overhead of a hundred columns each. An exporter's usual batch is not copied.
const SMALL_CHUNK_ROWS: usize = 512;

/// Rows of one table and one tenant that came in adjacent requests.
#[derive(Debug)]
pub struct Chunk {
    pub tenant: Tenant,
    /// First and last log sequence.
    pub seqs: (u64, u64),
    /// For `spans`, the trace of each row.
    pub keys: Vec<TraceId>,
    pub batch: RecordBatch,
    pub bytes: usize,
    /// Where settling notes what it derived of its spans.
    derived: Mutex<Noted>,
}

/// What is derived of a chunk's rows: the chunk's own, until a flush puts that of all its chunks together.
#[derive(Debug, Clone, Default)]
struct Noted {
    filled: Arc<Mutex<Filled>>,
    /// The number there of the chunk's first row.
    first: u32,
    /// From that one on, the numbers of its rows, where some were let go of since.
    rows: Option<Vec<u32>>,
}

impl Chunk {
    fn new(tenant: Tenant, seqs: (u64, u64), keys: Vec<TraceId>, batch: RecordBatch) -> Self {
        let bytes = batch.columns().iter().map(own_bytes).sum::<usize>()
            + keys.len() * (TraceId::BYTES + Filled::BYTES_PER_ROW);
        Self { tenant, seqs, keys, batch, bytes, derived: Mutex::default() }
    }

    /// Notes what settling derived of some rows.
    pub fn note_derived<'d>(
        &self,
        slice: &Slice<'_>,
        rows: impl IntoIterator<Item = (usize, &'d SpanAnalysis<'d>)>,
    ) {
        let noted = self.derived.lock();
        let mut filled = noted.filled.lock();
        let slice = filled.slice(slice);
        for (row, of) in rows {
            let row = noted.rows.as_ref().map_or(row as u32, |rows| rows[row]);
            filled.fill((noted.first + row) as usize, of, slice);
        }
    }

    /// Notes from now on go there, where its rows begin at `first`; what was noted before is copied.
    pub fn note_in(&self, filled: &Arc<Mutex<Filled>>, first: u32) {
        let mut noted = self.derived.lock();
        filled.lock().copy_all(
            first as usize,
            &noted.filled.lock(),
            noted.first as usize,
            self.batch.num_rows(),
        );
        *noted = Noted { filled: filled.clone(), first, rows: None };
    }

    /// These rows of it.
    pub fn filter(&self, mask: Vec<bool>) -> Result<Self, StoreError> {
        let keys = self.keys.iter().zip(&mask).filter(|(_, keep)| **keep).map(|(k, _)| *k).collect();
        let mut derived = self.derived.lock().clone();
        let numbers = derived.rows.unwrap_or_else(|| (0..self.batch.num_rows() as u32).collect());
        derived.rows =
            Some(numbers.into_iter().zip(&mask).filter(|(_, keep)| **keep).map(|(n, _)| n).collect());
        let batch = filter_record_batch(&self.batch, &BooleanArray::from(mask))
            .map_err(StoreError::arrow("retained rows"))?;
        let derived = Mutex::new(derived);
        Ok(Self { derived, ..Self::new(self.tenant.clone(), self.seqs, keys, batch) })
    }
}

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
                    batch =
                        filter_record_batch(&batch, &mask).map_err(StoreError::arrow("duplicate spans"))?;
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
            let batch = concat_batches(&a.batch.schema(), [&a.batch, &b.batch])
                .map_err(StoreError::arrow("small chunks"))?;
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

    /// Retained chunks most of whose rows are not waited for any more, each with the rows that are.
    pub fn sparse(&self) -> Vec<(Arc<Chunk>, Vec<bool>)> {
        let sparse = |chunk: &Arc<Chunk>| Some((chunk.clone(), self.traces.few_unsettled_rows(chunk)?));
        self.retained.iter().filter_map(sparse).collect()
    }

    /// Keeps others in the place of retained chunks, which it hands over as far as they are still there.
    #[must_use]
    pub fn replace_retained(&mut self, others: Vec<(Arc<Chunk>, Chunk)>) -> Vec<Arc<Chunk>> {
        let mut gone = Vec::with_capacity(others.len());
        for (old, new) in others {
            if let Some(at) = self.retained.iter().position(|chunk| Arc::ptr_eq(chunk, &old)) {
                gone.push(std::mem::replace(&mut self.retained[at], Arc::new(new)));
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
