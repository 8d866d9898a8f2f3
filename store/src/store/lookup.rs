//! One trace by its id: from the tail, and from the files whose bloom filters say that they may hold it.

use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::record_batch::RecordBatch;
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{SpanId, Tenant, TraceId};
use rustc_hash::FxHashSet;

use super::Inner;
use crate::blocking::blocking;
use crate::error::StoreError;
use crate::lake::read_traces;
use crate::nulls::filter;
use crate::rows::SpanRows;

impl Inner {
    pub(super) async fn trace(
        self: &Arc<Self>,
        tenant: Option<Tenant>,
        trace_id: TraceId,
    ) -> Result<Vec<RecordBatch>, StoreError> {
        let (chunks, files) = {
            let state = self.state.lock();
            let spans = &state.tables[Table::Spans as usize];
            let chunks = state.tail.chunks(Table::Spans).to_vec();
            (chunks, spans.files.clone())
        };
        let inner = self.clone();
        blocking(move || {
            let mut found = Vec::new();
            for chunk in chunks {
                if tenant.as_ref().is_some_and(|t| *t != chunk.tenant) || !chunk.keys.contains(&trace_id) {
                    continue;
                }
                let mask: BooleanArray = chunk.keys.iter().map(|id| Some(*id == trace_id)).collect();
                found.push(filter(&chunk.batch, &mask).map_err(StoreError::arrow("trace in tail"))?);
            }
            for file in files.that_may_hold(&[trace_id]) {
                if file.held([&trace_id].into_iter())?.is_empty() {
                    continue;
                }
                found.extend(read_traces(file, &[trace_id], tenant.as_ref())?);
            }
            inner.once_each(found)
        })
        .await
    }

    /// Drops spans that were sent twice.
    fn once_each(&self, batches: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, StoreError> {
        let mut seen: FxHashSet<(String, SpanId)> = FxHashSet::default();
        let mut kept = Vec::with_capacity(batches.len());
        for batch in batches {
            let rows = SpanRows::new(&batch, &self.options.rules)?;
            let mask: Vec<bool> = (0..rows.len())
                .map(|row| rows.span_id(row).is_some_and(|id| seen.insert((rows.tenant(row).to_owned(), id))))
                .collect();
            if mask.iter().all(|keep| *keep) {
                kept.push(batch);
            } else if mask.contains(&true) {
                let mask = BooleanArray::from(mask);
                kept.push(filter(&batch, &mask).map_err(StoreError::arrow("duplicate spans"))?);
            }
        }
        Ok(kept)
    }
}
