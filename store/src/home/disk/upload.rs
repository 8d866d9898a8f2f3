//! A file that is sent in parts.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use object_store::path::Path as ObjectPath;
use object_store::{MultipartUpload, PutPayload, PutResult, Result, UploadPart};
use parking_lot::Mutex;

use super::Disk;
use crate::files::Appending;

/// An upload in parts, which are put down in the order in which they are polled.
#[derive(Debug)]
pub struct Upload {
    disk: Disk,
    object: ObjectPath,
    file: Arc<Mutex<Box<dyn Appending>>>,
}

impl Upload {
    pub fn new(disk: &Disk, object: &ObjectPath, file: Box<dyn Appending>) -> Self {
        Self { disk: disk.clone(), object: object.clone(), file: Arc::new(Mutex::new(file)) }
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, part: PutPayload) -> UploadPart {
        let (disk, object, file) = (self.disk.clone(), self.object.clone(), self.file.clone());
        Box::pin(async move {
            disk.on_file(&object, move |_, _| part.iter().try_for_each(|bytes| file.lock().append(bytes)))
                .await
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let file = self.file.clone();
        let sync = move |disk: &Disk, path: &Path| {
            file.lock().sync()?;
            disk.sync_folders(path)
        };
        self.disk.on_file(&self.object, sync).await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        self.disk.on_file(&self.object, Disk::delete).await
    }
}
