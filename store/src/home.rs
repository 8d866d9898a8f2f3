//! Where a store keeps its data: a folder, or a prefix of a bucket. To the lake both are an object store, whose writes are
//! durable once they are answered; what stands below it for a folder is the seam of [`crate::files`].
//!
//! Methods that are not async block: call them where that is allowed.

mod bucket_log;
mod disk;
mod location;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path as ObjectPath;
use object_store::prefix::PrefixStore;
use object_store::{
    ObjectMeta, ObjectStore, ObjectStoreExt, ObjectStoreScheme, PutMode, PutOptions, PutPayload,
};
use tokio::runtime::Handle;
use url::Url;

use crate::blocking::wait;
use crate::error::StoreError;
use crate::files::{Files, OsFiles};
use crate::lake::{FILTER_BYTES_MAX, FOOTER_BYTES_MAX, FooterCache, Resident};
pub(crate) use bucket_log::BucketLog;
use disk::Disk;
pub use location::{BadLocation, Location};

/// The log's folder in a home.
pub(crate) const WAL: &str = "wal";
/// In a bucket the log's small files have a folder to themselves, so that one request lists them.
const RECOVERY: &str = "recovery";

/// See the module's description. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Home {
    objects: Arc<dyn ObjectStore>,
    /// How messages name it: a folder, or a URL without its last slash.
    name: Arc<Path>,
    files: Option<Arc<dyn Files>>,
    filters: Arc<Resident>,
    footers: Arc<FooterCache>,
    runtime: Handle,
}

/// What became of an object that was to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    Made,
    /// There is another one of that name, which is left alone.
    Taken,
}

impl Home {
    /// A folder, which is made where it is missing, or a bucket, of which only the address is checked. Called by a task of the
    /// runtime that reads and writes it.
    pub fn open(location: &Location) -> Result<Self, StoreError> {
        match location {
            Location::Folder(folder) => Self::on_disk(Arc::new(OsFiles), folder),
            Location::Bucket(url) => {
                let problem = |source: object_store::Error| StoreError::Object {
                    object: PathBuf::from(url.as_str()),
                    source: Box::new(source),
                };
                let (store, prefix) = bucket(url).map_err(problem)?;
                let name = url.as_str().trim_end_matches('/');
                Ok(Self::in_bucket(Arc::new(PrefixStore::new(store, prefix)), name))
            }
        }
    }

    /// A bucket, or whatever else is an object store, and how messages name it.
    pub fn in_bucket(objects: Arc<dyn ObjectStore>, name: &str) -> Self {
        Self::of(objects, Path::new(name), None)
    }

    /// A folder of these files.
    pub fn on_disk(files: Arc<dyn Files>, folder: &Path) -> Result<Self, StoreError> {
        files.create_dir_all(folder).map_err(StoreError::io(folder))?;
        Ok(Self::of(Arc::new(Disk::new(files.clone(), folder)), folder, Some(files)))
    }

    fn of(objects: Arc<dyn ObjectStore>, name: &Path, files: Option<Arc<dyn Files>>) -> Self {
        Self {
            objects,
            name: name.into(),
            files,
            filters: Resident::new(FILTER_BYTES_MAX),
            footers: FooterCache::new(FOOTER_BYTES_MAX),
            runtime: Handle::current(),
        }
    }

    /// The same with room for so many bytes of files' filters.
    pub fn with_filter_bytes(mut self, bytes_max: usize) -> Self {
        self.filters = Resident::new(bytes_max);
        self
    }

    /// The filters of its files that are in memory.
    pub fn filters(&self) -> &Arc<Resident> {
        &self.filters
    }

    /// The footers of its files that are in memory.
    pub fn footers(&self) -> &FooterCache {
        &self.footers
    }

    /// For those who read by themselves; paths begin with a table's name.
    pub fn objects(&self) -> Arc<dyn ObjectStore> {
        self.objects.clone()
    }

    /// The folder, and the files that it is made of; `None` of a bucket.
    pub fn folder(&self) -> Option<(&Path, &Arc<dyn Files>)> {
        self.files.as_ref().map(|files| (&*self.name, files))
    }

    /// The files of a write-ahead log that is kept here: with their folder, and the one of the small files that a restart needs besides.
    pub(crate) fn log(&self) -> (Arc<dyn Files>, PathBuf, PathBuf) {
        match self.folder() {
            Some((folder, files)) => (files.clone(), folder.join(WAL), folder.to_owned()),
            None => {
                let files = BucketLog::new(self.objects(), self.runtime.clone());
                (Arc::new(files), WAL.into(), RECOVERY.into())
            }
        }
    }

