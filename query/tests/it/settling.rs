//! Settling twice at once writes each trace's rows once.

use serde_json::json;

use crate::fleet::{Fleet, request};

#[tokio::test(flavor = "multi_thread")]
async fn passes_that_overlap_derive_each_trace_once() {
    let fleet = Fleet::empty("").await;
    for n in 1..=250_u8 {
        fleet.export("acme", "agent", request(n, 100, "s")).await;
    }
    let passes: Vec<_> = (0..4)
        .map(|_| {
            let store = fleet.store.clone();
            tokio::spawn(async move { store.settle_all().await })
        })
        .collect();
    for pass in passes {
        pass.await.expect("it ends").expect("it settles");
    }
    let rows = fleet.sql("SELECT count(*), (SELECT count(*) FROM stage_runs) AS runs FROM traces").await;
    assert_eq!(rows, Ok(vec![vec![json!(250), json!(500)]]));
}
