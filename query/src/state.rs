//! What every question shares: the store, the engine, the objectives.

use std::sync::{Arc, Weak};
use std::time::Instant;

use plimsoll_schemas::Tenant;
use plimsoll_store::Store;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::analyses::computed;
use crate::analyses::definition::InSql;
use crate::analyses::table_functions::{Call, Replacement};
use crate::engine::{Collected, Engine, Rows, View};
use crate::error::QueryError;
use crate::http::jobs::Told;
use crate::objectives::Objectives;
use crate::options::QueryOptions;
use crate::rollup::{Rollup, STRETCHES_PER_PASS};
use crate::tables::catalog::Computed;

/// Each costs up to seconds of a thread.
const COMPARISONS_AT_ONCE: usize = 2;

/// A cheap handle; clones share one engine.
#[derive(Clone)]
pub struct QueryState {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    engine: Engine,
    options: QueryOptions,
    objectives: Objectives,
    rollup: Rollup,
    comparisons: Arc<Semaphore>,
    told: Told,
    /// What the doors for telemetry count.
    doors: Box<dyn Fn() -> Value + Send + Sync>,
    started: Instant,
}

impl std::fmt::Debug for QueryState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueryState").field("home", self.inner.store.home()).finish_non_exhaustive()
    }
}

impl QueryState {
    /// `doors` answers the counters of the doors for telemetry, as a JSON object.
    pub fn new(
        store: Store,
        options: QueryOptions,
        doors: impl Fn() -> Value + Send + Sync + 'static,
    ) -> Result<Self, QueryError> {
        let engine = Engine::new(&options, store.home(), store.jobs().clone())?;
        let objectives = Objectives::new(options.objectives_dir.clone());
        let rollup = Rollup::new(store.home().clone());
        let inner = Inner {
            store,
            engine,
            options,
            objectives,
            rollup,
            comparisons: Arc::new(Semaphore::new(COMPARISONS_AT_ONCE)),
            told: Told::default(),
            doors: Box::new(doors),
            started: Instant::now(),
        };
        let inner = Arc::new(inner);
        inner.engine.spawn(roll_up(Arc::downgrade(&inner)))?;
        Ok(Self { inner })
    }

    /// Rolls up what is due. Answers how many stretches were.
    pub async fn roll_up(&self) -> Result<usize, QueryError> {
        self.inner.rollup.pass(self).await
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn told(&self) -> &Told {
        &self.inner.told
    }

    pub(crate) fn options(&self) -> &QueryOptions {
        &self.inner.options
    }

    pub(crate) fn objectives(&self) -> &Objectives {
        &self.inner.objectives
    }

    /// A comparison holds the runs of two sides, and keeps a thread busy.
    pub(crate) async fn permit_to_compare(&self) -> Result<OwnedSemaphorePermit, QueryError> {
        let wait = self.inner.options.wait_max;
        match tokio::time::timeout(wait, self.inner.comparisons.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(QueryError::Internal("the process is closing".into())),
            Err(_) => Err(QueryError::Busy { running: COMPARISONS_AT_ONCE, retry_after: wait }),
        }
    }

    pub(crate) fn doors(&self) -> Value {
        (self.inner.doors)()
    }

    pub(crate) fn uptime_s(&self) -> u64 {
        self.inner.started.elapsed().as_secs()
    }

    /// What a tenant (everyone, without one) sees at this instant.
    pub fn view(&self, tenant: Option<Tenant>) -> View {
        let rolled = self.inner.rollup.coverage();
        // The floor first: what settles in between is in the snapshot then, and told apart there.
        let unsettled_from = self.inner.store.unsettled_from();
        View { rolled, snapshot: self.inner.store.snapshot(), tenant, unsettled_from }
    }

    /// Runs what a user wrote, guarded, and with the analyses as table functions.
    pub async fn sql(&self, view: &View, sql: &str, rows_max: usize) -> Result<Rows, QueryError> {
        let (statement, calls) = self.inner.engine.parse(sql).await?;
        let mut computed = Computed::default();
        let mut replacements = Vec::with_capacity(calls.len());
        for Call { definition, asked } in calls {
            replacements.push(match definition.in_sql {
                InSql::Statement(sql) => {
                    Replacement::Statement(sql(self.clone(), view.clone(), asked).await?)
                }
                InSql::Computed { columns } => {
                    let answer = (definition.answer)(self.clone(), view.clone(), asked).await?;
                    let name = format!("{} {}", definition.function, computed.len());
                    computed.insert(name.clone(), computed::batch(columns(), &answer.rows)?);
                    Replacement::Table(name)
                }
            });
        }
        self.inner.engine.statement(view, statement, replacements, computed, rows_max).await
    }

    /// The rows of one of this crate's statements.
    pub(crate) async fn ours(&self, view: &View, sql: String) -> Result<Collected, QueryError> {
        self.inner.engine.ours(view, sql).await
    }

    /// The same of a statement that reads tables of its own too, or fills them; and whose planning counts.
    pub(crate) async fn ours_with(
        &self,
        view: &View,
        sql: String,
        tables: &Computed,
    ) -> Result<Collected, QueryError> {
        self.inner.engine.ours_with(view, sql, tables.clone()).await
    }

    /// The rows of one of this crate's statements, as objects.
    pub(crate) async fn objects(
        &self,
        view: &View,
        sql: &str,
    ) -> Result<Vec<serde_json::Map<String, Value>>, QueryError> {
        Ok(crate::json::objects(&self.ours(view, sql.to_owned()).await?.batches))
    }

    /// As [`Self::ours_with`].
    pub(crate) async fn objects_with(
        &self,
        view: &View,
        sql: &str,
        tables: &Computed,
    ) -> Result<Vec<serde_json::Map<String, Value>>, QueryError> {
        Ok(crate::json::objects(&self.ours_with(view, sql.to_owned(), tables).await?.batches))
    }
}

/// Rolls up for as long as anybody may ask. A failure is logged and tried again at the next turn.
async fn roll_up(state: Weak<Inner>) {
    let Some(every) = state.upgrade().map(|inner| inner.options.roll_up_every) else { return };
    loop {
        tokio::time::sleep(every).await;
        let Some(inner) = state.upgrade() else { return };
        let state = QueryState { inner };
        let mut began = Instant::now();
        let mut rolled = state.roll_up().await;
        while rolled.as_ref().is_ok_and(|stretches| *stretches == STRETCHES_PER_PASS) {
            // A backlog takes half of the time, so that it leaves room for others.
            tokio::time::sleep(began.elapsed()).await;
            began = Instant::now();
            rolled = state.roll_up().await;
        }
        if let Err(error) = rolled {
            tracing::error!(%error, "rolling up failed and will be tried again");
        }
    }
}
