//! Closing: everything is settled and flushed, and no log is left behind.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Store, pending};
use crate::error::StoreError;
use crate::tail::Traces;

impl Store {
    /// Settles and flushes everything, and leaves no log behind. What does not end within the given time
    /// stays in the log, from which the next start replays it.
    pub async fn close(&self, within: Duration) -> Result<(), StoreError> {
        let inner = &self.inner;
        inner.closing.store(true, Ordering::Release);
        for task in inner.background.lock().drain(..) {
            task.abort();
        }
        if self.is_read_only() {
            return Ok(());
        }
        let orderly = async {
            inner.settle_everything().await?;
            inner.flush().await?;
            let Some(log) = &inner.log else { return Ok(()) };
            let behind = {
                let restating = inner.restating.lock();
                restating.traces().next().map(|_| pending::Pending::of(&Traces::default(), &restating))
            };
            match behind {
                Some(behind) => behind.write(&*log.files, &log.pending)?,
                None => log.pending.remove(&*log.files)?,
            }
            log.writer.close(true).await.map_err(|e| StoreError::Poisoned(e.to_string()))
        };
        match tokio::time::timeout(within, orderly).await {
            Ok(result) => result,
            Err(_) => {
                tracing::warn!(
                    seconds = within.as_secs(),
                    "closing took too long; the log is kept and will be replayed"
                );
                Ok(())
            }
        }
    }
}
