//! Takes what is whole out of a damaged log, so that the store starts again. Nothing is thrown away: a damaged segment stays
//! beside what was taken out of it, as `<its name>.damaged`.
//!
//! Records of a damaged segment are written again under their sequences, into a new segment for each stretch without a gap.
//! First under names that no start looks at (`.salvage`); then the damaged one is renamed, and then they. A salvage that a crash
//! interrupted is ended, or begun again, by the next.

use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::file_name;
use super::record::{Codec, HEADER_LEN, Header, HeaderError, Record};
use super::replay::Walk;
use crate::error::StoreError;
use crate::files::Files;

/// What became of one damaged segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salvaged {
    /// As it was named.
    pub segment: PathBuf,
    /// Where it is now.
    pub kept_as: PathBuf,
    /// Records that were taken out of it.
    pub records: u64,
    /// Its bytes that are no valid record.
    pub damaged: Vec<Range<u64>>,
}

/// Salvages the log in `folder`, which nobody else may have open. Answers which segments were damaged.
pub fn salvage(files: &dyn Files, folder: &Path) -> Result<Vec<Salvaged>, StoreError> {
    end_interrupted(files, folder)?;
    let segments = with_extension(files, folder, "log")?;
    let mut ids = Vec::new();
    let mut read = Vec::new();
    for path in segments {
        let bytes = Bytes::from(files.read(&path).map_err(StoreError::io(&path))?);
        let header = Header::decode(&bytes);
        if let Err(HeaderError::Version(version)) = header {
            let problem = format!("is of format {version}, which this version cannot read");
            return Err(StoreError::BadFormat { path, problem });
        }
        ids.extend(header.as_ref().map(|header| header.id));
        read.push((path, bytes, header.ok()));
    }
    let mut salvaged = Vec::new();
    let count = read.len();
    for (at, (path, bytes, header)) in read.into_iter().enumerate() {
        if !is_whole(&bytes, header, at + 1 == count) {
            let mut taken = take_out(files, folder, path, &bytes, header, &ids)?;
            // Behind the last segment's last record is what it held before it was written over, or nothing.
            taken.damaged.pop_if(|range| at + 1 == count && range.end == bytes.len() as u64);
            salvaged.push(taken);
        }
    }
    Ok(salvaged)
}

/// Whether a start takes the segment as it is: a torn end of the last one is no damage.
fn is_whole(bytes: &Bytes, header: Option<Header>, is_last: bool) -> bool {
    let Some(header) = header else {
        return is_last && bytes.iter().skip(HEADER_LEN).all(|b| *b == 0);
    };
    let walk = Walk::over(bytes, header);
    // What a segment held that was written over follows its records, and is older.
    walk.end == bytes.len() || is_last && !walk.is_followed(bytes)
}

fn take_out(
    files: &dyn Files,
    folder: &Path,
    segment: PathBuf,
    bytes: &Bytes,
    header: Option<Header>,
    ids: &[uuid::Uuid],
) -> Result<Salvaged, StoreError> {
    let kept_as = segment.with_extension("damaged");
    if files.read(&kept_as).is_ok() {
        let problem = "is what an earlier salvage left; move it away first".to_owned();
        return Err(StoreError::BadFormat { path: kept_as, problem });
    }
    let first_seq = stem(&segment).parse().unwrap_or(0);
    let (id, found) = match header {
        Some(header) => (header.id, records(bytes, header.id, first_seq)),
        None => by_any_id(bytes, ids, first_seq),
    };
    let (records, damaged) = found;
    let drafts = write_drafts(files, &segment, id, &records)?;
    files.sync_dir(folder).map_err(StoreError::io(folder))?;
    files.rename(&segment, &kept_as).map_err(StoreError::io(&segment))?;
    files.sync_dir(folder).map_err(StoreError::io(folder))?;
    for (draft, name) in drafts {
        files.rename(&draft, &folder.join(name)).map_err(StoreError::io(&draft))?;
    }
    files.sync_dir(folder).map_err(StoreError::io(folder))?;
    Ok(Salvaged { segment, kept_as, records: records.len() as u64, damaged })
}

type Found = (Vec<Record>, Vec<Range<u64>>);

