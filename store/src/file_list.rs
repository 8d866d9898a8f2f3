//! The files of a table at one instant, and which of them may hold a trace.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use plimsoll_schemas::TraceId;

use crate::lake::TraceBloom;
use crate::snapshot::DataFile;

/// See the module's description. It never changes.
#[derive(Debug)]
pub struct FileList {
    files: Vec<Arc<DataFile>>,
    /// Of each file the filter over its trace ids, if that was in memory when somebody asked first. Asked one after the other by way of
    /// their files, filters take a quarter of a microsecond each: they lie far apart, and each is behind a lock. Those that had to make
    /// room since (see [`crate::lake::Filters`]) stay until the table has another list.
    traces: OnceLock<Vec<Option<Arc<TraceBloom>>>>,
}

impl FileList {
    /// The files that may hold rows of one of these traces, as far as is known without reading anything.
    pub fn that_may_hold<'f>(&'f self, traces: &'f [TraceId]) -> impl Iterator<Item = &'f Arc<DataFile>> {
        let filters = self.traces.get_or_init(|| {
            let filter = |file: &Arc<DataFile>| file.filters.as_ref()?.ask(|sidecar| sidecar.traces.clone());
            self.files.iter().map(filter).collect()
        });
        let may_hold = |filter: &TraceBloom| traces.iter().any(|id| filter.may_hold(id));
        let both = self.files.iter().zip(filters);
        both.filter(move |(_, filter)| filter.as_deref().is_none_or(may_hold)).map(|(file, _)| file)
    }
}

impl Deref for FileList {
    type Target = [Arc<DataFile>];

    fn deref(&self) -> &Self::Target {
        &self.files
    }
}

impl From<Vec<Arc<DataFile>>> for FileList {
    fn from(files: Vec<Arc<DataFile>>) -> Self {
        Self { files, traces: OnceLock::new() }
    }
}

impl FromIterator<Arc<DataFile>> for FileList {
    fn from_iter<I: IntoIterator<Item = Arc<DataFile>>>(files: I) -> Self {
        files.into_iter().collect::<Vec<_>>().into()
    }
}
