//! The analyses as table functions say what the HTTP API says.

use serde_json::{Value, json};

use crate::fleet::{Fleet, With, bounds, hour, request, span};

async fn fleet() -> Fleet {
    let fleet = Fleet::empty("").await;
    fleet.export("acme", "agent", request(1, 100, "s")).await;
    let call = |id, from, to| {
        span(2, id, 1, "call search", from, to)
            .with("gen_ai.operation.name", "execute_tool")
            .with("gen_ai.tool.name", "search")
            .with("http.request.resend_count", if id == 2 { "0" } else { "1" })
    };
    let agent = span(2, 1, 0, "invoke_agent a", 0, 100).with("gen_ai.operation.name", "invoke_agent");
    fleet.export("acme", "agent", vec![agent, call(2, 10, 20).failed(), call(3, 30, 40)]).await;
    fleet.settle().await;
    fleet
}

#[tokio::test(flavor = "multi_thread")]
async fn they_answer_as_http_does() {
    let fleet = fleet().await;
    let (start, end) = bounds();

    let answer = fleet.get(&format!("queueing?by=stage,model&{}", hour())).await;
    let groups = answer["groups"].as_array().expect("groups");
    let expected: Vec<Vec<Value>> = groups
        .iter()
        .map(|g| {
            vec![
                g["key"]["stage"].clone(),
                g["key"]["model"].clone(),
                g["runs"].clone(),
                g["compute_ns"].clone(),
                g["queue_share"].clone(),
            ]
        })
        .collect();
    assert!(expected.len() >= 3, "{answer}");
    let rows = fleet
        .sql(&format!("SELECT stage, model, runs, compute_ns, queue_share FROM queueing('{start}', '{end}', 'stage, model')"))
        .await;
    assert_eq!(rows.as_ref(), Ok(&expected));

    let answer = fleet.get(&format!("retries?{}", hour())).await;
    let edges = answer["edges"].as_array().expect("edges");
    let expected: Vec<Vec<Value>> = edges
        .iter()
        .map(|e| vec![e["callee"].clone(), e["attempts"].clone(), e["amplification"].clone()])
        .collect();
    let rows =
        fleet.sql(&format!("SELECT callee, attempts, amplification FROM retries('{start}', '{end}')")).await;
    assert_eq!(rows.as_ref(), Ok(&expected));
    let rows = fleet
        .sql(&format!("SELECT r.attempts FROM retries(start => '{start}', filter => 'callee=search', \"end\" => {end}) AS r"))
        .await;
    assert_eq!(rows, Ok(vec![vec![json!(2)]]));

    let answer = fleet.get(&format!("goodput?by=tenant&{}", hour())).await;
    let rows = answer["rows"].as_array().expect("rows");
    let expected: Vec<Vec<Value>> = rows
        .iter()
        .map(|r| {
            vec![
                r["objective"].clone(),
                r["key"]["tenant"].clone(),
                r["offered"].clone(),
                r["attainment_high"].clone(),
            ]
        })
        .collect();
    let rows = fleet
        .sql(&format!("SELECT objective, tenant, offered, attainment_high FROM goodput('{start}', '{end}', by => 'tenant')"))
        .await;
    assert_eq!(rows.as_ref(), Ok(&expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn they_join_like_any_table() {
    let fleet = fleet().await;
    let (start, end) = bounds();
    let sql = format!(
        "WITH q AS (SELECT * FROM queueing('{start}', '{end}', 'stage'))
         SELECT q.stage FROM q JOIN goodput('{start}', '{end}') g ON g.for_stage = q.stage ORDER BY 1"
    );
    assert_eq!(
        fleet.sql(&sql).await,
        Ok(vec![vec![json!("agent")], vec![json!("execute")], vec![json!("inference")]])
    );
    assert_eq!(
        fleet.sql("SELECT count(*) FROM queueing()").await,
        Ok(vec![vec![json!(0)]]),
        "of the last hour"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_analysis_answers_at_each_of_its_doors() {
    let fleet = fleet().await;
    let (start, end) = bounds();
    let list = fleet.get("analyses").await;
    let analyses = list["analyses"].as_array().expect("a list");
    assert!(!analyses.is_empty());
    for analysis in analyses {
        let (name, function) = (analysis["name"].as_str(), analysis["function"].as_str());
        let (name, function) = (name.expect("a name"), function.expect("a function"));
        let answer = fleet.get(&format!("{name}?{}", hour())).await;
        let explain = &answer["explain"];
        assert!(explain["method"].as_str().is_some_and(|m| !m.is_empty()), "{name}: {answer}");
        for statement in explain["sql"].as_array().expect("statements") {
            let statement = statement.as_str().expect("a statement");
            fleet.sql(statement).await.unwrap_or_else(|e| panic!("{name}: {statement}: {e}"));
        }
        let rows = fleet.sql(&format!("SELECT * FROM {function}('{start}', '{end}')")).await;
        assert!(rows.is_ok(), "{function}: {rows:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_named() {
    let fleet = Fleet::empty("").await;
    let problem = fleet.sql("SELECT service FROM spans").await.expect_err("no such column");
    assert_eq!(
        problem,
        "there is no column \"service\"; near it are rpc_service, service_name, peer_service, service_version, service_namespace; DESCRIBE lists a table's columns"
    );
    for (call, part) in [
        ("queueing('yesterday')", "start: expected RFC 3339"),
        ("queueing('-1h', 'now', 'color')", "by: expected some of stage"),
        ("queueing('-1h', 'now', 'stage', 'color=red')", "cannot be filtered by"),
        ("queueing(since => '-1h')", "no parameter is named \"since\""),
        ("queueing('-1h', 'now', 'stage', '', 'more')", "too many"),
        ("queueing(1 + 1)", "not text in single quotes"),
        ("retries('-1h', 'now', 'stage')", "by does not apply"),
        ("weather('-1h')", "weather"),
    ] {
        let problem = fleet.sql(&format!("SELECT * FROM {call}")).await.expect_err(call);
        assert!(problem.contains(part), "{call}: {problem}");
    }
    let many = ["queueing()"; 9].join(", ");
    let problem = fleet.sql(&format!("SELECT 1 FROM {many}")).await.expect_err("too many");
    assert!(problem.contains("8 analyses at most"), "{problem}");
}