/// The valid records behind the header, and the bytes that are none.
fn records(bytes: &Bytes, id: uuid::Uuid, first_seq: u64) -> Found {
    let codec = Codec::new(id);
    let (mut records, mut damaged) = (Vec::new(), Vec::<Range<u64>>::new());
    let (mut at, mut next) = (HEADER_LEN, first_seq);
    while at < bytes.len() {
        // In a segment sequences rise.
        if let Some(found) = codec.decode(bytes, at, &(next..=u64::MAX)) {
            next = found.record.seq.saturating_add(1);
            at = found.end;
            records.push(found.record);
            continue;
        }
        match damaged.last_mut().filter(|range| range.end == at as u64) {
            Some(range) => range.end += 1,
            None => damaged.push(at as u64..at as u64 + 1),
        }
        at += 1;
    }
    (records, damaged)
}

/// Where the header is damaged: records are told by the id of the log, which the other segments say, or the header as far as it
/// is right. One bit of it may be wrong.
fn by_any_id(bytes: &Bytes, ids: &[uuid::Uuid], first_seq: u64) -> (uuid::Uuid, Found) {
    let as_it_stands = Header::id_of(bytes).unwrap_or_default();
    let flipped = (0..128).map(|bit| uuid::Uuid::from_u128(as_it_stands.as_u128() ^ 1 << bit));
    let candidates = ids.iter().copied().chain([as_it_stands]).chain(flipped);
    let is_right =
        |id: &uuid::Uuid| Codec::new(*id).decode(bytes, HEADER_LEN, &(first_seq..=u64::MAX)).is_some();
    let mut candidates: Vec<uuid::Uuid> = candidates.collect();
    // Its first record may be damaged too: then only what is likely is looked for everywhere.
    let id = match candidates.iter().find(|id| is_right(id)) {
        Some(id) => *id,
        None => {
            candidates.truncate(ids.len() + 1);
            let most = candidates.iter().max_by_key(|id| records(bytes, **id, first_seq).0.len());
            most.copied().unwrap_or(as_it_stands)
        }
    };
    let (found, mut damaged) = records(bytes, id, first_seq);
    damaged.insert(0, 0..bytes.len().min(HEADER_LEN) as u64);
    (id, (found, damaged))
}

/// Durable, under names that a start does not look at; with the names that they are to have.
fn write_drafts(
    files: &dyn Files,
    segment: &Path,
    id: uuid::Uuid,
    records: &[Record],
) -> Result<Vec<(PathBuf, String)>, StoreError> {
    let stem = stem(segment);
    let codec = Codec::new(id);
    let mut drafts = Vec::new();
    for stretch in records.chunk_by(|a, b| a.seq + 1 == b.seq) {
        let first_seq = stretch[0].seq;
        let mut bytes = Header { id, first_seq }.encode().to_vec();
        for record in stretch {
            // Each is a group of its own: what it was written with may be lost.
            codec.encode(&mut bytes, record.seq, 0, &record.meta, &record.payload);
        }
        let name = file_name(first_seq);
        let draft = segment.with_file_name(format!("{stem}-{name}")).with_extension(DRAFT);
        let mut file = files.create(&draft).map_err(StoreError::io(&draft))?;
        file.append(&bytes).and_then(|()| file.sync()).map_err(StoreError::io(&draft))?;
        drafts.push((draft, name));
    }
    Ok(drafts)
}

const DRAFT: &str = "salvage";

/// Goes on where the damaged segment was renamed already, else takes back what was begun.
fn end_interrupted(files: &dyn Files, folder: &Path) -> Result<(), StoreError> {
    for draft in with_extension(files, folder, DRAFT)? {
        let name = stem(&draft);
        let Some((segment, first)) = name.split_once('-') else { continue };
        let is_renamed = files.read(&folder.join(segment).with_extension("damaged")).is_ok();
        let done = if is_renamed {
            files.rename(&draft, &folder.join(first).with_extension("log"))
        } else {
            files.remove(&draft)
        };
        done.map_err(StoreError::io(&draft))?;
    }
    files.sync_dir(folder).map_err(StoreError::io(folder))
}

fn with_extension(files: &dyn Files, folder: &Path, extension: &str) -> Result<Vec<PathBuf>, StoreError> {
    let mut paths = files.list(folder).map_err(StoreError::io(folder))?;
    paths.retain(|path| path.extension().is_some_and(|e| e == extension));
    Ok(paths)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
