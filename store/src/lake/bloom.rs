//! Which trace ids a file may hold: a split-block bloom filter, kept in memory and in the sidecar of its file (see [`super::sidecar`]).

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use futures::StreamExt;
use parquet::arrow::ProjectionMask;
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use parquet::bloom_filter::Sbbf;
use plimsoll_schemas::TraceId;

use super::object::Object;
use crate::error::StoreError;

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

    pub(super) fn from_filter(filter: Sbbf) -> Self {
        Self(filter)
    }

    pub(super) fn filter(&self) -> &Sbbf {
        &self.0
    }

    /// Of what a data file holds.
    pub(super) async fn of_file(data_file: Object) -> Result<Self, StoreError> {
        Self::of(&trace_ids(data_file).await?)
    }
}

/// Adds the ids of a `trace_id` column, without repeating the last one. What is no id is left out: no lookup by
/// id can ask for it.
pub(super) fn collect_ids<'a>(texts: impl IntoIterator<Item = &'a str>, ids: &mut Vec<TraceId>) {
    let mut last = None;
    for text in texts {
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
async fn trace_ids(mut data_file: Object) -> Result<Vec<TraceId>, StoreError> {
    let context = data_file.context();
    let footer = data_file.footer().await.map_err(StoreError::parquet(context.as_str()))?.arrow;
    let mask = ProjectionMask::columns(footer.parquet_schema(), ["trace_id"]);
    let stream = ParquetRecordBatchStreamBuilder::new_with_metadata(data_file, footer).with_projection(mask);
    let mut stream = stream.build().map_err(StoreError::parquet(context.as_str()))?;
    let mut ids = Vec::new();
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(StoreError::parquet(context.as_str()))?;
        let column = batch.column_by_name("trace_id").ok_or_else(|| StoreError::BadFormat {
            path: context.as_str().into(),
            problem: "has no column trace_id".into(),
        })?;
        let column = cast(column, &DataType::Utf8).map_err(StoreError::arrow(context.as_str()))?;
        collect_ids(column.as_string::<i32>().iter().flatten(), &mut ids);
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn false_positives_are_rare() {
        let id = |n: u64| TraceId::from_bytes(std::array::from_fn(|i| (n >> (i % 8 * 8)) as u8));
        let bloom = TraceBloom::of(&(0..10_000).map(id).collect::<Vec<_>>()).expect("a filter");
        let wrong = (10_000..110_000).filter(|n| bloom.may_hold(&id(*n))).count();
        assert!(wrong < 2_000, "{wrong} of 100000");
    }
}
