//! The experiment envelope and the task, from attributes to columns that answers group by and filter.

use serde_json::{Value, json};

use crate::fleet::{Fleet, With, hour, request};

#[tokio::test(flavor = "multi_thread")]
async fn the_envelope_is_kept_with_traces_and_runs() {
    let fleet = Fleet::empty("").await;
    for (trace, driver) in [(1, "550.54"), (2, "560.28")] {
        let [root, call] = <[_; 2]>::try_from(request(trace, 100, "s")).expect("two spans");
        let root = root.with("task.id", "t-7").with("plimsoll.tokenizer_digest", "sha256:aa");
        fleet.export("acme", "agent", vec![root, call.with("plimsoll.driver", driver)]).await;
    }
    fleet.settle().await;
    let text = |t: &str| Value::from(t);
    assert_eq!(
        fleet
            .sql("SELECT driver, runtime, tokenizer_digest, concurrency, task_id FROM traces ORDER BY 1")
            .await,
        Ok(["550.54", "560.28"]
            .map(|d| vec![text(d), Value::Null, text("sha256:aa"), Value::Null, text("t-7")])
            .to_vec())
    );
    let answer = fleet.get(&format!("queueing?by=stage,driver&{}", hour())).await;
    let mut keys: Vec<Value> =
        answer["groups"].as_array().expect("groups").iter().map(|g| g["key"].clone()).collect();
    keys.sort_by_key(Value::to_string);
    assert_eq!(
        keys,
        [
            json!({"stage": "inference", "driver": "550.54"}),
            json!({"stage": "inference", "driver": "560.28"}),
            json!({"stage": "agent", "driver": null}),
        ]
    );
    let answer = fleet.get(&format!("queueing?filter=driver%3D550.54&{}", hour())).await;
    assert_eq!(answer["groups"][0]["runs"], 1, "{answer}");
    let answer = fleet.get(&format!("goodput?by=tokenizer_digest&{}", hour())).await;
    assert_eq!(answer["rows"][0]["key"], json!({"tokenizer_digest": "sha256:aa"}), "{answer}");
    let found = fleet.get(&format!("search?q=driver%3D550.54&{}", hour())).await;
    assert_eq!(found["traces"].as_array().map(Vec::len), Some(1), "{found}");
}
