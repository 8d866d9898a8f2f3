//! Data files that turned out to be damaged while the store did its own work. They are told of once and left as they are; what
//! they hold is done without, so that all else goes on: a single one would else stop settling, and then ingest.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::StoreError;
use crate::snapshot::DataFile;

/// Those that were found since the store was opened.
#[derive(Debug, Default)]
pub struct Damaged(Mutex<BTreeSet<String>>);

impl Damaged {
    /// How messages name them.
    pub fn names(&self) -> Vec<String> {
        self.0.lock().iter().cloned().collect()
    }

    pub fn has(&self, file: &DataFile) -> bool {
        let names = self.0.lock();
        !names.is_empty() && names.contains(&file.object.context())
    }

    /// Takes note of an error that says that one of these files is damaged; any other is given back.
    pub fn note(&self, error: StoreError, files: &[Arc<DataFile>]) -> Result<(), StoreError> {
        let Some(name) = error.damaged_file() else { return Err(error) };
        if !files.iter().any(|file| file.object.context() == name) {
            return Err(error);
        }
        if self.0.lock().insert(name.to_owned()) {
            tracing::error!(%error, "a data file is damaged; it is not merged, and what it holds is not taken into account");
        }
        Ok(())
    }

    /// What was read of a file, `None` where it is damaged.
    pub fn done_without<T>(
        &self,
        file: &Arc<DataFile>,
        read: Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(error) => self.note(error, std::slice::from_ref(file)).map(|()| None),
        }
    }
}
