//! A table's Delta log: what it says the table is, and its entries, each made whole under a name that must be free.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use deltalake_core::kernel::{Action, Add};
use deltalake_core::logstore::{StorageConfig, logstore_with};
use deltalake_core::{DeltaTable, DeltaTableError};
use futures::stream::{self, StreamExt, TryStreamExt};
use plimsoll_schemas::table::Table;

use super::{definition, entries};
use crate::error::StoreError;
use crate::home::{Created, Home};
use crate::snapshot::DataFile;

/// Files whose sidecars are read at once at opening: most of it is waiting.
const READERS: usize = 32;
/// A bucket that does not answer is asked again, beyond what its client does by itself.
const CREATE_ATTEMPTS_MAX: u32 = 4;
const CREATE_PAUSE: Duration = Duration::from_secs(1);

/// A table with its version and files.
pub type Listed = (DeltaTable, u64, Vec<Arc<DataFile>>);

pub fn delta(table: Table) -> impl FnOnce(DeltaTableError) -> StoreError {
    move |source| StoreError::Delta { table: table.as_str(), source: Box::new(source) }
}

/// The folder of a table's log.
pub fn log_of(table: Table) -> String {
    format!("{}/_delta_log", table.as_str())
}

/// delta-rs's table, as of now. Its address is one within the home, which it need not know.
pub async fn opened(home: &Home, table: Table) -> Result<DeltaTable, DeltaTableError> {
    let within = format!("memory:///{}/", table.as_str());
    let within = url::Url::parse(&within).map_err(|e| DeltaTableError::Generic(e.to_string()))?;
    let mut table = DeltaTable::new(logstore_with(home.objects(), &within, StorageConfig::default())?);
    table.load().await?;
    Ok(table)
}

/// The table as its log has it; made first where there is none, and widened where it lacks columns of ours.
pub async fn load(home: &Home, table: Table) -> Result<Listed, StoreError> {
    let found = match opened(home, table).await {
        Err(DeltaTableError::NotATable(_)) => {
            append(home, table, 0, &definition::creation(table)?).await?;
            opened(home, table).await.map_err(delta(table))?
        }
        found => found.map_err(delta(table))?,
    };
    let found = match widening(home, table, &found)? {
        None => found,
        Some((version, actions)) => {
            append(home, table, version, &actions).await?;
            opened(home, table).await.map_err(delta(table))?
        }
    };
    listed(home, table, found).await
}

pub async fn listed(home: &Home, table: Table, found: DeltaTable) -> Result<Listed, StoreError> {
    let state = found.snapshot().map_err(delta(table))?;
    let version = state.version();
    let listed = state.log_data();
    #[expect(deprecated, reason = "nothing else tells a file's tags")]
    let adds = listed.iter().map(|view| view.add_action());
    let files = data_files(home, table, adds.collect()).await?;
    Ok((found, version, files))
}

/// The files of the log's actions. Each has a sidecar to be read, most of which is waiting.
async fn data_files(home: &Home, table: Table, mut adds: Vec<Add>) -> Result<Vec<Arc<DataFile>>, StoreError> {
    // The newest days' first, until there is no more room for them.
    adds.sort_by(|a, b| entries::day(b).cmp(&entries::day(a)));
    let read = adds.into_iter().map(|add| {
        let home = home.clone();
        async move { entries::data_file(&home, table, add).await }
    });
    stream::iter(read).buffered(READERS).try_collect().await
}

/// The version and actions that give a table of an older version of us the columns that it lacks.
fn widening(
    home: &Home,
    table: Table,
    opened: &DeltaTable,
) -> Result<Option<(u64, Vec<Action>)>, StoreError> {
    let state = opened.snapshot().map_err(delta(table))?;
    let place = home.name(table.as_str());
    let actions = definition::widened(table, &place, &state.schema(), state.metadata())?;
    Ok(actions.map(|actions| (state.version() + 1, actions)))
}

/// Writes one entry of the log, unless another process wrote that version.
async fn append(home: &Home, table: Table, version: u64, actions: &[Action]) -> Result<Created, StoreError> {
    let lines: Vec<String> = actions
        .iter()
        .map(serde_json::to_string)
        .collect::<Result<_, _>>()
        .map_err(|e| delta(table)(DeltaTableError::Generic(e.to_string())))?;
    create_entry(home, table, version, (lines.join("\n") + "\n").into()).await
}

/// Makes an entry of the log. After [`StoreError::Poisoned`] it may be there or come to be there; after any other error it is not.
pub async fn create_entry(
    home: &Home,
    table: Table,
    version: u64,
    bytes: Bytes,
) -> Result<Created, StoreError> {
    let entry = format!("{}/{version:020}.json", log_of(table));
    let mut attempt = 1;
    loop {
        let created = home.create(&entry, bytes.clone()).await;
        let is_bucket = home.folder().is_none();
        match created {
            Ok(Created::Made) => return Ok(Created::Made),
            // A request whose answer was lost is sent again, and then finds what it made itself.
            Ok(Created::Taken) if is_bucket && home.get(&entry).await?.as_ref() == Some(&bytes) => {
                return Ok(Created::Made);
            }
            Ok(Created::Taken) => return Ok(Created::Taken),
            Err(error) if is_bucket && attempt < CREATE_ATTEMPTS_MAX => {
                tracing::warn!(%error, "a commit was not answered, and is sent again");
                tokio::time::sleep(CREATE_PAUSE * attempt).await;
                attempt += 1;
            }
            // In a folder it has its name only once it is whole, and what may fail after that is an fsync.
            Err(error) if is_bucket || home.get(&entry).await.is_ok_and(|found| found.is_some()) => {
                return Err(StoreError::Poisoned(error.to_string()));
            }
            Err(error) => return Err(error),
        }
    }
}
