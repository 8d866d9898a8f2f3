//! Deletes files that are no part of the table any more: what merges replaced, and what a crash left half-written.
//!
//! A file goes only once it has been seen inactive for the whole grace period by this process, so neither a
//! reader elsewhere nor a write under way loses what it is about to use.

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant};

use plimsoll_schemas::table::Table;

use super::sidecar;
use super::table::LakeTable;
use crate::error::StoreError;
use crate::home::Home;

impl LakeTable {
    /// Deletes files that have been inactive for `grace`, but for those of which `in_use` says so.
    /// Answers how many data files it deleted.
    pub async fn vacuum(
        &mut self,
        grace: Duration,
        in_use: impl Fn(&str) -> bool,
    ) -> Result<usize, StoreError> {
        let (home, table, files) = (self.home().clone(), self.table(), self.files());
        let active: HashSet<&str> = files.iter().map(|f| f.path.as_str()).collect();
        let now = Instant::now();
        let found = data_files(&home, table).await?;
        self.inactive.retain(|path, _| !active.contains(path.as_str()));
        let mut due = BTreeSet::new();
        for path in found.into_iter().filter(|p| !active.contains(p.as_str()) && !in_use(p)) {
            let since = *self.inactive.entry(path.clone()).or_insert(now);
            if now.duration_since(since) >= grace {
                due.insert(path);
            }
        }
        for path in &due {
            // The sidecar first: while the file is there, it is found again.
            let file = format!("{}/{path}", table.as_str());
            home.delete(&sidecar::name(&file)).await?;
            home.delete(&file).await?;
        }
        self.inactive.retain(|path, _| !due.contains(path));
        Ok(due.len())
    }
}

/// Data files of the partitions, relative to the table's folder, and those whose sidecar alone is left.
async fn data_files(home: &Home, table: Table) -> Result<BTreeSet<String>, StoreError> {
    let listed = home.list(table.as_str()).await?;
    let within =
        listed.iter().filter_map(|object| object.location.as_ref().split_once('/')).map(|(_, path)| path);
    let files = within.filter(|path| !path.starts_with('_')).map(|path| {
        let file = sidecar::data_file(path);
        file.unwrap_or_else(|| path.to_owned())
    });
    Ok(files.filter(|file| file.ends_with(".parquet")).collect())
}
