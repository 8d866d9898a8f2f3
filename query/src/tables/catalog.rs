//! The names under which SQL finds the tables of one snapshot. A table is planned when a query first names it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, SchemaProvider,
    TableProvider,
};
use datafusion::common::Result;
use datafusion::datasource::{MemTable, ViewTable};
use datafusion::execution::SessionState;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::TableType;
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{Rules, Tenant};
use plimsoll_store::Snapshot;
use plimsoll_store::jobs::Jobs;

use super::system::SystemSchema;
use super::{CATALOG, LakeTable, SCHEMA, live, system, views};

/// What the tables of one question have in common.
#[derive(Debug, Clone)]
pub struct Lake {
    pub snapshot: Arc<Snapshot>,
    /// Whose rows may be seen; `None` is everyone's.
    pub tenant: Option<Tenant>,
    /// The log's sequence from which on spans of unsettled traces may lie.
    pub unsettled_from: Option<u64>,
    pub rules: Arc<Rules>,
    pub store: ObjectStoreUrl,
    pub computed: Arc<Computed>,
    pub jobs: Jobs,
}

/// Tables of one question alone, by name: the rows of analyses that it calls.
pub type Computed = BTreeMap<String, RecordBatch>;

impl Lake {
    fn table(&self, table: Table) -> Arc<dyn TableProvider> {
        let Self { snapshot, tenant, rules, store, .. } = self.clone();
        Arc::new(LakeTable::new(snapshot, table, tenant, rules, store))
    }

    fn view(&self, name: &str) -> Option<String> {
        views::sql(name, &self.rules, |table| self.snapshot.table(table).supersedes())
    }
}

fn table_of(name: &str) -> Option<Table> {
    Table::ALL.into_iter().find(|t| t.as_str() == name)
}

/// A state whose only schemas are these.
fn with_schemas(
    state: &SessionState,
    schemas: impl IntoIterator<Item = (&'static str, Arc<dyn SchemaProvider>)>,
) -> Result<SessionState> {
    let catalog = MemoryCatalogProvider::new();
    for (name, schema) in schemas {
        catalog.register_schema(name, schema)?;
    }
    let list = MemoryCatalogProviderList::new();
    list.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
    let mut state = state.clone();
    state.register_catalog_list(Arc::new(list));
    Ok(state)
}

/// The tables and views that a user sees.
#[derive(Debug)]
pub struct LakeSchema {
    lake: Lake,
    /// Plans views: knows the raw tables alone.
    raw: SessionState,
}

impl LakeSchema {
    /// A state that sees the tables of `lake` and nothing else.
    pub fn state(base: &SessionState, lake: Lake) -> Result<SessionState> {
        let schema = |schema: Arc<dyn SchemaProvider>| (SCHEMA, schema);
        let raw = with_schemas(base, [schema(Arc::new(RawSchema { lake: lake.clone() }))])?;
        let system = Arc::new(SystemSchema::new(lake.clone()));
        with_schemas(base, [schema(Arc::new(Self { lake, raw })), (system::SCHEMA, system)])
    }
}

#[async_trait]
impl SchemaProvider for LakeSchema {
    fn table_names(&self) -> Vec<String> {
        let tables = Table::ALL.into_iter().map(Table::as_str);
        tables.chain(views::NAMES).chain([live::EDGES]).map(str::to_owned).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if let Some(rows) = self.lake.computed.get(name) {
            let table = MemTable::try_new(rows.schema(), vec![vec![rows.clone()]])?;
            return Ok(Some(Arc::new(table)));
        }
        if name == live::EDGES {
            return Ok(Some(live::edges(&self.raw, &self.lake).await?));
        }
        if let Some(table) = views::raw(name) {
            return Ok(Some(self.lake.table(table)));
        }
        let Some(sql) = self.lake.view(name) else {
            return Ok(table_of(name).map(|t| self.lake.table(t)));
        };
        let plan = self.raw.create_logical_plan(&sql).await?;
        Ok(Some(Arc::new(ViewTable::new(plan, Some(sql)))))
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        Ok(match self.lake.view(name) {
            Some(_) => Some(TableType::View),
            None => table_of(name).map(|_| TableType::Base),
        })
    }

    fn table_exist(&self, name: &str) -> bool {
        let is_made = name == live::EDGES || self.lake.computed.contains_key(name);
        is_made || views::raw(name).is_some() || self.lake.view(name).is_some() || table_of(name).is_some()
    }
}

/// The tables as they lie in the lake, every revision of every row.
#[derive(Debug)]
struct RawSchema {
    lake: Lake,
}

#[async_trait]
impl SchemaProvider for RawSchema {
    fn table_names(&self) -> Vec<String> {
        Table::ALL.into_iter().map(|t| t.as_str().to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(table_of(name).map(|t| self.lake.table(t)))
    }

    fn table_exist(&self, name: &str) -> bool {
        table_of(name).is_some()
    }
}
