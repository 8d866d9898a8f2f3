//! Deletes files that are no part of the table any more: what merges replaced, and what a crash left half-written.
//!
//! A file goes only once it has been seen inactive for the whole grace period by this process, so neither a
//! reader elsewhere nor a write under way loses what it is about to use.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::sidecar;
use super::table::LakeTable;
use crate::blocking::blocking;
use crate::error::StoreError;

impl LakeTable {
    /// Deletes files that have been inactive for `grace`, but for those of which `in_use` says so.
    /// Answers how many data files it deleted.
    pub async fn vacuum(
        &mut self,
        grace: Duration,
        in_use: impl Fn(&str) -> bool,
    ) -> Result<usize, StoreError> {
        let (root, files) = (self.root(), self.files());
        let active: HashSet<&str> = files.iter().map(|f| f.path.as_str()).collect();
        let now = Instant::now();
        let folder = root.clone();
        let found = blocking(move || data_files(&folder)).await?;
        self.inactive.retain(|path, _| !active.contains(path.as_str()));
        let mut due = BTreeSet::new();
        for path in found.into_iter().filter(|p| !active.contains(p.as_str()) && !in_use(p)) {
            let since = *self.inactive.entry(path.clone()).or_insert(now);
            if now.duration_since(since) >= grace {
                due.insert(path);
            }
        }
        let gone = due.clone();
        blocking(move || gone.iter().try_for_each(|path| delete(&root.join(path)))).await?;
        self.inactive.retain(|path, _| !due.contains(path));
        Ok(due.len())
    }
}

/// Deletes a data file and its sidecar, as far as they are there.
fn delete(file: &Path) -> Result<(), StoreError> {
    for gone in [sidecar::path(file), file.to_path_buf()] {
        match std::fs::remove_file(&gone) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::Io { path: gone, source: error });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Data files below the partition folders, relative to the table's root, and those whose sidecar alone is left.
/// Folders that are empty go: a writer that is about to use one makes it again.
fn data_files(root: &Path) -> Result<Vec<String>, StoreError> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).map_err(StoreError::io(&folder))?;
        let paths: Vec<PathBuf> = entries
            .map(|e| e.map(|e| e.path()))
            .collect::<Result<_, _>>()
            .map_err(StoreError::io(&folder))?;
        if paths.is_empty() && folder != root {
            // It may have been filled just now, and then it stays.
            let _ = std::fs::remove_dir(&folder);
        }
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let file = sidecar::data_file(&path).unwrap_or(path);
            if file.is_dir() && !name.starts_with('_') {
                folders.push(file);
            } else if file.extension().is_some_and(|e| e == "parquet")
                && let Ok(relative) = file.strip_prefix(root)
            {
                found.insert(relative.to_string_lossy().into_owned());
            }
        }
    }
    Ok(found.into_iter().collect())
}
