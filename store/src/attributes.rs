//! What attributes cost: of each key, in the newest spans, how many rows have it, how many bytes its values take, and what a column of
//! its own would save.
//!
//! A sample, so that a lake of any size is answered alike: the newest [`ROWS_MAX`] rows of `spans`, of files the first ones,
//! which are of traces picked by chance, since files lie by trace id. Blocking: call it where that is allowed.

mod promoted;
mod remainder;

use arrow::record_batch::RecordBatch;
use plimsoll_schemas::Attr;
use plimsoll_schemas::table::Table;
use rustc_hash::FxHashSet;

use crate::error::StoreError;
use crate::keyword::own_bytes;
use crate::lake::read_file;
use crate::snapshot::TableSnapshot;
use promoted::promoted;
use remainder::Remainder;

const ROWS_MAX: usize = 50_000;
/// Of what is read, in memory.
const BYTES_MAX: usize = 128 << 20;
/// More distinct values are not counted.
const DISTINCT_MAX: usize = 10_000;

/// The maps of attributes without a column, their types, and whose attributes they are.
const MAPS: [(&str, &str, &str); 3] = [
    ("attributes", "attribute_types", "span"),
    ("resource_attributes", "resource_attribute_types", "resource"),
    ("scope_attributes", "scope_attribute_types", "scope"),
];

/// What is known of the attributes of the newest spans.
#[derive(Debug, Clone, PartialEq)]
pub struct AttributeSample {
    /// Rows that were looked at; all counts are of them.
    pub rows: u64,
    pub uses: Vec<AttributeUse>,
}

/// One attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeUse {
    /// `span`, `resource` or `scope`.
    pub scope: &'static str,
    pub key: String,
    /// Its values' types, with commas.
    pub types: String,
    /// The column of `spans` that it has for itself.
    pub column: Option<&'static str>,
    /// Rows that have it.
    pub rows: u64,
    /// Bytes of its values as text, or as the numbers that they are, before any compression.
    pub value_bytes: u64,
    /// `None` where there are more than ten thousand.
    pub distinct: Option<u64>,
    /// Compressed bytes of the sample, less in the map than there would be more in a column; negative where it would cost.
    /// `None` where it has a column already.
    pub promotion_saves_bytes: Option<i64>,
}

/// Looks at the newest spans of a snapshot.
pub fn attributes(spans: &TableSnapshot) -> Result<AttributeSample, StoreError> {
    let batches = newest(spans)?;
    let rows = batches.iter().map(RecordBatch::num_rows).sum::<usize>();
    let mut uses = Vec::new();
    for attr in Attr::ALL {
        uses.extend(promoted(*attr, &batches)?);
    }
    for (map, types, scope) in MAPS {
        uses.extend(Remainder::of(map, types, &batches).uses(scope, rows)?);
    }
    uses.sort_by(|a, b| {
        b.value_bytes.cmp(&a.value_bytes).then_with(|| (a.scope, &a.key).cmp(&(b.scope, &b.key)))
    });
    Ok(AttributeSample { rows: rows as u64, uses })
}

/// The newest rows: those in memory, then files by the sequence of the log.
fn newest(spans: &TableSnapshot) -> Result<Vec<RecordBatch>, StoreError> {
    let (mut batches, mut rows, mut bytes) = (Vec::new(), 0, 0);
    let mut take = |batch: &RecordBatch| {
        let batch = batch.slice(0, batch.num_rows().min(ROWS_MAX - rows));
        rows += batch.num_rows();
        bytes += batch.columns().iter().map(own_bytes).sum::<usize>();
        batches.push(batch);
        rows < ROWS_MAX && bytes < BYTES_MAX
    };
    let mut wants_more = spans.tail.iter().rev().all(&mut take);
    let mut files: Vec<_> = spans.files.iter().collect();
    files.sort_by_key(|file| std::cmp::Reverse(file.wal_seq_max));
    for file in files {
        if !wants_more {
            break;
        }
        for batch in read_file(Table::Spans, file)? {
            wants_more = take(&batch?);
            if !wants_more {
                break;
            }
        }
    }
    Ok(batches)
}

/// Distinct texts, as far as they are counted.
#[derive(Debug, Default)]
struct Distinct(FxHashSet<u64>);

impl Distinct {
    fn add(&mut self, text: &str) {
        if self.0.len() <= DISTINCT_MAX {
            self.0.insert(xxhash_rust::xxh3::xxh3_64(text.as_bytes()));
        }
    }

    fn count(&self) -> Option<u64> {
        (self.0.len() <= DISTINCT_MAX).then_some(self.0.len() as u64)
    }
}