    /// How messages name an object.
    pub fn name(&self, object: &str) -> PathBuf {
        self.name.join(object)
    }

    /// Makes the names durable that are below a prefix: who wrote them may have died before it came so far, and what is read here
    /// is relied upon. Of a bucket they are.
    pub fn sync(&self, prefix: &str) -> Result<(), StoreError> {
        let Some((root, files)) = self.folder() else { return Ok(()) };
        let folder = root.join(prefix);
        files.create_dir_all(&folder).map_err(StoreError::io(&folder))?;
        let mut above = folder.ancestors().take_while(|f| f.starts_with(root));
        above.try_for_each(|f| files.sync_dir(f).map_err(StoreError::io(f)))
    }

    /// Removes what writes left behind that a crash cut off. Nobody else may write meanwhile.
    pub fn remove_drafts(&self) -> Result<(), StoreError> {
        self.folder().map_or(Ok(()), |(folder, files)| disk::remove_drafts(&**files, folder))
    }

    /// Blocks until an answer of the object store is there.
    pub fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        wait(&self.runtime, answer)
    }

    /// The contents of an object; `None` where there is none of that name.
    pub async fn get(&self, object: &str) -> Result<Option<Bytes>, StoreError> {
        let got = async { self.objects.get(&path(object)?).await?.bytes().await };
        match got.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error(object)(error)),
        }
    }

    /// The same, of an object that must not be larger than that.
    pub async fn get_at_most(&self, object: &str, bytes_max: u64) -> Result<Option<Bytes>, StoreError> {
        let head = async { self.objects.head(&path(object)?).await };
        match head.await {
            Ok(found) if found.size > bytes_max => {
                let problem = format!("more than {bytes_max} bytes");
                Err(StoreError::BadFormat { path: self.name(object), problem })
            }
            Ok(_) => self.get(object).await,
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error(object)(error)),
        }
    }

    /// Makes an object, or replaces it as a whole.
    pub async fn put(&self, object: &str, bytes: Bytes) -> Result<(), StoreError> {
        let put = async { self.objects.put(&path(object)?, PutPayload::from(bytes)).await };
        put.await.map(drop).map_err(self.error(object))
    }

    /// Makes an object of a name that is free.
    pub async fn create(&self, object: &str, bytes: Bytes) -> Result<Created, StoreError> {
        let options = PutOptions::from(PutMode::Create);
        let put = async { self.objects.put_opts(&path(object)?, PutPayload::from(bytes), options).await };
        match put.await {
            Ok(_) => Ok(Created::Made),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(Created::Taken),
            Err(error) => Err(self.error(object)(error)),
        }
    }

    /// Asks whether it can be read at all: one error, and not one of each table.
    pub async fn is_there(&self) -> Result<(), StoreError> {
        self.objects.list_with_delimiter(None).await.map(drop).map_err(self.error(""))
    }

    /// What is below a prefix, at any depth.
    pub async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, StoreError> {
        let listed = async { self.objects.list(Some(&path(prefix)?)).try_collect().await };
        listed.await.map_err(self.error(prefix))
    }

    /// It may be gone already.
    pub async fn delete(&self, object: &str) -> Result<(), StoreError> {
        match async { self.objects.delete(&path(object)?).await }.await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.error(object)(error)),
        }
    }

    pub(crate) fn error(&self, object: &str) -> impl FnOnce(object_store::Error) -> StoreError {
        let object = self.name(object);
        move |source| StoreError::Object { object, source: Box::new(source) }
    }
}

/// What is at an address, and the prefix that it names; the rest is in the environment, of which each kind reads what is its own. (Settings
/// have short names, too, but `TOKEN` or `TIMEOUT` in the environment are of other programs.)
fn bucket(url: &Url) -> Result<(Arc<dyn ObjectStore>, ObjectPath), object_store::Error> {
    let (scheme, prefix) = ObjectStoreScheme::parse(url)?;
    let url = url.as_str();
    let store: Arc<dyn ObjectStore> = match scheme {
        ObjectStoreScheme::MicrosoftAzure => {
            Arc::new(MicrosoftAzureBuilder::from_env().with_url(url).build()?)
        }
        ObjectStoreScheme::GoogleCloudStorage => {
            Arc::new(GoogleCloudStorageBuilder::from_env().with_url(url).build()?)
        }
        _ => Arc::new(AmazonS3Builder::from_env().with_url(url).build()?),
    };
    Ok((store, prefix))
}

pub(crate) fn path(object: &str) -> Result<ObjectPath, object_store::Error> {
    Ok(ObjectPath::parse(object)?)
}
