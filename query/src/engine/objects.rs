//! The only files that a query can read: those below the store's home.

use std::path::Path;
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result as DfResult, plan_err};
use datafusion::execution::object_store::{ObjectStoreRegistry, ObjectStoreUrl};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use url::Url;

use crate::error::QueryError;

const LAKE: &str = "plimsoll://lake";

/// The home's object store, and a registry that knows no other.
pub fn confined(home: &Path) -> Result<(ObjectStoreUrl, Arc<dyn ObjectStoreRegistry>), QueryError> {
    let store = LocalFileSystem::new_with_prefix(home)
        .map_err(|e| QueryError::Internal(format!("{}: {e}", home.display())))?;
    let url = ObjectStoreUrl::parse(LAKE)?;
    Ok((url, Arc::new(OnlyTheLake { store: Arc::new(store) })))
}

#[derive(Debug)]
struct OnlyTheLake {
    store: Arc<dyn ObjectStore>,
}

impl ObjectStoreRegistry for OnlyTheLake {
    /// Keeps what there is: nobody adds another store.
    fn register_store(&self, _url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        Some(store)
    }

    fn deregister_store(&self, url: &Url) -> DfResult<Arc<dyn ObjectStore>> {
        plan_err!("{url}: stores are fixed")
    }

    fn get_store(&self, url: &Url) -> DfResult<Arc<dyn ObjectStore>> {
        if url.as_str().starts_with(LAKE) {
            return Ok(self.store.clone());
        }
        Err(DataFusionError::Plan(format!(
            "{url}: queries read the tables of the lake only, no other files or addresses"
        )))
    }
}
