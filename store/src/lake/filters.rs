//! Which files' filters are in memory: those of the newest files, as many as there is room for. The others lie in their sidecars, and are read
//! when the answer saves opening a file; planning takes them for files that may hold anything.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use plimsoll_schemas::{TraceId, UnixNanos};

use super::object::Object;
use super::sidecar::Sidecar;
use crate::error::StoreError;

/// For about five hundred million spans.
pub const FILTER_BYTES_MAX: usize = 256 << 20;

/// The filters of one file. Clones are the same ones.
#[derive(Debug, Clone)]
pub struct Filters(Arc<Slot>);

#[derive(Debug)]
struct Slot {
    file: Object,
    key: Key,
    kept: RwLock<Option<Arc<Sidecar>>>,
    resident: Arc<Resident>,
}

/// When the newest row of a file is, and a number that no other file has.
type Key = (UnixNanos, u64);

/// What is in memory.
#[derive(Debug)]
pub struct Resident {
    bytes_max: usize,
    files: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    bytes: usize,
    /// The oldest first.
    slots: BTreeMap<Key, (usize, Weak<Slot>)>,
}

impl Resident {
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, files: AtomicU64::new(0), kept: Mutex::default() })
    }

    /// Bytes of all filters that are in memory.
    pub fn bytes(&self) -> usize {
        self.kept.lock().bytes
    }

    fn has_room(&self, key: Key) -> bool {
        let kept = self.kept.lock();
        kept.bytes < self.bytes_max || kept.slots.first_key_value().is_some_and(|(oldest, _)| *oldest < key)
    }

    fn keep(&self, slot: &Arc<Slot>, sidecar: Arc<Sidecar>) {
        let bytes = sidecar.memory_bytes();
        // Let go of only after the lock: whoever is the last to drop a file takes it.
        let mut gone = Vec::new();
        let mut kept = self.kept.lock();
        if kept.slots.insert(slot.key, (bytes, Arc::downgrade(slot))).is_none() {
            kept.bytes += bytes;
            *slot.kept.write() = Some(sidecar);
        }
        while kept.bytes > self.bytes_max {
            let Some((_, (bytes, oldest))) = kept.slots.pop_first() else { break };
            kept.bytes -= bytes;
            if let Some(oldest) = oldest.upgrade() {
                *oldest.kept.write() = None;
                gone.push(oldest);
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut kept = self.resident.kept.lock();
        if let Some((bytes, _)) = kept.slots.remove(&self.key) {
            kept.bytes -= bytes;
        }
    }
}

impl Filters {
    /// Of a file whose newest row is of that time. `sidecar` is its, where it is known already.
    pub fn of(file: Object, newest: UnixNanos, sidecar: Option<Sidecar>) -> Self {
        let resident = file.home().filters().clone();
        let key = (newest, resident.files.fetch_add(1, Ordering::Relaxed));
        let filters = Self(Arc::new(Slot { file, key, kept: RwLock::default(), resident }));
        if let Some(sidecar) = sidecar {
            filters.0.resident.keep(&filters.0, Arc::new(sidecar));
        }
        filters
    }

    /// Reads them, unless newer files' have taken all the room. Where they are damaged and so is the file, of which they would be built
    /// again, whoever wants to know what it holds is told so.
    pub async fn read_where_room(self) -> Result<Self, StoreError> {
        if self.0.resident.has_room(self.0.key)
            && let Err(error) = self.get().await
        {
            if error.damaged_file().is_none() {
                return Err(error);
            }
            tracing::error!(%error, "a data file and its bloom sidecar are damaged");
        }
        Ok(self)
    }

    /// What they say, where they are in memory.
    pub fn ask<T>(&self, question: impl FnOnce(&Sidecar) -> T) -> Option<T> {
        self.0.kept.read().as_deref().map(question)
    }

    /// From memory, or from the sidecar.
    pub async fn get(&self) -> Result<Arc<Sidecar>, StoreError> {
        if let Some(kept) = self.0.kept.read().clone() {
            return Ok(kept);
        }
        let sidecar = Arc::new(Sidecar::load_or_rebuild(&self.0.file).await?);
        self.0.resident.keep(&self.0, sidecar.clone());
        Ok(sidecar)
    }

    /// Those of these traces of which rows may be in the file. Blocks.
    pub fn held<'t>(&self, traces: impl Iterator<Item = &'t TraceId>) -> Result<Vec<TraceId>, StoreError> {
        let mut traces = traces.peekable();
        if traces.peek().is_none() {
            return Ok(Vec::new());
        }
        let held = |sidecar: &Sidecar| traces.filter(|id| sidecar.traces.may_hold(id)).copied().collect();
        if let Some(kept) = self.0.kept.read().as_deref() {
            return Ok(held(kept));
        }
        let sidecar = self.0.file.home().wait(self.get())?;
        Ok(held(&sidecar))
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_schemas::table::Table;

    use super::super::TraceBloom;
    use super::*;
    use crate::home::{Home, Location};

    fn id(n: u8) -> TraceId {
        TraceId::from_bytes([n; 16])
    }

    async fn file(home: &Home, n: u8) -> Filters {
        let object =
            Object::new(home, Table::Spans, &format!("day=2026-01-01/{n}.parquet"), 1, None).expect("a name");
        let sidecar = || Sidecar { traces: TraceBloom::of(&[id(n)]).expect("a filter").into(), tokens: None };
        sidecar().write(home, object.name()).await.expect("written");
        Filters::of(object, UnixNanos(n.into()), Some(sidecar()))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_newest_stay_and_the_others_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let one = Sidecar { traces: TraceBloom::of(&[id(0)]).expect("a filter").into(), tokens: None }
            .memory_bytes();
        let location = Location::Folder(folder.path().to_owned());
        let home = Home::open(&location).expect("a home").with_filter_bytes(3 * one);
        let mut files = Vec::new();
        for n in [4, 1, 5, 2, 3] {
            files.push((n, file(&home, n).await));
        }
        let resident = |files: &[(u8, Filters)]| {
            let some = files.iter().filter(|(_, filters)| filters.ask(|_| ()).is_some());
            some.map(|(n, _)| *n).collect::<Vec<_>>()
        };
        assert_eq!(resident(&files), [4, 5, 3]);
        assert_eq!(home.filters().bytes(), 3 * one);
        for (n, filters) in &files {
            let filters = filters.clone();
            let found = tokio::task::spawn_blocking(move || filters.held([&id(1), &id(5)].into_iter())).await;
            let expected: Vec<_> = [*n].into_iter().filter(|n| [1, 5].contains(n)).map(id).collect();
            assert_eq!(found.expect("it ends").expect("read"), expected, "{n}");
        }
        assert_eq!(resident(&files), [4, 5, 3], "what was read made no room for itself");
        // Files that are gone make room.
        files.retain(|(n, _)| *n < 4);
        assert_eq!(home.filters().bytes(), one);
        for (_, filters) in &files {
            filters.get().await.expect("read");
        }
        assert_eq!(resident(&files), [1, 2, 3]);
    }
}
