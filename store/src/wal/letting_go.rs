//! Letting go of segments: of those whose records are in the lake, and of the whole log after a clean stop.

use super::{SPARE, Segment, Wal};
use crate::error::StoreError;

/// Segments that wait to be written over: a flush lets go of about as many.
const SPARES_MAX: usize = 3;

impl Wal {
    /// Deletes the segments all of whose records are at or below `seq`, but for the very last: a log keeps its id and its
    /// sequence in its segments, and one that is left with none would be another log at the next start.
    pub fn delete_through(&mut self, seq: u64) -> Result<(), StoreError> {
        self.check()?;
        if self.open.as_ref().is_some_and(|open| open.segment.last_seq <= seq) {
            self.close_segment()?;
        }
        let gone = self.closed.iter().take_while(|s| s.last_seq <= seq).count();
        let kept = usize::from(gone == self.closed.len() && self.open.is_none());
        self.let_go(gone.saturating_sub(kept))
    }

    /// Deletes the whole log, after a clean stop. The next one in this folder is another.
    pub fn remove_all(&mut self) -> Result<(), StoreError> {
        self.check()?;
        self.close_segment()?;
        while let Some(path) = self.closed.first().map(|s| s.path.clone()) {
            self.files.remove(&path).map_err(StoreError::io(&path))?;
            self.closed.remove(0);
        }
        while let Some(path) = self.spares.last() {
            self.files.remove(path).map_err(StoreError::io(path))?;
            self.spares.pop();
        }
        self.sync_folder()
    }

    /// Of the oldest segments; a few of them stay to be written over.
    fn let_go(&mut self, n: usize) -> Result<(), StoreError> {
        if n == 0 {
            return Ok(());
        }
        let mut spares = Vec::new();
        for _ in 0..n {
            let Segment { path, len, .. } = &self.closed[0];
            let is_kept = self.spares.len() + spares.len() < SPARES_MAX && !self.files.is_shared();
            let is_spare = is_kept && 2 * len >= self.segment_bytes_max;
            if is_spare {
                let spare = path.with_extension(SPARE);
                self.files.rename(path, &spare).map_err(StoreError::io(path))?;
                spares.push(spare);
            } else {
                self.files.remove(path).map_err(StoreError::io(path))?;
            }
            self.closed.remove(0);
        }
        // Written over before its new name is durable, a segment would be found under its old one after a crash.
        self.sync_folder()?;
        self.spares.extend(spares);
        Ok(())
    }
}
