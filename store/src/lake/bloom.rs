//! Which trace ids a file may hold: a split-block bloom filter, kept in memory and beside its file.
//!
//! The sidecar is `_<name of the file>.bloom`; the underscore hides it from other writers' vacuum. Its bytes:
//! `"PLSBLOOM" | version u32 | crc32c u32 of the rest | Parquet bloom filter (header and bitset)`, little-endian.
//! It can always be built again from its file.

use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::bloom_filter::Sbbf;
use plimsoll_schemas::TraceId;

use super::durable;
use crate::error::StoreError;

const MAGIC: &[u8; 8] = b"PLSBLOOM";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 16;
/// Settling asks every file for every trace, so even a rare false yes would cost a read each time: about four bytes a trace.
const FALSE_POSITIVES: f64 = 1e-5;

/// Split-block bloom filter over the trace ids of one file.
pub struct TraceBloom(Sbbf);

impl std::fmt::Debug for TraceBloom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TraceBloom").field("bytes", &self.memory_bytes()).finish()
    }
}

impl TraceBloom {
    /// Of these ids; repetitions cost space only.
    pub fn of(ids: &[TraceId]) -> Result<Self, StoreError> {
        let mut filter = Sbbf::new_with_ndv_fpp(ids.len().max(1) as u64, FALSE_POSITIVES)
            .map_err(StoreError::parquet("bloom filter over trace ids"))?;
        for id in ids {
            filter.insert(&id.bytes()[..]);
        }
        Ok(Self(filter))
    }

    /// False only if none of the file's rows is of that trace.
    pub fn may_hold(&self, trace_id: &TraceId) -> bool {
        self.0.check(&trace_id.bytes()[..])
    }

    pub fn memory_bytes(&self) -> usize {
        self.0.num_blocks() * 32
    }

    /// The sidecar of a data file.
    pub fn sidecar(data_file: &Path) -> PathBuf {
        let name = data_file.file_stem().unwrap_or_default().to_string_lossy();
        data_file.with_file_name(format!("_{name}.bloom"))
    }

    /// The data file of a sidecar; `None` if it is none.
    pub(super) fn data_file(sidecar: &Path) -> Option<PathBuf> {
        let name = sidecar.file_name()?.to_str()?.strip_prefix('_')?.strip_suffix(".bloom")?;
        Some(sidecar.with_file_name(format!("{name}.parquet")))
    }

    /// Writes the sidecar and its contents durably; the folder is left to the caller.
    pub(super) fn write(&self, data_file: &Path) -> Result<(), StoreError> {
        let path = Self::sidecar(data_file);
        let mut filter = Vec::with_capacity(self.memory_bytes() + 64);
        self.0.write(&mut filter).map_err(StoreError::parquet(path.display().to_string()))?;
        let mut bytes = Vec::with_capacity(HEADER_BYTES + filter.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&filter).to_le_bytes());
        bytes.extend_from_slice(&filter);
        durable::replace(&path, &bytes)
    }

    /// From the sidecar; where it is missing or damaged, from the file itself, and then the sidecar is written again.
    pub(super) fn load_or_rebuild(data_file: &Path) -> Result<Self, StoreError> {
        let path = Self::sidecar(data_file);
        let problem = match fs::read(&path) {
            Ok(bytes) => match Self::parse(&bytes) {
                Ok(bloom) => return Ok(bloom),
                Err(problem) => problem,
            },
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => "missing".to_string(),
            Err(e) => return Err(StoreError::io(path)(e)),
        };
        tracing::warn!(sidecar = %path.display(), problem, "rebuilding a bloom sidecar from its data file");
        let bloom = Self::of(&trace_ids(data_file)?)?;
        bloom.write(data_file)?;
        Ok(bloom)
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let word = |at: usize| bytes[at..at + 4].try_into().map(u32::from_le_bytes).unwrap_or_default();
        if bytes.len() < HEADER_BYTES || &bytes[..8] != MAGIC {
            return Err("not a bloom sidecar".into());
        }
        if word(8) != VERSION {
            return Err(format!("unknown version {}", word(8)));
        }
        let filter = &bytes[HEADER_BYTES..];
        if crc32c::crc32c(filter) != word(12) {
            return Err("wrong checksum".into());
        }
        let filter = Sbbf::from_bytes(filter).map_err(|e| e.to_string())?;
        if filter.num_blocks() == 0 { Err("empty".into()) } else { Ok(Self(filter)) }
    }
}

