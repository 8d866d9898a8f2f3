//! Everything in the fleet that can be busy.

use std::collections::BTreeMap;

use super::station::Station;
use super::world::{Tenant, Tool};

/// The ledger's writers, for all tenants.
const LEDGER_WORKERS: usize = 2;

#[derive(Debug)]
pub struct Stations {
    models: BTreeMap<&'static str, Station>,
    tools: BTreeMap<&'static str, Station>,
    ledger: Station,
}

impl Stations {
    pub fn new() -> Self {
        Self { models: BTreeMap::new(), tools: BTreeMap::new(), ledger: Station::new(LEDGER_WORKERS) }
    }

    /// Every tenant has a model server of its own.
    pub fn model(&mut self, tenant: &Tenant) -> &mut Station {
        self.models.entry(tenant.name).or_insert_with(|| Station::new(tenant.model_slots))
    }

    /// Tools are shared.
    pub fn tool(&mut self, tool: &Tool) -> &mut Station {
        self.tools.entry(tool.name).or_insert_with(|| Station::new(tool.workers))
    }

    pub fn ledger(&mut self) -> &mut Station {
        &mut self.ledger
    }
}
