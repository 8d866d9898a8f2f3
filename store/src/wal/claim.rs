//! Taking over a log that another process may believe to be its own.

use std::io;
use std::path::Path;

use super::record::Header;
use super::replay::Contents;
use super::{Segment, file_name};
use crate::error::StoreError;
use crate::files::Files;

/// Takes the number that another process would go on with which believes the log to be its own, so that it cannot, and, where that
/// is not above the floor, one that is. Each is of a segment that stays empty. False where the other process went on just now.
pub fn claim(files: &dyn Files, folder: &Path, found: &mut Contents, floor: u64) -> Result<bool, StoreError> {
    let id = *found.id.get_or_insert_with(uuid::Uuid::new_v4);
    let mut first_seq = if found.last_seq == 0 { floor } else { found.last_seq } + 1;
    loop {
        let path = folder.join(file_name(first_seq));
        let header = Header { id, first_seq }.encode();
        match begin_empty(files, &path, &header) {
            Ok(true) => {
                found.last_seq = first_seq;
                found.segments.push(Segment { path, last_seq: first_seq, len: header.len() as u64 });
                if first_seq > floor {
                    return Ok(true);
                }
                first_seq = floor + 1;
            }
            Ok(false) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match files.find(&path) {
                // Of one that is gone the name is not free yet.
                Err(error) if error.kind() == io::ErrorKind::NotFound => first_seq += 1,
                there => return there.map(|_| false).map_err(StoreError::io(&path)),
            },
            Err(error) => return Err(StoreError::io(&path)(error)),
        }
    }
}

/// Makes a segment to which nobody writes. False where somebody did: headers of one log and number are the same, whoever writes
/// them, so that it is what follows the header that tells whose a segment is.
fn begin_empty(files: &dyn Files, path: &Path, header: &[u8]) -> io::Result<bool> {
    let mut file = files.create(path)?;
    file.append(header)?;
    file.sync()?;
    Ok(files.seal(path)? && files.find(path)?.bytes == header.len() as u64)
}
