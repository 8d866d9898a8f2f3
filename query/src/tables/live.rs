//! `live_edges`: calls and attempts of traces that did not settle yet, as far as their spans have come. Provisional: when a
//! trace settles, its rows of `edges` take their place, so that both together count every attempt once.
//!
//! The analysis runs when a query asks, over what is unsettled alone; planning reads nothing.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::datasource::empty::EmptyTable;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, TableType};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
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

use super::catalog::Lake;
use super::tail;

pub const EDGES: &str = "live_edges";

/// `raw` knows the raw tables alone.
pub async fn edges(raw: &SessionState, lake: &Lake) -> Result<Arc<dyn TableProvider>> {
    let schema = Table::Edges.sql_schema();
    let Some(floor) = lake.unsettled_from else { return Ok(Arc::new(EmptyTable::new(schema))) };
    let file_schema = Table::Spans.file_schema();
    let columns = file_schema.fields().iter().map(|f| f.name().as_str());
    let columns: Vec<&str> = columns.filter(|c| !SPAN_DERIVED_COLUMNS.contains(c)).collect();
    let sql = format!(
        "SELECT {} FROM spans s
WHERE wal_seq >= {floor} AND NOT EXISTS (SELECT 1 FROM traces t WHERE t.tenant = s.tenant AND t.trace_id = s.trace_id)",
        columns.join(", ")
    );
    let plan = raw.create_logical_plan(&sql).await?;
    Ok(Arc::new(LiveEdges { raw: raw.clone(), plan, rules: lake.rules.clone(), schema }))
}

struct LiveEdges {
    raw: SessionState,
    /// The spans of unsettled traces.
    plan: LogicalPlan,
    rules: Arc<Rules>,
    schema: SchemaRef,
}

impl fmt::Debug for LiveEdges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveEdges").finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for LiveEdges {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let spans = self.raw.create_physical_plan(&self.plan).await?;
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let schema = Arc::new(self.schema.project(projection.unwrap_or(&all))?);
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(schema.clone()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        ));
        Ok(Arc::new(LiveEdgesExec { spans, schema, rules: self.rules.clone(), properties }))
    }
}

/// A leaf, so that no filter is pushed below the analysis: an attempt is told by its siblings.
#[derive(Debug)]
struct LiveEdgesExec {
    spans: Arc<dyn ExecutionPlan>,
    schema: SchemaRef,
    rules: Arc<Rules>,
    properties: Arc<PlanProperties>,
}

impl DisplayAs for LiveEdgesExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LiveEdgesExec: edges of traces that did not settle")
    }
}

impl ExecutionPlan for LiveEdgesExec {
    fn name(&self) -> &'static str {
        "LiveEdgesExec"
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
        let (spans, rules, answer) = (self.spans.clone(), self.rules.clone(), self.schema.clone());
        let work = async move {
            let mut read = collect(spans, context).await?;
            read.retain(|batch| batch.num_rows() > 0);
            let edges = plimsoll_store::edges_so_far(&read, &rules)
                .map_err(|e| exec_datafusion_err!("edges of traces that did not settle: {e}"))?;
            let projected = edges.iter().map(|b| tail::projected(Table::Edges, b, &answer));
            Ok::<_, datafusion::error::DataFusionError>(stream::iter(projected.collect::<Vec<_>>()))
        };
        let stream = stream::once(work).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), stream)))
    }
}
