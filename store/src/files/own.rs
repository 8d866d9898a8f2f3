//! A small file that each opening of a log has of its own, to be replaced as a whole: whoever has a bucket is not kept from replacing its
//! file once more after another server took the bucket over. An opening reads the files of those before, and removes them once its own,
//! which is to say all that is needed of them, is durable.

use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use uuid::Uuid;

use super::Files;
use crate::error::StoreError;

/// A file that was found, and what is in it.
pub type Older = (PathBuf, Vec<u8>);

/// The file of this opening, and those of openings before it as long as they are needed.
#[derive(Debug)]
pub struct OwnFile {
    own: PathBuf,
    older: Mutex<Vec<PathBuf>>,
}

impl OwnFile {
    /// Finds the files of this name in a folder: `<name>.<id of the opening>`, or once the name alone.
    pub fn open(files: &dyn Files, folder: &Path, name: &str) -> Result<(Self, Vec<Older>), StoreError> {
        let is_older = |path: &PathBuf| {
            let is_id = |text: &str| Uuid::try_parse(text).is_ok();
            path.file_stem().is_some_and(|stem| stem == name)
                && path.extension().is_none_or(|after| after.to_str().is_some_and(is_id))
        };
        loop {
            let mut older = files.list(folder).map_err(StoreError::io(folder))?;
            older.retain(is_older);
            // One that is gone since has another in its place, of a server that was taken over and does not know it yet.
            let Some(read) =
                older.iter().map(|path| read(files, path)).collect::<Result<Option<Vec<_>>, _>>()?
            else {
                continue;
            };
            let own = folder.join(format!("{name}.{}", Uuid::new_v4().simple()));
            let found = older.iter().cloned().zip(read).collect();
            return Ok((Self { own, older: Mutex::new(older) }, found));
        }
    }

    /// Makes it durable with these bytes, and removes those of openings before.
    pub fn replace(&self, files: &dyn Files, bytes: &[u8]) -> Result<(), StoreError> {
        files.replace(&self.own, bytes).map_err(StoreError::io(&self.own))?;
        self.remove_older(files)
    }

    /// Removes it and those of openings before, durably.
    pub fn remove(&self, files: &dyn Files) -> Result<(), StoreError> {
        self.remove_older(files)?;
        remove(files, &self.own)?;
        let folder = self.own.parent().unwrap_or(Path::new(""));
        files.sync_dir(folder).map_err(StoreError::io(folder))
    }

    fn remove_older(&self, files: &dyn Files) -> Result<(), StoreError> {
        let mut older = self.older.lock();
        while let Some(path) = older.last() {
            remove(files, path)?;
            older.pop();
        }
        Ok(())
    }
}

/// `None` where there is no such file.
fn read(files: &dyn Files, path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match files.read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io(path)(error)),
    }
}

fn remove(files: &dyn Files, path: &Path) -> Result<(), StoreError> {
    match files.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(path)(error)),
        _ => Ok(()),
    }
}
