//! The small file beside a data file of `spans`: its bloom filters, over trace ids ([`TraceBloom`]) and over attributes ([`TokenBloom`]).
//!
//! It is `_<name of the file>.bloom`; the underscore hides it from other writers' vacuum. Its bytes, little-endian:
//! `"PLSBLOOM" | version u32 | crc32c u32 of the rest | bytes u32 of the first filter | first filter | second filter`, each a Parquet
//! bloom filter, header and bitset. Version 1 has the first filter alone, and no length. The filter over trace ids can always be
//! built again from its file; without the other one any attribute may be there.

use std::fs;
use std::path::{Path, PathBuf};

use parquet::bloom_filter::Sbbf;

use super::bloom::TraceBloom;
use super::durable;
use super::tokens::TokenBloom;
use crate::error::StoreError;

const MAGIC: &[u8; 8] = b"PLSBLOOM";
const VERSION: u32 = 2;
/// Of trace ids alone.
const VERSION_TRACES: u32 = 1;
const HEADER_BYTES: usize = 16;

/// What it holds.
#[derive(Debug)]
pub struct Sidecar {
    pub traces: TraceBloom,
    /// `None` where nothing is known.
    pub tokens: Option<TokenBloom>,
}

/// Where it is, of a data file.
pub fn path(data_file: &Path) -> PathBuf {
    let name = data_file.file_stem().unwrap_or_default().to_string_lossy();
    data_file.with_file_name(format!("_{name}.bloom"))
}

/// The data file of a sidecar; `None` if it is none.
pub fn data_file(sidecar: &Path) -> Option<PathBuf> {
    let name = sidecar.file_name()?.to_str()?.strip_prefix('_')?.strip_suffix(".bloom")?;
    Some(sidecar.with_file_name(format!("{name}.parquet")))
}

impl Sidecar {
    /// Writes it and its contents durably; the folder is left to the caller.
    pub fn write(&self, data_file: &Path) -> Result<(), StoreError> {
        let path = path(data_file);
        let filter = |filter: &Sbbf, bytes: &mut Vec<u8>| {
            filter.write(bytes).map_err(StoreError::parquet(path.display().to_string()))
        };
        let mut traces = Vec::with_capacity(self.traces.memory_bytes() + 64);
        filter(self.traces.filter(), &mut traces)?;
        let (version, rest) = match &self.tokens {
            None => (VERSION_TRACES, traces),
            Some(tokens) => {
                let length = u32::try_from(traces.len()).unwrap_or(u32::MAX);
                let mut rest = Vec::with_capacity(traces.len() + tokens.memory_bytes() + 64);
                rest.extend_from_slice(&length.to_le_bytes());
                rest.extend_from_slice(&traces);
                filter(tokens.filter(), &mut rest)?;
                (VERSION, rest)
            }
        };
        let mut bytes = Vec::with_capacity(HEADER_BYTES + rest.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&version.to_le_bytes());
        bytes.extend_from_slice(&checksum(version, &rest).to_le_bytes());
        bytes.extend_from_slice(&rest);
        durable::replace(&path, &bytes)
    }

    /// What is there; where it is missing or damaged, the filter over trace ids from the file itself, and then it is written again.
    pub fn load_or_rebuild(data_file: &Path) -> Result<Self, StoreError> {
        let path = path(data_file);
        let problem = match fs::read(&path) {
            Ok(bytes) => match Self::parse(&bytes) {
                Ok(sidecar) => return Ok(sidecar),
                Err(problem) => problem,
            },
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => "missing".to_string(),
            Err(e) => return Err(StoreError::io(path)(e)),
        };
        tracing::warn!(
            sidecar = %path.display(),
            problem,
            "rebuilding a bloom sidecar from its data file; searches by attribute read that file until it is merged"
        );
        let sidecar = Self { traces: TraceBloom::of_file(data_file)?, tokens: None };
        sidecar.write(data_file)?;
        Ok(sidecar)
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let word = |at: usize| bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
        let (Some(version), Some(stated), true) = (word(8), word(12), bytes.starts_with(MAGIC)) else {
            return Err("not a bloom sidecar".into());
        };
        if ![VERSION, VERSION_TRACES].contains(&version) {
            return Err(format!("unknown version {version}"));
        }
        let rest = &bytes[HEADER_BYTES..];
        if checksum(version, rest) != stated {
            return Err("wrong checksum".into());
        }
        let filter = |bytes: &[u8]| match Sbbf::from_bytes(bytes) {
            Ok(filter) if filter.num_blocks() > 0 => Ok(filter),
            Ok(_) => Err("empty".to_owned()),
            Err(problem) => Err(problem.to_string()),
        };
        if version == VERSION_TRACES {
            return Ok(Self { traces: TraceBloom::from_filter(filter(rest)?), tokens: None });
        }
        let length = word(HEADER_BYTES).ok_or("too short")? as usize;
        let filters = rest[4..].split_at_checked(length);
        let (traces, tokens) = filters.ok_or("the first filter is longer than the file")?;
        Ok(Self {
            traces: TraceBloom::from_filter(filter(traces)?),
            tokens: Some(TokenBloom::from_filter(filter(tokens)?)),
        })
    }
}

/// Of the version too, since there is more than one; the first had no need to.
fn checksum(version: u32, rest: &[u8]) -> u32 {
    match version {
        VERSION_TRACES => crc32c::crc32c(rest),
        _ => crc32c::crc32c_append(crc32c::crc32c(&version.to_le_bytes()), rest),
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_schemas::TraceId;
    use proptest::prelude::*;

    use super::super::tokens::Tokens;
    use super::*;

    fn some(ids: &[TraceId], with_tokens: bool) -> Sidecar {
        let mut tokens = Tokens::default();
        tokens.add_texts("name", ["chat"]);
        let tokens = with_tokens.then(|| tokens.finish().expect("a filter"));
        Sidecar { traces: TraceBloom::of(ids).expect("a filter"), tokens }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(ids in proptest::collection::vec(any::<[u8; 16]>(), 0..500), with_tokens: bool) {
            let ids: Vec<_> = ids.into_iter().map(TraceId::from_bytes).collect();
            let folder = tempfile::tempdir().expect("a folder");
            let data_file = folder.path().join("f.parquet");
            some(&ids, with_tokens).write(&data_file).expect("written");
            let read = Sidecar::load_or_rebuild(&data_file).expect("read");
            for id in &ids {
                prop_assert!(read.traces.may_hold(id));
            }
            prop_assert_eq!(read.tokens.is_some(), with_tokens);
            if let Some(tokens) = read.tokens {
                prop_assert!(tokens.may_hold("name", "", "chat") && !tokens.may_hold("name", "", "embed"));
            }
        }

        #[test]
        fn damage_is_noticed(at in 0usize..200, flip in 1u8.., with_tokens: bool) {
            let folder = tempfile::tempdir().expect("a folder");
            let data_file = folder.path().join("f.parquet");
            some(&[TraceId::from_bytes([7; 16])], with_tokens).write(&data_file).expect("written");
            let mut bytes = fs::read(path(&data_file)).expect("the sidecar");
            let at = at % bytes.len();
            bytes[at] ^= flip;
            prop_assert!(Sidecar::parse(&bytes).is_err());
            prop_assert!(Sidecar::parse(&bytes[..at]).is_err());
        }
    }

    #[test]
    fn a_sidecar_names_its_file() {
        let file = Path::new("/a/day=2026-01-01/x.parquet");
        assert_eq!(path(file), Path::new("/a/day=2026-01-01/_x.bloom"));
        assert_eq!(data_file(&path(file)).as_deref(), Some(file));
    }
}
