//! Following: a store that only reads takes in what the process that writes its home committed since.
//!
//! A flush commits `spans` last. So the log of `spans` is read first, and of the other tables no flush is taken in that it does not
//! have yet: a trace is shown with its spans, and spans with what was derived of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plimsoll_schemas::table::Table;

use super::Inner;
use crate::error::StoreError;
use crate::lake::{MAINTENANCE, OWNER};
use crate::snapshot::FileChange;

/// A flush that was begun and never ended keeps the others back for no longer.
const HELD_BACK_MAX: Duration = Duration::from_secs(300);
/// A log is shortened after hours.
const CHECK_EVERY: Duration = Duration::from_secs(60);

/// What it remembers from turn to turn.
#[derive(Debug, Default)]
pub struct Following {
    /// Since when a table waits for `spans`.
    held_back: HashMap<Table, Instant>,
    /// When it was last looked whether a log was shortened beyond what was taken in.
    checked: Option<Instant>,
}

impl Inner {
    /// Takes in what was committed since, in one step for whoever asks.
    pub(super) async fn follow(self: &Arc<Self>) -> Result<(), StoreError> {
        let following = &mut *self.following.lock().await;
        let mut changes = Vec::new();
        let is_checked = following.checked.is_some_and(|checked| checked.elapsed() > CHECK_EVERY);
        if is_checked || following.checked.is_none() {
            following.checked = Some(Instant::now());
        }
        let spans = std::iter::once(Table::Spans);
        let mut followed = Ok(());
        for table in spans.chain(Table::ALL.into_iter().filter(|table| *table != Table::Spans)) {
            followed = self.follow_table(table, following, is_checked, &mut changes).await;
            if followed.is_err() {
                break;
            }
        }
        // Also where a later table failed: what was taken in is not read again.
        if !changes.is_empty() {
            let mut state = self.state.lock();
            state.change_files(changes);
            state.settled += 1;
        }
        followed
    }

    async fn follow_table(
        &self,
        table: Table,
        following: &mut Following,
        is_checked: bool,
        changes: &mut Vec<FileChange>,
    ) -> Result<(), StoreError> {
        let mut lake = self.lake[table as usize].lock().await;
        while let Some(entry) = lake.next_entry().await? {
            let flush = entry.transactions.iter().find(|(app, _)| app != MAINTENANCE && app != OWNER);
            if let Some((log, seq)) = flush.filter(|_| table != Table::Spans) {
                let spans = self.lake[Table::Spans as usize].lock().await;
                if spans.transaction_version(log).await?.is_none_or(|known| known < *seq) {
                    let since = *following.held_back.entry(table).or_insert_with(Instant::now);
                    if since.elapsed() < HELD_BACK_MAX {
                        return Ok(());
                    }
                }
            }
            following.held_back.remove(&table);
            changes.push(lake.take_in(entry).await?);
        }
        if is_checked {
            changes.extend(lake.catch_up().await?);
        }
        Ok(())
    }
}
