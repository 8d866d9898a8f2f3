//! A folder as an object store: what is written is whole and durable when it is answered, which the `object_store` crate's own
//! folder is not (it never calls fsync).
//!
//! An object is written under another name, in `drafts`, and fsynced; then it gets its name, and the folders up to the
//! store's are fsynced. An upload in parts is written under its own name: whoever sends one tells nobody of it before it is whole.

mod upload;

use std::collections::HashSet;
use std::fmt::{Display, Formatter};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path as ObjectPath;
use object_store::{
    Attributes, CopyMode, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};
use parking_lot::Mutex;
use uuid::Uuid;

use crate::blocking::blocking;
use crate::error::StoreError;
use crate::files::{Appending, Files, Found, folder_of};
use upload::Upload;

const DRAFTS: &str = "drafts";
/// A folder may be removed, since nothing is in it, between its creation and the file's.
const ATTEMPTS_MAX: usize = 3;

/// See the module's description.
#[derive(Debug, Clone)]
pub struct Disk {
    files: Arc<dyn Files>,
    root: Arc<Path>,
    /// Folders whose own names, and of all above them, are durable.
    synced: Arc<Mutex<HashSet<PathBuf>>>,
}

/// Removes what a crash left of unfinished writes.
pub fn remove_drafts(files: &dyn Files, root: &Path) -> Result<(), StoreError> {
    for draft in files.list(&root.join(DRAFTS)).map_err(StoreError::io(root))? {
        files.remove(&draft).map_err(StoreError::io(&draft))?;
    }
    Ok(())
}

impl Display for Disk {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        self.root.display().fmt(f)
    }
}

impl Disk {
    pub fn new(files: Arc<dyn Files>, root: &Path) -> Self {
        Self { files, root: root.into(), synced: Arc::default() }
    }

    fn absolute(&self, object: &ObjectPath) -> PathBuf {
        self.root.join(object.as_ref())
    }

    /// Does something with a file where blocking is allowed.
    async fn on_file<T: Send + 'static>(
        &self,
        object: &ObjectPath,
        act: impl FnOnce(&Self, &Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (disk, path, name) = (self.clone(), self.absolute(object), object.to_string());
        blocking(move || act(&disk, &path)).await.map_err(|source| error(name, source))
    }

    fn meta(&self, found: Found) -> Option<ObjectMeta> {
        let relative = found.path.strip_prefix(&self.root).ok()?;
        Some(ObjectMeta {
            location: ObjectPath::parse(relative.to_str()?).ok()?,
            last_modified: found.modified.into(),
            size: found.bytes,
            e_tag: None,
            version: None,
        })
    }

