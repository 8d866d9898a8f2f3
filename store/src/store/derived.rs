//! What settling derived of spans that lie in `_recent`, until the merge that writes it into their slices. Many a trace settles after
//! its spans were flushed, and their file stays as it is.
//!
//! It is in memory only, and may be missing: of rows without it a merge derives it once more.

use std::sync::Arc;

use arrow::array::UInt32Array;
use arrow::record_batch::RecordBatch;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::error::StoreError;
use crate::lake::first_rows;
use crate::rows::filled::{Filled, Translation};
use crate::tail::Chunk;

/// Rows of which it is kept: 16 bytes each.
const ROWS_MAX: usize = 4_000_000;

/// By the paths of their files.
#[derive(Debug, Default)]
pub struct Derived {
    files: Mutex<FxHashMap<String, Arc<OfFile>>>,
}

/// What is derived of one file's rows.
#[derive(Debug)]
pub struct OfFile {
    /// Of all rows that were flushed together.
    flushed: Arc<Mutex<Filled>>,
    /// Which of them the file has, in its order.
    rows: UInt32Array,
}

impl Derived {
    /// `files` are what was written of these chunks, with the numbers of their rows.
    pub fn flushed(&self, chunks: &[Arc<Chunk>], files: Vec<(String, UInt32Array)>) {
        let rows: usize = files.iter().map(|(_, rows)| rows.len()).sum();
        let mut known = self.files.lock();
        if known.values().map(|file| file.rows.len()).sum::<usize>() + rows > ROWS_MAX {
            return;
        }
        let flushed = Arc::new(Mutex::new(Filled::with_rows(rows)));
        for (chunk, first) in chunks.iter().zip(first_rows(chunks.iter().map(|chunk| &chunk.batch))) {
            chunk.note_in(&flushed, first);
        }
        let of_file = |rows| Arc::new(OfFile { flushed: flushed.clone(), rows });
        known.extend(files.into_iter().map(|(path, rows)| (path, of_file(rows))));
    }

    pub fn of(&self, path: &str) -> Option<Arc<OfFile>> {
        self.files.lock().get(path).cloned()
    }

    /// These files are no more.
    pub fn forget<'f>(&self, paths: impl Iterator<Item = &'f str>) {
        let mut known = self.files.lock();
        paths.for_each(|path| drop(known.remove(path)));
    }
}

impl OfFile {
    /// A batch of the file that begins at its row `from`, with what is known of its rows.
    pub fn fill(&self, from: usize, batch: &RecordBatch) -> Result<RecordBatch, StoreError> {
        let rows = self.rows.values().get(from..from + batch.num_rows()).unwrap_or_default();
        let mut filled = Filled::with_rows(batch.num_rows());
        let mut translation = Translation::default();
        {
            let flushed = self.flushed.lock();
            for (at, row) in rows.iter().enumerate() {
                filled.copy(at, &flushed, *row as usize, &mut translation);
            }
        }
        filled.apply(batch)
    }
}
