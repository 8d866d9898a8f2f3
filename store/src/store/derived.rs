//! What settling derived of spans that lie in `_recent`, until the merge that writes it into their slices. Many a trace settles after
//! its spans were flushed, and their file stays as it is.
//!
//! It is in memory only, and may be missing: of rows without it a merge derives it once more.

use std::sync::Arc;

use arrow::array::UInt32Array;
use arrow::record_batch::RecordBatch;
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::error::StoreError;
use crate::lake::first_rows;
use crate::rows::filled::{Filled, Translation};
use crate::tail::Chunk;

/// Rows of which it is kept: some 30 bytes each.
const ROWS_MAX: usize = 2_000_000;

/// By the paths of their files.
#[derive(Debug, Default)]
pub struct Derived {
    files: Mutex<FxHashMap<String, Arc<OfFile>>>,
}

/// What is derived of one file's rows.
#[derive(Debug)]
pub struct OfFile {
    /// What is derived of the chunks that were flushed together, each with the number of its first row among all of them.
    chunks: Arc<Vec<(u32, Arc<Mutex<Filled>>)>>,
    /// Which of these rows the file has, in its order.
    rows: UInt32Array,
}

impl Derived {
    /// `files` are what was written of these chunks, with the numbers of their rows.
    pub fn flushed(&self, chunks: &[Arc<Chunk>], files: Vec<(String, UInt32Array)>) {
        let firsts = first_rows(chunks.iter().map(|chunk| &chunk.batch));
        let chunks = firsts.into_iter().zip(chunks.iter().map(|chunk| chunk.derived.clone())).collect();
        let chunks = Arc::new(chunks);
        let mut known = self.files.lock();
        for (path, rows) in files {
            if known.values().map(|file| file.rows.len()).sum::<usize>() + rows.len() <= ROWS_MAX {
                known.insert(path, Arc::new(OfFile { chunks: Arc::clone(&chunks), rows }));
            }
        }
    }

    pub fn of(&self, path: &str) -> Option<Arc<OfFile>> {
        self.files.lock().get(path).cloned()
    }

    /// These files are no more.
    pub fn forget<'f>(&self, paths: impl Iterator<Item = &'f str>) {
        let gone: FxHashSet<&str> = paths.collect();
        self.files.lock().retain(|path, _| !gone.contains(path.as_str()));
    }
}

impl OfFile {
    /// A batch of the file that begins at its row `from`, with what is known of its rows.
    pub fn fill(&self, from: usize, batch: &RecordBatch) -> Result<RecordBatch, StoreError> {
        let rows = self.rows.values().get(from..from + batch.num_rows()).unwrap_or_default();
        let mut filled = Filled::with_rows(batch.num_rows());
        let mut translations: FxHashMap<usize, Translation> = FxHashMap::default();
        let chunk_of = |row: u32| self.chunks.partition_point(|(first, _)| *first <= row).saturating_sub(1);
        let mut at = 0;
        // Rows of a trace, which came together, lie side by side.
        for run in rows.chunk_by(|a, b| chunk_of(*a) == chunk_of(*b)) {
            let chunk = chunk_of(run[0]);
            let (first, derived) = &self.chunks[chunk];
            let translation = translations.entry(chunk).or_default();
            let derived = derived.lock();
            for row in run {
                filled.copy(at, &derived, (row - first) as usize, translation);
                at += 1;
            }
        }
        filled.apply(batch)
    }
}
