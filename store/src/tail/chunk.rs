//! Rows that came together, and what was derived of them.

use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::record_batch::RecordBatch;
use parking_lot::Mutex;
use plimsoll_analysis::SpanAnalysis;
use plimsoll_schemas::{Slice, Tenant, TraceId};

use crate::error::StoreError;
use crate::keyword::own_bytes;
use crate::nulls::{concat, filter};
use crate::rows::ToAnalyse;
use crate::rows::filled::Filled;

/// Adjacent chunks of fewer rows are put together, so that clients who send one span at a time do not fill memory with the overhead of a
/// hundred columns each. An exporter's usual batch is not copied.
const SMALL_CHUNK_ROWS: usize = 512;
/// How many at a time while they are small: of these the columns cost more than the rows, and eight chunks as one cost seven less.
const AT_ONCE: usize = 8;

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
    /// Whether its columns are those that came, not only those that settling reads.
    pub has_all_columns: bool,
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
    pub fn new(tenant: Tenant, seqs: (u64, u64), keys: Vec<TraceId>, batch: RecordBatch) -> Self {
        let bytes = batch.columns().iter().map(own_bytes).sum::<usize>()
            + keys.len() * (TraceId::BYTES + Filled::BYTES_PER_ROW);
        Self { tenant, seqs, keys, batch, bytes, has_all_columns: true, derived: Mutex::default() }
    }

    /// How many of the last chunks are to be put together now. Each row is copied a few times until its chunk is large.
    pub fn alike(chunks: &[Arc<Self>]) -> usize {
        let Some(last) = chunks.last() else { return 0 };
        let (rows, size) = (last.batch.num_rows(), last.size());
        let is_alike = |chunk: &&Arc<Self>| chunk.tenant == last.tenant && chunk.size() == size;
        if size < 2 {
            let alike = chunks.iter().rev().take(AT_ONCE).take_while(is_alike).count();
            return if alike == AT_ONCE { alike } else { 1 };
        }
        let before = chunks.iter().rev().nth(1).filter(is_alike).map(|chunk| chunk.batch.num_rows());
        1 + usize::from(before.is_some_and(|before| before + rows <= SMALL_CHUNK_ROWS && before <= 2 * rows))
    }

    /// Its power of [`AT_ONCE`], up to the one above which there are not as many in a large chunk.
    fn size(&self) -> u32 {
        self.batch.num_rows().max(1).ilog(AT_ONCE).min(2)
    }

    /// This one and those that follow it, as one.
    pub fn with(&self, rest: &[Arc<Self>]) -> Result<Self, StoreError> {
        let batches = std::iter::once(&self.batch).chain(rest.iter().map(|chunk| &chunk.batch));
        let batch = concat(&batches.collect::<Vec<_>>()).map_err(StoreError::arrow("small chunks"))?;
        let keys = self.keys.iter().chain(rest.iter().flat_map(|chunk| &chunk.keys));
        let last = rest.last().map_or(self.seqs.1, |last| last.seqs.1);
        Ok(Self::new(self.tenant.clone(), (self.seqs.0, last), keys.copied().collect(), batch))
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

    /// What settling needs of it: these of its columns, and these of its rows.
    pub fn shrunk(&self, columns: &ToAnalyse, rows: Option<Vec<bool>>) -> Result<Self, StoreError> {
        let mut batch = columns.of(&self.batch)?;
        let (mut keys, mut derived) = (self.keys.clone(), self.derived.lock().clone());
        if let Some(mask) = rows {
            let numbers = derived.rows.unwrap_or_else(|| (0..keys.len() as u32).collect());
            derived.rows = Some(kept(numbers, &mask));
            keys = kept(keys, &mask);
            batch = filter(&batch, &BooleanArray::from(mask)).map_err(StoreError::arrow("retained rows"))?;
        }
        let derived = Mutex::new(derived);
        let shrunk = Self::new(self.tenant.clone(), self.seqs, keys, batch);
        Ok(Self { derived, has_all_columns: false, ..shrunk })
    }
}

fn kept<T>(all: Vec<T>, mask: &[bool]) -> Vec<T> {
    all.into_iter().zip(mask).filter_map(|(one, keep)| keep.then_some(one)).collect()
}
