//! Plans and runs queries on a runtime of their own, so that they cannot starve ingest, within bounds on
//! memory, time, rows and number.

mod objects;
mod rows;

use std::sync::Arc;

use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::SessionState;
use datafusion::execution::context::{SQLOptions, SessionContext};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement;
use futures::TryStreamExt;
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{Rules, Tenant};
use plimsoll_store::jobs::Jobs;
use plimsoll_store::{Home, Snapshot};
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

use rows::Part;
pub use rows::{Collected, Rows};

use crate::analyses::table_functions::{self, Call, Replacement};
use crate::error::QueryError;
use crate::functions;
use crate::guard;
use crate::options::QueryOptions;
use crate::rollup::coverage::Coverage;
use crate::tables::catalog::{Computed, Lake};
use crate::tables::{CATALOG, LakeSchema, SCHEMA};

/// Of the threads that plan: a tree of [`guard::OPERATORS_MAX`] operators is walked by recursion.
const STACK_BYTES: usize = 64 << 20;
/// Batches between the query and a slow reader.
const BATCHES_AHEAD: usize = 2;

/// What one question sees: a snapshot, perhaps one tenant's part of it.
#[derive(Debug, Clone)]
pub struct View {
    pub snapshot: Arc<Snapshot>,
    pub tenant: Option<Tenant>,
    /// What of the rollups may be read; taken before the snapshot.
    pub rolled: Arc<Coverage>,
    /// The log's sequence from which on spans of traces may lie that did not settle.
    pub unsettled_from: Option<u64>,
}

impl View {
    /// Whether anything was ever judged.
    pub fn has_verdicts(&self) -> bool {
        let verdicts = self.snapshot.table(Table::Verdicts);
        !verdicts.files.is_empty() || !verdicts.tail.is_empty()
    }
}

#[derive(Debug)]
pub struct Engine {
    /// `None` only while dropping.
    runtime: Option<Runtime>,
    base: SessionState,
    /// The same, whose optimiser goes over a plan once: for statements that are written so that this is enough.
    once: SessionState,
    store: ObjectStoreUrl,
    rules: Arc<Rules>,
    permits: Arc<Semaphore>,
    options: QueryOptions,
    jobs: Jobs,
}

