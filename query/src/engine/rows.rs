//! The answer of a running query, batch by batch. Dropping it cancels the query.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::QueryError;

/// What a query sends to whoever asked.
#[derive(Debug)]
pub enum Part {
    Schema(SchemaRef),
    Batch(RecordBatch),
    End { truncated: bool },
    Failed(QueryError),
}

/// A running query whose first batch, or end, is known: mistakes in the statement show before the answer begins.
#[derive(Debug)]
pub struct Rows {
    schema: SchemaRef,
    receiver: mpsc::Receiver<Part>,
    first: Option<Part>,
    truncated: bool,
    _task: AbortOnDrop,
}

#[derive(Debug)]
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An answer in memory.
#[derive(Debug, Clone)]
pub struct Collected {
    pub schema: SchemaRef,
    pub batches: Vec<RecordBatch>,
    /// Whether there were more rows than asked for.
    pub truncated: bool,
}

impl Collected {
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// As one batch.
    pub fn whole(&self) -> Result<RecordBatch, QueryError> {
        let whole = arrow::compute::concat_batches(&self.schema, &self.batches);
        whole.map_err(|e| datafusion::error::DataFusionError::from(e).into())
    }
}

impl Rows {
    pub(super) async fn open(
        mut receiver: mpsc::Receiver<Part>,
        task: JoinHandle<()>,
    ) -> Result<Self, QueryError> {
        let task = AbortOnDrop(task);
        let schema = match receiver.recv().await {
            Some(Part::Schema(schema)) => schema,
            Some(Part::Failed(error)) => return Err(error),
            _ => return Err(stopped()),
        };
        let first = receiver.recv().await.ok_or_else(stopped)?;
        if let Part::Failed(error) = first {
            return Err(error);
        }
        Ok(Self { schema, receiver, first: Some(first), truncated: false, _task: task })
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether the limit cut rows off; known after the last batch.
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    /// The next batch; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        let part = match self.first.take() {
            Some(part) => part,
            None => self.receiver.recv().await.ok_or_else(stopped)?,
        };
        match part {
            Part::Batch(batch) => Ok(Some(batch)),
            Part::Failed(error) => Err(error),
            Part::Schema(_) => Err(stopped()),
            Part::End { truncated } => {
                self.truncated = truncated;
                // Asked again, it says so again.
                self.first = Some(Part::End { truncated });
                Ok(None)
            }
        }
    }

    pub async fn collect(mut self) -> Result<Collected, QueryError> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await? {
            batches.push(batch);
        }
        Ok(Collected { schema: self.schema.clone(), batches, truncated: self.truncated })
    }
}

fn stopped() -> QueryError {
    QueryError::Internal("the query stopped unexpectedly; the log says why".into())
}
