//! What is asked of the tables, and the rows of the inventory made of it.

use serde_json::{Map, Value, json};

use super::catalogue::Catalogue;
use super::{ratio_of, texts};
use crate::analyses::{Analysis, number};

/// Characters of a JSON schema that make about one token: tokenizers differ, and definitions are not counted by models.
const CHARS_PER_TOKEN: f64 = 4.0;

pub struct Statements {
    pub calls: String,
    pub editions: String,
    pub traces: String,
    pub policies: String,
    pub gateways: String,
    pub context: String,
}

impl Statements {
    pub fn of(asked: &Analysis, filter: &str) -> Self {
        let windows = asked.within("window_unix_nano");
        let spans = asked.within("start_unix_nano");
        Self {
            // Calls as agents see them: a gateway's own calls of the same tool are the same calls.
            calls: format!(
                "WITH calls AS (
  SELECT e.tenant, e.trace_id, e.callee AS tool, e.caller, e.logical_calls, e.attempts, e.retries, e.failed_attempts, e.wasted_ns, e.depth, t.outcome
  FROM (SELECT * FROM edges WHERE operation = 'execute_tool' AND {windows}{filter}) e
  JOIN traces t ON e.tenant = t.tenant AND e.trace_id = t.trace_id
),
shallowest AS (SELECT tool, min(depth) AS least FROM calls GROUP BY tool)
SELECT c.tool, array_agg(DISTINCT caller) AS callers,
  sum(CASE WHEN c.depth = s.least THEN c.logical_calls ELSE 0 END) AS logical_calls, sum(c.attempts) AS attempts, sum(c.retries) AS retries,
  sum(c.failed_attempts) AS failed_attempts, sum(c.wasted_ns) AS wasted_ns, count(DISTINCT c.trace_id) AS traces,
  count(DISTINCT c.trace_id) FILTER (WHERE c.failed_attempts > 0) AS failed_traces,
  count(DISTINCT c.trace_id) FILTER (WHERE c.failed_attempts > 0 AND c.outcome <> 'ok') AS requests_lost,
  sample_ids(c.trace_id, CAST(c.failed_attempts AS BIGINT)) AS sample_trace_ids
FROM calls c JOIN shallowest s ON c.tool = s.tool
GROUP BY c.tool ORDER BY traces DESC, c.tool"
            ),
            editions: format!(
                "WITH verdict_of AS (SELECT tenant, trace_id, bool_and(pass) AS passed FROM latest_verdicts WHERE pass IS NOT NULL GROUP BY tenant, trace_id),
served AS (
  SELECT tenant, trace_id, gen_ai_tool_name AS tool, coalesce(mcp_server_name, service_name) AS server,
    mcp_server_version AS version, mcp_tool_schema_digest AS schema_digest, mcp_auth_kind AS auth_kind, start_unix_nano,
    status_code = 'error' OR error_type IS NOT NULL AS failed
  FROM spans
  WHERE gen_ai_tool_name IS NOT NULL AND (kind = 'server' OR mcp_server_name IS NOT NULL) AND {spans}
)
SELECT tool, server, version, schema_digest, auth_kind, count(*) AS calls, count(*) FILTER (WHERE failed) AS failed,
  count(*) FILTER (WHERE passed IS NOT NULL) AS judged, count(*) FILTER (WHERE NOT passed) AS judged_wrong,
  min(start_unix_nano) AS first_unix_nano, max(start_unix_nano) AS last_unix_nano, sample_ids(s.trace_id, start_unix_nano) AS sample_trace_ids
FROM served s LEFT JOIN verdict_of v ON s.tenant = v.tenant AND s.trace_id = v.trace_id
GROUP BY tool, server, version, schema_digest, auth_kind
ORDER BY tool, server, first_unix_nano"
            ),
            traces: format!(
                "SELECT count(*) AS traces, count(DISTINCT root_service) AS root_services FROM traces WHERE {spans}"
            ),
            policies: format!(
                "SELECT policy_decision AS decision, policy_reason AS reason, attr(attributes, 'policy.name') AS policy, count(*) AS decisions,
  count(DISTINCT trace_id) AS traces, sample_ids(trace_id, start_unix_nano) AS sample_trace_ids
FROM spans WHERE policy_decision IS NOT NULL AND {spans}
GROUP BY 1, 2, 3 ORDER BY decisions DESC LIMIT 100"
            ),
            gateways: format!(
                "SELECT count(*) AS requests, count(*) FILTER (WHERE by_gateway) AS by_gateway, count(*) FILTER (WHERE decided) AS decided
FROM (
  SELECT bool_or(stage = 'gateway') AS by_gateway, bool_or(stage = 'authorize') AS decided, bool_or(stage = 'execute') AS executes
  FROM stage_runs WHERE {spans} GROUP BY tenant, trace_id
) WHERE executes"
            ),
            context: format!(
                "SELECT count(*) AS model_calls, count(*) FILTER (WHERE definitions > 0) AS with_definitions,
  count(DISTINCT trace_id) FILTER (WHERE definitions > 0) AS requests, sum(definitions) AS characters,
  sum(input_tokens) FILTER (WHERE definitions > 0) AS input_tokens
FROM (SELECT trace_id, length(coalesce(attr(attributes, 'gen_ai.tool.definitions'), attr(attributes, 'llm.tools'))) AS definitions,
    gen_ai_usage_input_tokens AS input_tokens
  FROM spans WHERE gen_ai_operation_name IN ('chat', 'generate_content', 'text_completion') AND {spans})"
            ),
        }
    }
}