impl Drop for Engine {
    fn drop(&mut self) {
        // A runtime may not be dropped where blocking is forbidden, as in an async test.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Engine {
    pub fn new(options: &QueryOptions, home: &Home, jobs: Jobs) -> Result<Self, QueryError> {
        let io = |what: &str, e: std::io::Error| QueryError::Internal(format!("{what}: {e}"));
        let spill = &options.spill;
        std::fs::create_dir_all(spill).map_err(|e| io(&spill.display().to_string(), e))?;
        let (store, registry) = objects::confined(home)?;
        let runtime_env = RuntimeEnvBuilder::new()
            .with_object_store_registry(registry)
            // First come, first served. Fair shares are of all operators that might spill, and a screen's worth of
            // statements has hundreds: none would get more than a few MiB of a pool that is nearly empty.
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(options.memory_bytes_max)))
            .with_temp_file_path(spill.clone())
            .with_max_temp_directory_size(options.spill_bytes_max)
            .build_arc()?;
        let mut config = SessionConfig::new()
            .with_default_catalog_and_schema(CATALOG, SCHEMA)
            .with_create_default_catalog_and_schema(false)
            .with_information_schema(true)
            .with_target_partitions(options.threads.max(1));
        let execution = &mut config.options_mut().execution;
        // The tables say which type each column has; views would change dictionaries' values.
        execution.parquet.schema_force_view_types = false;
        execution.time_zone = Some("UTC".to_owned());
        let mut base = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime_env)
            .with_default_features()
            .build();
        functions::register(&mut base)?;
        let mut once = base.clone();
        once.config_mut().options_mut().optimizer.max_passes = 1;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(options.threads.max(1))
            .thread_name("query")
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()
            .map_err(|e| io("the queries' runtime", e))?;
        Ok(Self {
            runtime: Some(runtime),
            base,
            once,
            store,
            rules: Arc::new(options.rules.clone()),
            permits: Arc::new(Semaphore::new(options.concurrent_max)),
            options: options.clone(),
            jobs,
        })
    }

    /// What a user wrote, guarded; and the analyses that it calls.
    pub async fn parse(&self, sql: &str) -> Result<(Statement, Vec<Call>), QueryError> {
        let sql = sql.to_owned();
        // Where the stack is large.
        let parsed = self.runtime()?.spawn(async move {
            let mut statement = guard::check(&sql)?;
            let calls = table_functions::calls(&mut statement)?;
            Ok((statement, calls))
        });
        parsed.await.map_err(|e| QueryError::Internal(format!("parsing: {e}")))?
    }

    /// Runs what [`Self::parse`] read, with what stands in place of its calls.
    pub async fn statement(
        &self,
        view: &View,
        statement: Statement,
        replacements: Vec<Replacement>,
        computed: Computed,
        rows_max: usize,
    ) -> Result<Rows, QueryError> {
        self.run(&self.base, view, computed, rows_max, move || {
            let mut statement = statement;
            table_functions::replace(&mut statement, replacements)?;
            Ok(statement)
        })
        .await
    }

    /// Runs what this crate wrote: the same way, but not bounded in size.
    pub async fn ours(&self, view: &View, sql: String) -> Result<Collected, QueryError> {
        self.ours_over(&self.base, view, sql, Computed::default()).await
    }

    /// The same of a statement that reads tables of its own too, or fills them; and whose planning counts.
    pub async fn ours_with(
        &self,
        view: &View,
        sql: String,
        tables: Computed,
    ) -> Result<Collected, QueryError> {
        self.ours_over(&self.once, view, sql, tables).await
    }

    async fn ours_over(
        &self,
        base: &SessionState,
        view: &View,
        sql: String,
        tables: Computed,
    ) -> Result<Collected, QueryError> {
        let rows_max = self.options.rows_max;
        let rows = self
            .run(base, view, tables, rows_max, move || {
                let mut statements = datafusion::sql::parser::DFParser::parse_sql(&sql)?;
                statements.pop_front().ok_or_else(|| QueryError::Internal("no statement".into()))
            })
            .await?;
        rows.collect().await
    }

    /// `parse` runs where the stack is large.
    async fn run(
        &self,
        base: &SessionState,
        view: &View,
        computed: Computed,
        rows_max: usize,
        parse: impl FnOnce() -> Result<Statement, QueryError> + Send + 'static,
    ) -> Result<Rows, QueryError> {
        let permit = self.permit().await?;
        let runtime = self.runtime()?;
        let lake = Lake {
            snapshot: view.snapshot.clone(),
            tenant: view.tenant.clone(),
            unsettled_from: view.unsettled_from,
            rules: self.rules.clone(),
            store: self.store.clone(),
            computed: Arc::new(computed),
            jobs: self.jobs.clone(),
        };
        let base = base.clone();
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let timeout = self.options.timeout;
        let deadline = Instant::now() + timeout;
        let rows_max = rows_max.min(self.options.rows_max);
        let task = runtime.spawn(async move {
            let snapshot = lake.snapshot.clone();
            let work = async {
                let state = LakeSchema::state(&base, lake)?;
                let stream = plan(state, parse()?).await?;
                pass_on(stream, rows_max, &sender).await
            };
            let end = match tokio::time::timeout_at(deadline, work).await {
                Ok(Ok(truncated)) => Part::End { truncated },
                Ok(Err(error)) => Part::Failed(error),
                Err(_) => Part::Failed(QueryError::Timeout(timeout)),
            };
            // Whoever asked may be gone, and then nobody waits for the end.
            let _ = sender.send(end).await;
            // The files of the snapshot are kept until here; the permit too.
            drop((snapshot, permit));
        });
        Rows::open(receiver, task).await
    }

    /// Does work of this crate's own among the queries.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> Result<(), QueryError> {
        self.runtime()?.spawn(work);
        Ok(())
    }

    fn runtime(&self) -> Result<&Runtime, QueryError> {
        self.runtime.as_ref().ok_or_else(|| QueryError::Internal("the process is closing".into()))
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, QueryError> {
        let wait = self.permits.clone().acquire_owned();
        match tokio::time::timeout(self.options.wait_max, wait).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(QueryError::Internal("the process is closing".into())),
            Err(_) => Err(QueryError::Busy {
                running: self.options.concurrent_max,
                retry_after: self.options.wait_max,
            }),
        }
    }
}

async fn plan(state: SessionState, statement: Statement) -> Result<SendableRecordBatchStream, QueryError> {
    let plan = state.statement_to_plan(statement).await?;
    // A second lock on the same door: the guard reads syntax, this reads the plan.
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(&plan)?;
    let context = SessionContext::new_with_state(state);
    let frame = context.execute_logical_plan(plan).await?;
    let task = Arc::new(frame.task_ctx());
    let plan = frame.create_physical_plan().await?;
    Ok(execute_stream(plan, task)?)
}

/// Sends the schema, then batches up to `rows_max` rows; answers whether there were more.
async fn pass_on(
    mut stream: SendableRecordBatchStream,
    rows_max: usize,
    to: &mpsc::Sender<Part>,
) -> Result<bool, QueryError> {
    let gone = |_| QueryError::Internal("nobody waits for the answer".into());
    to.send(Part::Schema(stream.schema())).await.map_err(gone)?;
    let mut left = rows_max;
    while let Some(batch) = stream.try_next().await? {
        if batch.num_rows() == 0 {
            continue;
        }
        if left == 0 {
            return Ok(true);
        }
        let kept = batch.slice(0, batch.num_rows().min(left));
        let cut = kept.num_rows() < batch.num_rows();
        left -= kept.num_rows();
        to.send(Part::Batch(kept)).await.map_err(gone)?;
        if cut {
            return Ok(true);
        }
    }
    Ok(false)
}
