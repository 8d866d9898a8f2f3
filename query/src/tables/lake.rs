//! One table at one instant: a plain scan of the files that may matter, and the rows that are in no file yet.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType, col, lit};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExecBuilder;
use datafusion::physical_plan::union::UnionExec;
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{Rules, Tenant};
use plimsoll_store::Snapshot;

use super::asks::Asks;
use super::files::FileScan;
use super::{prune, recent, tail};

/// Files and tail of one table.
#[derive(Debug, Clone)]
pub struct LakeTable {
    /// Held whole: the files that it names are kept for as long as it lives.
    snapshot: Arc<Snapshot>,
    table: Table,
    tenant: Option<Tenant>,
    rules: Arc<Rules>,
    store: ObjectStoreUrl,
}

impl LakeTable {
    pub fn new(
        snapshot: Arc<Snapshot>,
        table: Table,
        tenant: Option<Tenant>,
        rules: Arc<Rules>,
        store: ObjectStoreUrl,
    ) -> Self {
        Self { snapshot, table, tenant, rules, store }
    }

    fn scan_of<'a>(
        &'a self,
        projection: &'a [usize],
        partitions: usize,
        late: bool,
        asks: Asks,
    ) -> FileScan<'a> {
        FileScan { table: self.table, store: &self.store, projection, partitions, late, asks }
    }

    /// Whether a filter asks for single traces, for which reading filter columns first pays off.
    fn is_lookup(filters: &[Expr]) -> bool {
        filters
            .iter()
            .any(|f| f.column_refs().iter().any(|c| c.name() == "trace_id" || c.name() == "span_id"))
    }

    fn plan(
        &self,
        state: &dyn Session,
        projection: &[usize],
        filters: &[Expr],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mine = self.snapshot.table(self.table);
        let predicate = self.predicate(state, filters)?;
        let kept = prune::keep(self.table, &mine.files, predicate.as_ref())?;
        let schema = Arc::new(self.table.sql_schema().project(projection)?);
        let derive = self.table == Table::Spans && recent::wants_derived(&schema, filters);
        let asks = Asks::of(predicate.as_ref(), filters);
        let settled: Vec<_> =
            kept.into_iter().filter(|f| !(derive && f.is_recent()) && asks.may_be_in(f)).collect();
        let mut inputs: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
        if !settled.is_empty() {
            let partitions = state.config().target_partitions();
            inputs.push(self.scan_of(projection, partitions, Self::is_lookup(filters), asks).plan(&settled)?);
        }
        if derive {
            // Its parents and siblings decide what a span's derived columns say, so nothing may prune the recent files
            // but conditions on the trace id alone, which keep whole traces.
            let whole_traces: Vec<Expr> = filters
                .iter()
                .filter(|f| {
                    let columns = f.column_refs();
                    !columns.is_empty() && columns.iter().all(|c| c.name() == "trace_id")
                })
                .cloned()
                .collect();
            let predicate = self.predicate(state, &whole_traces)?;
            let mut files = prune::keep(self.table, &mine.files, predicate.as_ref())?;
            files.retain(|f| f.is_recent());
            let all: Vec<usize> = (0..self.table.sql_schema().fields().len()).collect();
            let read = (!files.is_empty())
                .then(|| self.scan_of(&all, 1, true, Asks::of(predicate.as_ref(), &[])).plan(&files));
            let read = read.transpose()?;
            if read.is_some() || !mine.tail.is_empty() {
                inputs.push(recent::plan(read, &mine.tail, projection, self.rules.clone())?);
            }
        } else if !mine.tail.is_empty() {
            inputs.push(tail::plan(self.table, &mine.tail, projection)?);
        }
        Ok(match inputs.len() {
            0 => Arc::new(EmptyExec::new(schema)),
            1 => inputs.remove(0),
            _ => UnionExec::try_new(inputs)?,
        })
    }

    fn predicate(&self, state: &dyn Session, filters: &[Expr]) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let Some(all) = conjunction(filters.iter().cloned()) else { return Ok(None) };
        let schema = DFSchema::try_from(self.table.sql_schema())?;
        state.create_physical_expr(all, &schema).map(Some)
    }
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        self.table.sql_schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // Files are pruned by them; rows are not.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.table.sql_schema();
        let mut wanted = projection.cloned().unwrap_or_else(|| (0..schema.fields().len()).collect());
        let Some(tenant) = &self.tenant else { return self.plan(state, &wanted, filters) };
        // The tenant's column is read to be compared, and dropped again where nobody asked for it.
        let column = schema.index_of("tenant")?;
        let asked = wanted.len();
        if !wanted.contains(&column) {
            wanted.push(column);
        }
        let input = self.plan(state, &wanted, filters)?;
        let df_schema = DFSchema::try_from(input.schema())?;
        let is_theirs = state.create_physical_expr(col("tenant").eq(lit(tenant.as_str())), &df_schema)?;
        let filter =
            FilterExecBuilder::new(is_theirs, input).apply_projection(Some((0..asked).collect()))?.build()?;
        Ok(Arc::new(filter))
    }
}