/// Adds the ids of a `trace_id` column, without repeating the last one. What is no id is left out: no lookup by
/// id can ask for it.
pub(super) fn collect_ids(column: &dyn Array, ids: &mut Vec<TraceId>) {
    let mut last = None;
    for text in column.as_string::<i32>().iter().flatten() {
        if last == Some(text) {
            continue;
        }
        last = Some(text);
        if let Ok(id) = text.parse()
            && ids.last() != Some(&id)
        {
            ids.push(id);
        }
    }
}

/// Every trace id of a file.
fn trace_ids(data_file: &Path) -> Result<Vec<TraceId>, StoreError> {
    let context = || data_file.display().to_string();
    let file = fs::File::open(data_file).map_err(StoreError::io(data_file))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(StoreError::parquet(context()))?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), ["trace_id"]);
    let reader = builder.with_projection(mask).build().map_err(StoreError::parquet(context()))?;
    let mut ids = Vec::new();
    for batch in reader {
        let batch = batch.map_err(StoreError::arrow(context()))?;
        let column = batch.column_by_name("trace_id").ok_or_else(|| StoreError::BadFormat {
            path: data_file.into(),
            problem: "has no column trace_id".into(),
        })?;
        let column = cast(column, &DataType::Utf8).map_err(StoreError::arrow(context()))?;
        collect_ids(&column, &mut ids);
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_false_negatives(ids in proptest::collection::vec(any::<[u8; 16]>(), 0..500)) {
            let ids: Vec<_> = ids.into_iter().map(TraceId::from_bytes).collect();
            let folder = tempfile::tempdir().expect("a folder");
            let data_file = folder.path().join("f.parquet");
            let bloom = TraceBloom::of(&ids).expect("a filter");
            bloom.write(&data_file).expect("written");
            let read = TraceBloom::load_or_rebuild(&data_file).expect("read");
            for id in &ids {
                prop_assert!(bloom.may_hold(id) && read.may_hold(id));
            }
        }

        #[test]
        fn damage_is_noticed(at in 0usize..100, flip in 1u8..) {
            let folder = tempfile::tempdir().expect("a folder");
            let data_file = folder.path().join("f.parquet");
            TraceBloom::of(&[TraceId::from_bytes([7; 16])]).expect("a filter").write(&data_file).expect("written");
            let mut bytes = fs::read(TraceBloom::sidecar(&data_file)).expect("the sidecar");
            let at = at % bytes.len();
            bytes[at] ^= flip;
            prop_assert!(TraceBloom::parse(&bytes).is_err());
            prop_assert!(TraceBloom::parse(&bytes[..at]).is_err());
        }
    }

    #[test]
    fn false_positives_are_rare() {
        let id = |n: u64| TraceId::from_bytes(std::array::from_fn(|i| (n >> (i % 8 * 8)) as u8));
        let bloom = TraceBloom::of(&(0..10_000).map(id).collect::<Vec<_>>()).expect("a filter");
        let wrong = (10_000..110_000).filter(|n| bloom.may_hold(&id(*n))).count();
        assert!(wrong < 2_000, "{wrong} of 100000");
    }

    #[test]
    fn a_sidecar_names_its_file() {
        let file = Path::new("/a/day=2026-01-01/x.parquet");
        assert_eq!(TraceBloom::sidecar(file), Path::new("/a/day=2026-01-01/_x.bloom"));
    }
}
