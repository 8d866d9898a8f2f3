//! Spans whose trace was not merged into its slice yet: their stage, slice keys, outcome and queue are computed
//! when a query asks for them.
//!
//! A leaf on purpose: what a span's derived columns say depends on its parents and siblings, so no filter
//! may be pushed below the derivation.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::ExecutionPlanProperties;
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, collect,
};
use futures::{TryStreamExt, stream};
use plimsoll_schemas::Rules;
use plimsoll_schemas::table::{SPAN_DERIVED_COLUMNS, Table};

use super::tail;

/// Whether a scan of `spans` needs columns that only the whole trace can tell.
pub fn wants_derived(projected: &SchemaRef, filters: &[Expr]) -> bool {
    let derived = |name: &str| SPAN_DERIVED_COLUMNS.contains(&name);
    projected.fields().iter().any(|f| derived(f.name()))
        || filters.iter().any(|f| f.column_refs().iter().any(|c| derived(c.name())))
}

/// `files` reads every column of the recent files; `tail` has the file schema of `spans`.
pub fn plan(
    files: Option<Arc<dyn ExecutionPlan>>,
    tail: &[RecordBatch],
    projection: &[usize],
    rules: Arc<Rules>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = Arc::new(Table::Spans.sql_schema().project(projection)?);
    let properties = Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema.clone()),
        Partitioning::UnknownPartitioning(1),
        EmissionType::Final,
        Boundedness::Bounded,
    ));
    Ok(Arc::new(RecentExec { files, tail: tail.to_vec(), schema, rules, properties }))
}

#[derive(Debug)]
struct RecentExec {
    files: Option<Arc<dyn ExecutionPlan>>,
    tail: Vec<RecordBatch>,
    schema: SchemaRef,
    rules: Arc<Rules>,
    properties: Arc<PlanProperties>,
}

impl DisplayAs for RecentExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tail_rows: usize = self.tail.iter().map(RecordBatch::num_rows).sum();
        write!(f, "RecentExec: derived columns of recent spans, files={}, tail_rows={tail_rows}", {
            self.files.as_ref().map_or(0, |f| f.output_partitioning().partition_count())
        })
    }
}

impl ExecutionPlan for RecentExec {
    fn name(&self) -> &'static str {
        "RecentExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, _partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (files, tail) = (self.files.clone(), self.tail.clone());
        let (schema, rules) = (self.schema.clone(), self.rules.clone());
        let answer = schema.clone();
        let work = async move {
            let read = match files {
                Some(plan) => collect(plan, context).await?,
                None => Vec::new(),
            };
            let file_schema = Table::Spans.file_schema();
            let columns: Vec<usize> = (0..file_schema.fields().len()).collect();
            let mut batches = Vec::with_capacity(read.len() + tail.len());
            for batch in read.iter().filter(|b| b.num_rows() > 0) {
                batches.push(batch.project(&columns)?);
            }
            batches.extend(tail);
            let derived = plimsoll_store::derive_recent(&batches, &rules)
                .map_err(|e| exec_datafusion_err!("derived columns of recent spans: {e}"))?;
            let projected = derived.iter().map(|b| tail::projected(Table::Spans, b, &answer));
            Ok::<_, datafusion::error::DataFusionError>(stream::iter(projected.collect::<Vec<_>>()))
        };
        let stream = stream::once(work).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }
}
