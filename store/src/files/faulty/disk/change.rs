//! Changes of files and folders, which are seen at once and durable later.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::files::folder_of;

/// A change of a file's bytes.
#[derive(Debug, Clone)]
pub enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Cut(usize),
}

impl Change {
    pub fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => {
                if to.len() < at + bytes.len() {
                    to.resize(at + bytes.len(), 0);
                }
                to[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            Self::Cut(len) => to.truncate(*len),
        }
    }
}

#[derive(Debug, Clone, Default)]
pub struct Inode {
    /// Bytes for which there is room, also when the disk is full.
    pub reserved: usize,
    pub seen: Vec<u8>,
    pub durable: Vec<u8>,
    pub unsynced: Vec<Change>,
}

/// A change of a folder's entries.
#[derive(Debug, Clone)]
pub enum Entry {
    Link(PathBuf, usize),
    Unlink(PathBuf),
    Rename { from: PathBuf, to: PathBuf, inode: usize },
}

impl Entry {
    pub fn folder(&self) -> &Path {
        match self {
            Self::Link(path, _) | Self::Unlink(path) | Self::Rename { to: path, .. } => folder_of(path),
        }
    }

    pub fn apply(self, to: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Link(path, inode) => drop(to.insert(path, inode)),
            Self::Unlink(path) => drop(to.remove(&path)),
            Self::Rename { from, to: path, inode } => {
                to.remove(&from);
                to.insert(path, inode);
            }
        }
    }
}
