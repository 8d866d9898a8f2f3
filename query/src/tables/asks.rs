//! What a scan asks the filters of a file before it opens it: traces by their ids, attributes by their values. Where they are in memory
//! planning asks; where they are not, whoever is about to open the file.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::{Guarantee, LiteralGuarantee};
use plimsoll_schemas::TraceId;
use plimsoll_store::DataFile;
use plimsoll_store::lake::Sidecar;

use super::attributes::{self, Condition};
use super::prune;

#[derive(Debug, Clone, Default)]
pub struct Asks {
    /// Each a list of which one is there.
    traces: Vec<Vec<TraceId>>,
    attributes: Vec<Condition>,
}

impl Asks {
    /// Of all rows that `predicate` and `filters` leave, which are the same in two languages.
    pub fn of(predicate: Option<&Arc<dyn PhysicalExpr>>, filters: &[Expr]) -> Self {
        let guarantees = predicate.map(LiteralGuarantee::analyze).unwrap_or_default();
        let of_traces = |g: &LiteralGuarantee| g.guarantee == Guarantee::In && g.column.name() == "trace_id";
        // Text that is no trace id equals no stored id.
        let ids = |g: LiteralGuarantee| g.literals.iter().filter_map(prune::trace_id).collect();
        Self {
            traces: guarantees.into_iter().filter(of_traces).map(ids).collect(),
            attributes: attributes::conditions(filters),
        }
    }

    /// False only if no row of the file is wanted, as far as is known without reading anything.
    pub fn may_be_in(&self, file: &DataFile) -> bool {
        file.may_meet(|sidecar| self.meet(sidecar))
    }

    /// The same after reading what is not known.
    pub async fn are_in(&self, file: &DataFile) -> Result<bool> {
        let Some(filters) = &file.filters else { return Ok(true) };
        if self.traces.is_empty() && self.attributes.is_empty() {
            return Ok(true);
        }
        let sidecar = filters.get().await.map_err(|e| DataFusionError::External(Box::new(e)))?;
        Ok(self.meet(&sidecar))
    }

    fn meet(&self, sidecar: &Sidecar) -> bool {
        let is_there = |ids: &Vec<TraceId>| ids.iter().any(|id| sidecar.traces.may_hold(id));
        self.traces.iter().all(is_there)
            && self.attributes.iter().all(|condition| condition.may_hold(sidecar))
    }
}
