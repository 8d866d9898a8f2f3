//! The only files that a query can read: those of the store's home.

use std::sync::Arc;

use datafusion::common::{DataFusionError, Result as DfResult, plan_err};
use datafusion::execution::object_store::{ObjectStoreRegistry, ObjectStoreUrl};
use object_store::ObjectStore;
use plimsoll_store::Home;
use url::Url;

use crate::error::QueryError;

const LAKE: &str = "plimsoll://lake";

/// The home's object store, and a registry that knows no other.
pub fn confined(home: &Home) -> Result<(ObjectStoreUrl, Arc<dyn ObjectStoreRegistry>), QueryError> {
    Ok((ObjectStoreUrl::parse(LAKE)?, Arc::new(OnlyTheLake { store: home.objects() })))
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
