//! The scan itself: each partition reads one file after the other, as the queue hands them out. How a file is read, and what is
//! pushed down to where it is read, is Parquet's and DataFusion's own: a configuration of theirs without files stands for all of it.

use std::any::Any;
use std::fmt::{self, Formatter};
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::{DataSource, OpenArgs};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::DisplayFormatType;
use datafusion::physical_plan::execution_plan::SchedulingType;
use datafusion::physical_plan::filter_pushdown::FilterPushdownPropagation;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder};
use datafusion::physical_plan::sort_pushdown::SortOrderPushdownResult;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt, future, stream};

use super::described::{Described, is_time};
use super::queue::{self, Part, Queue};
use crate::tables::asks::Asks;

/// More files than these are not named in a plan.
const FILES_SHOWN: usize = 6;

#[derive(Debug, Clone)]
pub struct FileSource {
    /// All but the files.
    config: FileScanConfig,
    described: Described,
    asks: Asks,
    parts: Arc<Vec<Part>>,
}

impl FileSource {
    pub fn new(config: FileScanConfig, described: Described, asks: Asks, parts: Arc<Vec<Part>>) -> Self {
        Self { config, described, asks, parts }
    }

    fn of(&self, parts: &[Part]) -> Result<FileScanConfig> {
        let files = parts.iter().map(|part| self.described.file(part)).collect::<Result<Vec<_>>>()?;
        Ok(FileScanConfigBuilder::from(self.config.clone())
            .with_file_groups(vec![FileGroup::new(files)])
            .build())
    }

    /// The same with what DataFusion made of its configuration.
    fn with(&self, config: &Arc<dyn DataSource>) -> Result<Arc<dyn DataSource>> {
        let Some(config) = config.downcast_ref::<FileScanConfig>() else {
            return internal_err!("a scan of files became something else: {config:?}");
        };
        Ok(Arc::new(Self { config: config.clone(), ..self.clone() }))
    }

    /// Whether an order begins with time, and then with the newest.
    fn newest_first(&self, order: &[PhysicalSortExpr]) -> Result<Option<bool>> {
        let Some(first) = order.first() else { return Ok(None) };
        let expr = match self.config.file_source().projection() {
            Some(projection) => projection.unproject_expr(&first.expr)?,
            None => first.expr.clone(),
        };
        let is_time = expr
            .downcast_ref::<Column>()
            .is_some_and(|column| column.name() == "day" || is_time(self.described.table(), column.name()));
        Ok(is_time.then_some(first.options.descending))
    }
}

impl DataSource for FileSource {
    fn open(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        internal_err!(
            "partition {partition} of a scan of files, without the queue that it shares with the others"
        )
    }

    fn create_sibling_state(&self, _: &ConfigOptions) -> Option<Arc<dyn Any + Send + Sync>> {
        let source = self.config.file_source();
        let schema = source.table_schema().table_schema().clone();
        let queue = Queue::new(self.described.table(), self.parts.clone(), source.filter().as_ref(), schema);
        Some(Arc::new(queue))
    }

    fn open_with_args(&self, args: OpenArgs) -> Result<SendableRecordBatchStream> {
        let OpenArgs { partition, context, sibling_state } = args;
        let Some(queue) = sibling_state.and_then(|state| state.downcast::<Queue>().ok()) else {
            return self.open(partition, context);
        };
        let passed_over = MetricBuilder::new(&self.metrics()).counter("files_passed_over", partition);
        let passed = passed_over.clone();
        let (source, limit) = (self.clone(), self.config.limit);
        let next = move || {
            let part = queue.next().map(|(part, passed)| {
                passed_over.add(passed);
                part
            });
            part.transpose()
        };
        let open = move |part: Result<Part>| {
            let (source, context, passed_over) = (source.clone(), context.clone(), passed.clone());
            async move {
                let part = part?;
                if !source.asks.are_in(&part.file).await? {
                    passed_over.add(1);
                    return Ok(None);
                }
                source.of(&[part])?.open(0, context).map(Some)
            }
        };
        let files = stream::iter(std::iter::from_fn(next)).then(open);
        let rows = files.try_filter_map(future::ok).try_flatten();
        let rows = match limit {
            Some(limit) => first(rows, limit).boxed(),
            None => rows.boxed(),
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.config.projected_schema()?, rows)))
    }

    fn fmt_as(&self, t: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        let shown = match t {
            DisplayFormatType::Verbose => self.parts.len(),
            _ => self.parts.len().min(FILES_SHOWN),
        };
        self.of(&self.parts[..shown]).map_err(|_| fmt::Error)?.fmt_as(t, f)?;
        if shown < self.parts.len() {
            write!(f, ", files={}", self.parts.len())?;
        }
        Ok(())
    }

    fn output_partitioning(&self) -> Partitioning {
        self.config.output_partitioning()
    }

    fn eq_properties(&self) -> EquivalenceProperties {
        self.config.eq_properties()
    }

    fn scheduling_type(&self) -> SchedulingType {
        self.config.scheduling_type()
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        self.config.partition_statistics(partition)
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn DataSource>> {
        self.with(&self.config.with_fetch(limit)?).ok()
    }

    fn fetch(&self) -> Option<usize> {
        self.config.fetch()
    }

    fn metrics(&self) -> ExecutionPlanMetricsSet {
        self.config.metrics()
    }

    fn try_swapping_with_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> Result<Option<Arc<dyn DataSource>>> {
        let swapped = self.config.try_swapping_with_projection(projection)?;
        swapped.map(|config| self.with(&config)).transpose()
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        options: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn DataSource>>> {
        let pushed = self.config.try_pushdown_filters(filters, options)?;
        let updated_node = pushed.updated_node.map(|config| self.with(&config)).transpose()?;
        Ok(FilterPushdownPropagation { filters: pushed.filters, updated_node })
    }

    /// Files overlap in time, so their order only helps.
    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
    ) -> Result<SortOrderPushdownResult<Arc<dyn DataSource>>> {
        let pushed = self.config.file_source().try_pushdown_sort(order, &self.eq_properties())?;
        let SortOrderPushdownResult::Inexact { inner } = pushed else {
            return Ok(SortOrderPushdownResult::Unsupported);
        };
        let mut sorted = self.clone();
        sorted.config = FileScanConfigBuilder::from(self.config.clone()).with_source(inner).build();
        if let Some(newest_first) = self.newest_first(order)? {
            queue::sort(&mut sorted.parts, newest_first);
        }
        Ok(SortOrderPushdownResult::Inexact { inner: Arc::new(sorted) })
    }

    fn with_preserve_order(&self, preserve_order: bool) -> Option<Arc<dyn DataSource>> {
        self.with(&self.config.with_preserve_order(preserve_order)?).ok()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.config.apply_expressions(f)
    }
}

/// The first rows, and then the end: nothing more is opened.
fn first(
    rows: impl stream::Stream<Item = Result<RecordBatch>> + Send + 'static,
    limit: usize,
) -> impl stream::Stream<Item = Result<RecordBatch>> + Send {
    rows.scan(limit, |left, batch| {
        if *left == 0 {
            return future::ready(None);
        }
        let batch = batch.map(|batch| batch.slice(0, batch.num_rows().min(*left)));
        *left -= batch.as_ref().map_or(0, RecordBatch::num_rows);
        future::ready(Some(batch))
    })
}
