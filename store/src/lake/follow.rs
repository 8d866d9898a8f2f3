//! Reading a table's log on, entry by entry, behind a process that writes it.

use std::collections::HashSet;
use std::sync::Arc;

use deltalake_core::kernel::{Action, Add};
use serde::Deserialize;
use serde_json::Deserializer;

use super::entries;
use super::log::log_of;
use super::table::LakeTable;
use crate::error::StoreError;
use crate::snapshot::{DataFile, FileChange};

/// What of the log's `_last_checkpoint` is of use here.
#[derive(Deserialize)]
struct LastCheckpoint {
    version: u64,
}

/// One version of the log that is not taken in yet.
#[derive(Debug)]
pub struct LogEntry {
    version: u64,
    adds: Vec<Add>,
    /// Paths.
    removes: Vec<String>,
    /// Application ids and versions.
    pub transactions: Vec<(String, i64)>,
}

impl LakeTable {
    /// The next version, if there is one.
    pub async fn next_entry(&mut self) -> Result<Option<LogEntry>, StoreError> {
        let version = self.version + 1;
        let name = format!("{}/{version:020}.json", log_of(self.table()));
        let Some(bytes) = self.home().get(&name).await? else { return Ok(None) };
        let bad = |problem: String| StoreError::BadFormat { path: self.home().name(&name), problem };
        let mut entry = LogEntry { version, adds: Vec::new(), removes: Vec::new(), transactions: Vec::new() };
        for action in Deserializer::from_slice(&bytes).into_iter::<Action>() {
            match action.map_err(|e| bad(e.to_string()))? {
                Action::Add(add) => entry.adds.push(add),
                Action::Remove(remove) => entry.removes.push(remove.path),
                Action::Txn(transaction) => {
                    entry.transactions.push((transaction.app_id, transaction.version))
                }
                _ => {}
            }
        }
        Ok(Some(entry))
    }

    pub async fn take_in(&mut self, entry: LogEntry) -> Result<FileChange, StoreError> {
        let mut added = Vec::with_capacity(entry.adds.len());
        for add in entry.adds {
            added.push(entries::data_file(self.home(), self.table(), add).await?);
        }
        let is_gone = |file: &Arc<DataFile>| entry.removes.contains(&file.path);
        let (removed, kept): (Vec<_>, Vec<_>) = self.files.iter().cloned().partition(is_gone);
        self.files = Arc::new(kept.into_iter().chain(added.iter().cloned()).collect());
        self.version = entry.version;
        self.transactions.extend(entry.transactions);
        Ok(FileChange { table: self.table(), version: entry.version, added, removed })
    }

    /// Reads the table anew where its log was shortened beyond the next version.
    pub async fn catch_up(&mut self) -> Result<Option<FileChange>, StoreError> {
        let name = format!("{}/_last_checkpoint", log_of(self.table()));
        let Some(bytes) = self.home().get(&name).await? else { return Ok(None) };
        let last: Option<LastCheckpoint> = serde_json::from_slice(&bytes).ok();
        if last.is_none_or(|last| last.version <= self.version) {
            return Ok(None);
        }
        let before = self.files.clone();
        self.read_again().await?;
        let missing = |of: &[Arc<DataFile>], from: &[Arc<DataFile>]| {
            let there: HashSet<&str> = from.iter().map(|file| file.path.as_str()).collect();
            of.iter().filter(|file| !there.contains(file.path.as_str())).cloned().collect::<Vec<_>>()
        };
        let (added, removed) = (missing(&self.files, &before), missing(&before, &self.files));
        Ok(Some(FileChange { table: self.table(), version: self.version, added, removed }))
    }
}