/// One row per tool: those that are called, then those that the catalogue has and nobody calls.
pub fn rows(
    calls: Vec<Map<String, Value>>,
    editions: &[Map<String, Value>],
    traces: &Map<String, Value>,
    catalogue: &Catalogue,
) -> Vec<Map<String, Value>> {
    let all = number(traces, "traces").unwrap_or(0.0);
    let mut rows: Vec<Map<String, Value>> = Vec::new();
    for mut row in calls {
        let tool = row.get("tool").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mine: Vec<&Map<String, Value>> =
            editions.iter().filter(|e| e.get("tool").and_then(Value::as_str) == Some(&tool)).collect();
        let distinct = |column: &str| {
            let mut found: Vec<&str> = mine.iter().filter_map(|e| e.get(column)?.as_str()).collect();
            found.sort_unstable();
            found.dedup();
            json!(found)
        };
        // A gateway serves it too; the tool's own server is the one that says which edition it is.
        let says = |e: &&&Map<String, Value>| {
            e.get("schema_digest").or(e.get("version")).is_some_and(|v| !v.is_null())
        };
        let server = mine
            .iter()
            .find(says)
            .or(mine.first())
            .and_then(|e| e.get("server")?.as_str())
            .map(str::to_owned);
        let entry = catalogue.entry(&tool, server.as_deref());
        let share = ratio_of(number(&row, "traces").unwrap_or(0.0), all);
        let callers = texts(row.get("callers"));
        row.extend([
            ("server".to_owned(), json!(server)),
            ("owner".to_owned(), json!(entry.and_then(|e| e.owner.clone()))),
            ("catalogued".to_owned(), json!(catalogue.word(entry))),
            ("callers".to_owned(), json!(callers)),
            ("versions".to_owned(), distinct("version")),
            ("schema_digests".to_owned(), distinct("schema_digest")),
            ("auth_kinds".to_owned(), distinct("auth_kind")),
            ("trace_share".to_owned(), share),
        ]);
        rows.push(row);
    }
    let seen: Vec<String> = rows.iter().filter_map(|r| r.get("tool")?.as_str().map(str::to_owned)).collect();
    for entry in catalogue.entries().iter().filter(|e| !seen.contains(&e.tool)) {
        let row = json!({
            "tool": entry.tool, "server": entry.server, "owner": entry.owner, "catalogued": "unseen", "callers": [], "versions": [],
            "schema_digests": [], "auth_kinds": [], "logical_calls": 0, "attempts": 0, "retries": 0, "failed_attempts": 0, "wasted_ns": 0,
            "traces": 0, "trace_share": ratio_of(0.0, all), "failed_traces": 0, "requests_lost": 0, "sample_trace_ids": [],
        });
        rows.extend(row.as_object().cloned());
    }
    rows
}

/// What tool definitions take of models' context, as far as it was recorded.
pub fn context_tax(row: Map<String, Value>) -> Value {
    let n = |column: &str| number(&row, column);
    let with = n("with_definitions").unwrap_or(0.0);
    if with == 0.0 {
        // Nobody recorded definitions: unknown, not none.
        return Value::Null;
    }
    let tokens = n("characters").unwrap_or(0.0) / CHARS_PER_TOKEN;
    json!({
        "model_calls": row.get("model_calls"), "with_definitions": row.get("with_definitions"), "requests": row.get("requests"),
        "definition_tokens_estimated": tokens.round(),
        "definition_tokens_per_request_estimated": n("requests").filter(|r| *r > 0.0).map(|r| (tokens / r).round()),
        "share_of_input_estimated": n("input_tokens").filter(|t| *t > 0.0).map(|t| (tokens / t).min(1.0)),
    })
}