    /// Gives a file its name, and makes the folders above it where they are missing.
    fn in_folder<T>(&self, path: &Path, name: impl Fn() -> io::Result<T>) -> io::Result<T> {
        let mut attempt = 1;
        loop {
            self.files.create_dir_all(folder_of(path))?;
            match name() {
                Err(e) if e.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS_MAX => attempt += 1,
                named => return named,
            }
        }
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Appending>> {
        self.in_folder(path, || self.files.create(path))
    }

    /// Makes a file's name durable, and those of the folders above it: once of those that existed before, since whoever made them
    /// may not have come so far. What is made here is durable at once.
    fn sync_folders(&self, path: &Path) -> io::Result<()> {
        let mut first = Vec::new();
        for folder in path.ancestors().skip(1).take_while(|f| f.starts_with(&self.root)) {
            self.files.sync_dir(folder)?;
            if self.synced.lock().contains(folder) {
                break;
            }
            first.push(folder.to_owned());
        }
        self.synced.lock().extend(first);
        Ok(())
    }

    fn put(&self, path: &Path, payload: &PutPayload, mode: &PutMode) -> io::Result<()> {
        let draft = self.root.join(DRAFTS).join(Uuid::new_v4().simple().to_string());
        let put = self.put_by_way_of(&draft, path, payload, mode);
        if put.is_err() {
            // On a full disk it would take the room that is freed. If it stays, the next opening removes it.
            let _ = self.files.remove(&draft);
        }
        put
    }

    fn put_by_way_of(
        &self,
        draft: &Path,
        path: &Path,
        payload: &PutPayload,
        mode: &PutMode,
    ) -> io::Result<()> {
        let mut file = self.create(draft)?;
        payload.iter().try_for_each(|bytes| file.append(bytes))?;
        file.sync()?;
        match mode {
            PutMode::Overwrite => self.in_folder(path, || self.files.rename(draft, path))?,
            PutMode::Create => {
                // A link fails where a rename would replace.
                let linked = self.in_folder(path, || self.files.link(draft, path));
                // If it stays, the next opening removes it; failing here would deny what the link has done.
                let _ = self.files.remove(draft);
                linked?;
            }
            PutMode::Update(_) => return Err(io::ErrorKind::Unsupported.into()),
        }
        self.sync_folders(path)
    }

    fn list_all(&self, folder: PathBuf) -> io::Result<Vec<ObjectMeta>> {
        let (mut objects, mut folders) = (Vec::new(), vec![folder]);
        while let Some(folder) = folders.pop() {
            for found in self.files.entries(&folder)? {
                match found.is_folder {
                    true => folders.push(found.path),
                    false => objects.extend(self.meta(found)),
                }
            }
        }
        Ok(objects)
    }

    fn get(&self, path: &Path, options: &GetOptions) -> io::Result<(Found, Range<u64>, Bytes)> {
        let found = self.files.find(path)?;
        if found.is_folder {
            return Err(io::ErrorKind::NotFound.into());
        }
        let range = match &options.range {
            None => 0..found.bytes,
            Some(range) => range.as_range(found.bytes).map_err(io::Error::other)?,
        };
        let bytes = match options.head {
            true => Bytes::new(),
            false => self.files.read_ranges(path, std::slice::from_ref(&range))?.remove(0),
        };
        Ok((found, range, bytes))
    }

    fn delete(&self, path: &Path) -> io::Result<()> {
        self.files.remove(path)?;
        // Folders that are empty go: a writer that is about to use one makes it again.
        let above = path.ancestors().skip(1).take_while(|f| f.starts_with(&self.root) && **f != *self.root);
        for folder in above {
            self.synced.lock().remove(folder);
            if self.files.remove_folder(folder).is_err() {
                break;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl ObjectStore for Disk {
    async fn put_opts(&self, to: &ObjectPath, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.on_file(to, move |disk, path| disk.put(path, &payload, &options.mode)).await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        to: &ObjectPath,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let file = self.on_file(to, Self::create).await?;
        Ok(Box::new(Upload::new(self, to, file)))
    }

    async fn get_opts(&self, from: &ObjectPath, options: GetOptions) -> Result<GetResult> {
        let asked = options.clone();
        let (found, range, bytes) = self.on_file(from, move |disk, path| disk.get(path, &asked)).await?;
        let name = || std::io::Error::other("a name that is none of an object");
        let meta = self.meta(found).ok_or_else(|| error(from.to_string(), name()))?;
        options.check_preconditions(&meta)?;
        let payload = GetResultPayload::Stream(stream::once(async { Ok(bytes) }).boxed());
        Ok(GetResult { payload, meta, range, attributes: Attributes::default() })
    }

    async fn get_ranges(&self, from: &ObjectPath, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let ranges = ranges.to_vec();
        self.on_file(from, move |disk, path| disk.files.read_ranges(path, &ranges)).await
    }

    fn delete_stream(
        &self,
        objects: BoxStream<'static, Result<ObjectPath>>,
    ) -> BoxStream<'static, Result<ObjectPath>> {
        let disk = self.clone();
        objects
            .and_then(move |object| {
                let disk = disk.clone();
                async move {
                    disk.on_file(&object, Self::delete).await?;
                    Ok(object)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (disk, prefix) = (self.clone(), prefix.cloned().unwrap_or_default());
        let listed = async move { disk.on_file(&prefix, |disk, path| disk.list_all(path.to_owned())).await };
        stream::once(listed).map_ok(|found| stream::iter(found).map(Ok)).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&ObjectPath>) -> Result<ListResult> {
        let prefix = prefix.cloned().unwrap_or_default();
        let entries = self.on_file(&prefix, |disk, path| disk.files.entries(path)).await?;
        let (folders, files): (Vec<_>, Vec<_>) = entries.into_iter().partition(|found| found.is_folder);
        let known = |found: Found| self.meta(found);
        let folders = folders.into_iter().filter_map(known).map(|folder| folder.location);
        Ok(ListResult {
            common_prefixes: folders.collect(),
            objects: files.into_iter().filter_map(known).collect(),
        })
    }

    async fn copy_opts(&self, from: &ObjectPath, to: &ObjectPath, options: CopyOptions) -> Result<()> {
        let mode = match options.mode {
            CopyMode::Overwrite => PutMode::Overwrite,
            CopyMode::Create => PutMode::Create,
        };
        let bytes = self.get_opts(from, GetOptions::default()).await?.bytes().await?;
        self.on_file(to, move |disk, path| disk.put(path, &bytes.into(), &mode)).await
    }
}

fn error(path: String, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::NotFound => Error::NotFound { path, source: source.into() },
        io::ErrorKind::AlreadyExists => Error::AlreadyExists { path, source: source.into() },
        io::ErrorKind::PermissionDenied => Error::PermissionDenied { path, source: source.into() },
        _ => Error::Generic { store: "folder", source: source.into() },
    }
}
