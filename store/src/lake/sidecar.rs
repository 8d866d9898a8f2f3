//! The small file beside a data file of `spans`: its bloom filters, over trace ids ([`TraceBloom`]) and over attributes ([`TokenBloom`]).
//!
//! It is `_<name of the file>.bloom`; the underscore hides it from other writers' vacuum. Its bytes, little-endian:
//! `"PLSBLOOM" | version u32 | crc32c u32 of the rest | bytes u32 of the first filter | first filter | second filter`, each a Parquet
//! bloom filter, header and bitset. Version 1 has the first filter alone, and no length. The filter over trace ids can always be
//! built again from its file; without the other one any attribute may be there.

use std::sync::Arc;

use parquet::bloom_filter::Sbbf;

use super::bloom::TraceBloom;
use super::object::Object;
use super::tokens::TokenBloom;
use crate::error::StoreError;
use crate::home::Home;

const MAGIC: &[u8; 8] = b"PLSBLOOM";
const VERSION: u32 = 2;
/// Of trace ids alone.
const VERSION_TRACES: u32 = 1;
const HEADER_BYTES: usize = 16;

/// What it holds.
#[derive(Debug)]
pub struct Sidecar {
    /// Shared with lists of files, see [`crate::FileList`].
    pub traces: Arc<TraceBloom>,
    /// `None` where nothing is known.
    pub tokens: Option<TokenBloom>,
}

/// How it is called, of a data file.
pub fn name(data_file: &str) -> String {
    let (folder, name) = data_file.rsplit_once('/').unwrap_or(("", data_file));
    let stem = name.strip_suffix(".parquet").unwrap_or(name);
    if folder.is_empty() { format!("_{stem}.bloom") } else { format!("{folder}/_{stem}.bloom") }
}

/// The data file of a sidecar; `None` if it is none.
pub fn data_file(sidecar: &str) -> Option<String> {
    let (folder, name) = sidecar.rsplit_once('/').unwrap_or(("", sidecar));
    let stem = name.strip_prefix('_')?.strip_suffix(".bloom")?;
    Some(if folder.is_empty() { format!("{stem}.parquet") } else { format!("{folder}/{stem}.parquet") })
}

impl Sidecar {
    pub fn memory_bytes(&self) -> usize {
        self.traces.memory_bytes() + self.tokens.as_ref().map_or(0, TokenBloom::memory_bytes)
    }

    /// False only if no row has that value in a column of text, or under the `key` of a map.
    pub fn may_hold_value(&self, column: &str, key: &str, value: &str) -> bool {
        self.tokens.as_ref().is_none_or(|tokens| tokens.may_hold(column, key, value))
    }

    /// Writes it beside a data file of the home.
    pub async fn write(&self, home: &Home, data_file: &str) -> Result<(), StoreError> {
        let name = name(data_file);
        home.put(&name, self.encode(&name)?.into()).await
    }

    fn encode(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        let filter =
            |filter: &Sbbf, bytes: &mut Vec<u8>| filter.write(bytes).map_err(StoreError::parquet(name));
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
        Ok(bytes)
    }

    /// What is there; where it is missing or damaged, the filter over trace ids from the file itself, and then it is written again.
    pub async fn load_or_rebuild(data_file: &Object) -> Result<Self, StoreError> {
        let home = data_file.home();
        let name = name(data_file.name());
        let problem = match home.get(&name).await? {
            Some(bytes) => match Self::parse(&bytes) {
                Ok(sidecar) => return Ok(sidecar),
                Err(problem) => problem,
            },
            None => "missing".to_string(),
        };
        tracing::warn!(
            sidecar = %home.name(&name).display(),
            problem,
            "rebuilding a bloom sidecar from its data file; searches by attribute read that file until it is merged"
        );
        let sidecar = Self { traces: TraceBloom::of_file(data_file.clone()).await?.into(), tokens: None };
        // Who only reads may not be allowed to.
        if let Err(error) = sidecar.write(home, data_file.name()).await {
            tracing::warn!(%error, "the sidecar is not kept, and will be built again at the next start");
        }
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
            return Ok(Self { traces: TraceBloom::from_filter(filter(rest)?).into(), tokens: None });
        }
        let length = word(HEADER_BYTES).ok_or("too short")? as usize;
        let filters = rest[4..].split_at_checked(length);
        let (traces, tokens) = filters.ok_or("the first filter is longer than the file")?;
        Ok(Self {
            traces: TraceBloom::from_filter(filter(traces)?).into(),
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
        Sidecar { traces: TraceBloom::of(ids).expect("a filter").into(), tokens }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(ids in proptest::collection::vec(any::<[u8; 16]>(), 0..500), with_tokens: bool) {
            let ids: Vec<_> = ids.into_iter().map(TraceId::from_bytes).collect();
            let bytes = some(&ids, with_tokens).encode("f").expect("written");
            let read = Sidecar::parse(&bytes).expect("read");
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
            let mut bytes = some(&[TraceId::from_bytes([7; 16])], with_tokens).encode("f").expect("written");
            let at = at % bytes.len();
            bytes[at] ^= flip;
            prop_assert!(Sidecar::parse(&bytes).is_err());
            prop_assert!(Sidecar::parse(&bytes[..at]).is_err());
        }
    }

    #[test]
    fn a_sidecar_names_its_file() {
        for (file, sidecar) in
            [("a/day=2026-01-01/x.parquet", "a/day=2026-01-01/_x.bloom"), ("x.parquet", "_x.bloom")]
        {
            assert_eq!(name(file), sidecar);
            assert_eq!(data_file(sidecar).as_deref(), Some(file));
        }
    }
}
