//! A data file on its way into the home: small ones whole, larger ones in parts, so that no more than a part is in memory.

use std::io::{self, Write};

use bytes::Bytes;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};
use parquet::file::metadata::KeyValue;

use super::checksums::{Summing, Tail};
use crate::error::StoreError;
use crate::home::{Home, path};

/// Buckets want parts of at least 5 MiB, and no more than 10,000 of them.
const BUCKET_PART_BYTES: usize = 8 << 20;
/// A merge writes a file for each slice at once.
const FOLDER_PART_BYTES: usize = 1 << 20;
/// A part of a folder's file, which ends with the write that makes it large enough: one of 8 KiB, as a rule.
const ROOM_BYTES: usize = FOLDER_PART_BYTES + (8 << 10);

/// See the module's description. Dropped before it is finished, it leaves nothing behind, as far as the home lets it.
#[derive(Debug)]
pub struct Upload {
    home: Home,
    name: String,
    part_bytes: usize,
    /// What is not sent yet.
    buffer: Vec<u8>,
    /// Of the parts that were sent, if there are any.
    parts: Option<Box<dyn MultipartUpload>>,
    bytes: u64,
    summing: Summing,
}

impl Upload {
    /// `name` is within the home, and free.
    pub fn new(home: &Home, name: String) -> Self {
        Self {
            home: home.clone(),
            name,
            part_bytes: if home.folder().is_some() { FOLDER_PART_BYTES } else { BUCKET_PART_BYTES },
            buffer: Vec::new(),
            parts: None,
            bytes: 0,
            summing: Summing::default(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// How messages name it.
    pub fn context(&self) -> String {
        self.home.name(&self.name).display().to_string()
    }

    /// What its footer is to say of the data, of which all was written.
    pub fn end_data(&mut self) -> KeyValue {
        self.summing.end_data()
    }

    /// Makes it durable, and answers how many bytes it has, and of what came after the data.
    pub fn finish(&mut self) -> Result<(u64, Tail), StoreError> {
        let rest = Bytes::from(std::mem::take(&mut self.buffer));
        match self.parts.take() {
            None => self.home.wait(self.home.put(&self.name, rest))?,
            Some(mut parts) => {
                let end = async {
                    if !rest.is_empty() {
                        parts.put_part(rest.into()).await?;
                    }
                    parts.complete().await
                };
                let ended = self.home.wait(end);
                if ended.is_err() {
                    self.parts = Some(parts);
                }
                ended.map_err(self.home.error(&self.name))?;
            }
        }
        Ok((self.bytes, self.summing.tail()))
    }

    fn send(&mut self) -> Result<(), object_store::Error> {
        let part = PutPayload::from(std::mem::take(&mut self.buffer));
        let home = self.home.clone();
        home.wait(async {
            let parts = match &mut self.parts {
                Some(parts) => parts,
                None => {
                    let begun = home.objects().put_multipart(&path(&self.name)?).await?;
                    self.parts.insert(begun)
                }
            };
            parts.put_part(part).await
        })
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.capacity() == 0 {
            // Room that is not used costs nothing, but to grow into it does.
            self.buffer.reserve_exact(ROOM_BYTES.max(bytes.len()));
        }
        self.buffer.extend_from_slice(bytes);
        self.bytes += bytes.len() as u64;
        self.summing.add(bytes);
        if self.buffer.len() >= self.part_bytes {
            self.send().map_err(io::Error::other)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(mut parts) = self.parts.take()
            && let Err(error) = self.home.wait(parts.abort())
        {
            tracing::debug!(file = self.context(), %error, "an unfinished file stays until vacuum");
        }
    }
}
