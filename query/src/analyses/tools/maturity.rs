//! How far a fleet has come in managing its tools: four levels, each with what it takes and how much of it was seen.

use serde_json::{Map, Value, json};

use super::catalogue::Catalogue;
use super::ratio_of;
use crate::analyses::number;

/// A criterion holds when this share of calls keeps it: a new tool or a stray call is no relapse.
const HOLDS: f64 = 0.95;
const LEVELS: [&str; 4] = ["ad hoc", "catalogued", "gateway-managed", "platform"];

/// The highest level of which this and all lower criteria hold; unknown counts as not held, and is shown as null.
pub fn of(
    tools: &[Map<String, Value>],
    editions: &[Map<String, Value>],
    gateways: &Map<String, Value>,
    catalogue: &Catalogue,
) -> Value {
    let calls = |of: &dyn Fn(&Map<String, Value>) -> bool| -> f64 {
        tools.iter().filter(|t| of(t)).filter_map(|t| number(t, "logical_calls")).sum()
    };
    let all = calls(&|_| true);
    let says = |t: &Map<String, Value>, column: &str| match t.get(column) {
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Null) | None => false,
        Some(_) => true,
    };
    let listed = catalogue.entries().iter().any(|_| true);
    let known = |share: Value, is_known: bool| if is_known { share } else { Value::Null };
    let n = |column: &str| number(gateways, column).unwrap_or(0.0);
    let has_editions = !editions.is_empty();
    let criteria = [
        (
            1,
            "calls to tools that are in the catalogue and have an owner",
            known(
                ratio_of(
                    calls(&|t| {
                        t.get("catalogued").and_then(Value::as_str) == Some("yes") && says(t, "owner")
                    }),
                    all,
                ),
                listed,
            ),
        ),
        (2, "requests with tool calls that pass a gateway", ratio_of(n("by_gateway"), n("requests"))),
        (
            2,
            "calls to tools whose kind of credential is known",
            known(ratio_of(calls(&|t| says(t, "auth_kinds")), all), has_editions),
        ),
        (3, "requests with tool calls that have a policy decision", ratio_of(n("decided"), n("requests"))),
        (
            3,
            "calls to tools whose schema and version are known",
            known(ratio_of(calls(&|t| says(t, "schema_digests") && says(t, "versions")), all), has_editions),
        ),
    ];
    let holds = |share: &Value| share.as_f64().is_some_and(|s| s >= HOLDS);
    let level = (1..LEVELS.len())
        .take_while(|level| criteria.iter().filter(|c| c.0 == *level).all(|c| holds(&c.2)))
        .last()
        .unwrap_or(0);
    let evidence = criteria.iter().map(|(of, what, share)| json!({"level": LEVELS[*of], "criterion": what, "share": share, "needed": HOLDS, "holds": holds(share)}));
    json!({"level": LEVELS[level], "rank": level, "levels": LEVELS, "criteria": evidence.collect::<Value>()})
}
