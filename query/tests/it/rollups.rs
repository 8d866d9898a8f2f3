//! An answer from rollups says what single runs say: however runs came, settled again and were judged, and whatever
//! a stop of the process left behind.

use serde_json::{Map, Value, json};

use crate::fleet::{BEGAN, Fleet, MS, With, span};

const OBJECTIVES: &str = "
apiVersion: openslo/v1
kind: SLO
metadata:
  name: chat
  annotations:
    plimsoll.dev/stage: inference
    plimsoll.dev/latency: 40s
    plimsoll.dev/quality: faithful, safe
spec:
  objectives:
    - target: 0.9
---
apiVersion: openslo/v1
kind: SLO
metadata:
  name: chat-of-m1
  annotations:
    plimsoll.dev/stage: inference
    plimsoll.dev/filter: model=m1
    plimsoll.dev/evaluator: human
spec:
  objectives:
    - target: 0.5
---
apiVersion: openslo/v1
kind: SLO
metadata:
  name: any-chat
  annotations:
    plimsoll.dev/stage: inference
spec:
  objectives:
    - target: 0.5
---
apiVersion: openslo/v1
kind: SLO
metadata:
  name: requests
  annotations:
    plimsoll.dev/stage: request
    plimsoll.dev/quality: solved
spec:
  objectives:
    - target: 0.5
";
const MINUTE_MS: u64 = 60_000;
/// Runs lie in this many minutes after [`BEGAN`].
const MINUTES: u64 = 150;
const TENANTS: [&str; 2] = ["acme", "globex"];

/// Enough to make a different history of each seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }
}

/// A fleet's history: what came so far, so that more may be said of it.
struct History {
    dice: Dice,
    /// Whose, and when it began, by trace.
    traces: Vec<(&'static str, u64)>,
}

impl History {
    /// Something more comes; not always is it settled, so that verdicts come before runs too.
    async fn more(&mut self, fleet: &Fleet) {
        match self.dice.below(7) {
            0 | 1 => self.request(fleet).await,
            2 | 3 => self.late_span(fleet).await,
            _ => self.verdict(fleet).await,
        }
        if self.dice.below(3) == 0 {
            fleet.settle().await;
        }
    }

    /// The process goes on, ends, or is killed and begins again.
    async fn stop(&mut self, fleet: Fleet) -> Fleet {
        match self.dice.below(3) {
            0 => return fleet,
            1 => fleet.store.close(std::time::Duration::from_secs(60)).await.expect("closes"),
            _ => {}
        }
        fleet.copy(&[]).await
    }

    async fn request(&mut self, fleet: &Fleet) {
        let dice = &mut self.dice;
        let trace = self.traces.len() as u8 + 1;
        let (tenant, from) = (dice.of(&TENANTS), dice.below(MINUTES) * MINUTE_MS + dice.below(MINUTE_MS));
        self.traces.push((tenant, from));
        let to = from + 1 + dice.below(3 * MINUTE_MS);
        let mut spans = vec![
            span(trace, 1, 0, "invoke_agent a", from, to)
                .with("gen_ai.operation.name", "invoke_agent")
                .with("gen_ai.conversation.id", &format!("session-{}", trace % 4))
                .with("gen_ai.request.model", dice.of(&["m1", "m2"])),
        ];
        for id in 2..=4 {
            let begin = from + dice.below(to - from);
            let call = span(trace, id, 1, "chat", begin, begin + dice.below(2 * MINUTE_MS))
                .with("gen_ai.operation.name", "chat")
                .with("gen_ai.response.id", &format!("response-{trace}-{id}"));
            spans.push(if dice.below(5) == 0 { call.failed() } else { call });
        }
        // Some were sampled.
        let state = dice.of(&["", "", "ot=th:8", "ot=th:c"]);
        spans.iter_mut().for_each(|span| span.trace_state = state.to_owned());
        fleet.export(tenant, "agent", spans).await;
    }

    /// Of an old trace: below its root, or above it, so that all its runs become others.
    async fn late_span(&mut self, fleet: &Fleet) {
        let Some((trace, tenant, from)) = self.any() else { return };
        let dice = &mut self.dice;
        let begin = from + dice.below(10 * MINUTE_MS);
        let id = 10 + dice.below(5) as u8;
        let late = if dice.below(4) == 0 {
            span(trace, 9, 0, "plan", from.saturating_sub(dice.below(90_000)), begin + 1)
        } else {
            span(trace, id, 1, "chat", begin, begin + 5_000).with("gen_ai.operation.name", "chat")
        };
        fleet.export(tenant, "agent", vec![late]).await;
    }

    async fn verdict(&mut self, fleet: &Fleet) {
        let Some((trace, tenant, _)) = self.any() else { return };
        let dice = &mut self.dice;
        let mut verdict = json!({
            "metric": dice.of(&["faithful", "safe", "solved"]),
            "evaluator": dice.of(&["human", "judge"]),
            "pass": dice.below(2) == 0,
        });
        let id = 2 + dice.below(3);
        let trace_id = format!("{trace:02x}").repeat(16);
        match dice.below(4) {
            0 => verdict["trace_id"] = json!(trace_id),
            1 => verdict["response_id"] = json!(format!("response-{trace}-{id}")),
            2 => verdict["session_id"] = json!(format!("session-{}", trace % 4)),
            _ => {
                verdict["trace_id"] = json!(trace_id);
                verdict["span_id"] = json!(format!("{id:02x}").repeat(8));
            }
        }
        fleet.judge(tenant, verdict).await;
    }

    fn any(&mut self) -> Option<(u8, &'static str, u64)> {
        let at = self.dice.below(self.traces.len().max(1) as u64) as usize;
        self.traces.get(at).map(|(tenant, from)| (at as u8 + 1, *tenant, *from))
    }

    /// A range of at least the two hours from which on rollups are read, or of days, whole minutes or not.
    fn range(&mut self) -> (u64, u64) {
        let edge = |dice: &mut Dice| if dice.below(2) == 0 { 0 } else { dice.below(MINUTE_MS) * MS as u64 };
        let minute = MINUTE_MS * MS as u64;
        let began = BEGAN / minute * minute;
        let start = began + self.dice.below(20) * minute + edge(&mut self.dice);
        let end = start + (121 + self.dice.below(60)) * minute + edge(&mut self.dice);
        let days = self.dice.below(2) * 4;
        (start - days * 24 * 60 * minute, end)
    }
}

/// What goodput says, without the traces that it names; and whether cells said it.
async fn goodput(fleet: &Fleet, parameters: &str) -> (Value, bool) {
    let answer = fleet.get(&format!("goodput?{parameters}")).await;
    let mut rows = answer["rows"].clone();
    for row in rows.as_array_mut().expect("rows") {
        let row = row.as_object_mut().expect("an object");
        row.remove("sample_trace_ids");
        row.remove("incomplete");
    }
    sort(&mut rows);
    let said = answer["explain"]["sql"].to_string();
    let views = ["stage_minutes", "stage_hours", "objective_minutes", "objective_hours"];
    (rows, views.iter().any(|view| said.contains(view)))
}

/// Groups of the same size come in any order.
fn sort(rows: &mut Value) {
    rows.as_array_mut().expect("rows").sort_by_cached_key(|row| {
        let of: Map<String, Value> =
            ["objective", "key"].iter().map(|c| ((*c).to_owned(), row[*c].clone())).collect();
        Value::Object(of).to_string()
    });
}

/// That rollups, as far as they are read, say what single runs say. Answers whether they were.
async fn agrees(fleet: &Fleet, (start, end): (u64, u64), by: &str, tenant: Option<&str>) -> bool {
    let whose = tenant.map_or(String::new(), |t| format!("&tenant={t}"));
    let asked = format!("start={start}&end={end}&by={by}&requests=false{whose}");
    let (cells, is_rolled) = goodput(fleet, &asked).await;
    // Which cells cannot tell.
    let (runs, was_rolled) = goodput(fleet, &format!("{asked}&filter=duration%3E%3D0s")).await;
    assert!(!was_rolled);
    assert_eq!(cells, runs, "{asked}");
    is_rolled
}

async fn history(seed: u64) {
    let mut history = History { dice: Dice(seed), traces: Vec::new() };
    let mut fleet = Fleet::empty(OBJECTIVES).await;
    let mut rolled = 0;
    for _ in 0..4 {
        for _ in 0..8 {
            history.request(&fleet).await;
        }
        history.more(&fleet).await;
        fleet.settle().await;
        fleet.state.roll_up().await.expect("rolls up");
        for _ in 0..3 {
            history.more(&fleet).await;
        }
        if history.dice.below(2) == 0 {
            fleet.settle().await;
        }
        let by = history.dice.of(&["", "model", "tenant,workload_class"]);
        let tenant = [None, Some("acme")][history.dice.below(2) as usize];
        let range = history.range();
        rolled += u32::from(agrees(&fleet, range, by, tenant).await);
        fleet = history.stop(fleet).await;
    }
    assert!(rolled > 0, "no check read any cell");
}

#[tokio::test(flavor = "multi_thread")]
async fn cells_say_what_runs_say() {
    history(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cells_say_what_runs_say_of_another_history() {
    history(2).await;
}

/// All of what [`History`] makes.
fn everything() -> (u64, u64) {
    let minute = MINUTE_MS * MS as u64;
    let start = BEGAN / minute * minute;
    (start, start + (MINUTES + 10) * minute)
}

async fn is_rolled(fleet: &Fleet) {
    assert!(agrees(fleet, everything(), "model", None).await, "nothing was read from cells");
    let runs = fleet.sql("SELECT count(*) FROM stage_runs").await;
    for view in ["stage_minutes", "stage_hours"] {
        let cells = fleet.sql(&format!("SELECT sum(runs) FROM {view} WHERE stage <> 'request'")).await;
        assert_eq!(cells, runs, "{view}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_at_any_step_loses_nothing_and_counts_nothing_twice() {
    let fleet = Fleet::empty(OBJECTIVES).await;
    let mut history = History { dice: Dice(5), traces: Vec::new() };
    for _ in 0..20 {
        history.request(&fleet).await;
    }
    fleet.settle().await;
    assert_eq!(fleet.state.roll_up().await.expect("rolls up"), 1);
    is_rolled(&fleet).await;
    // Cells in memory only; and in files, with what they cover.
    for step in 0..2 {
        let killed = fleet.copy(&[]).await;
        assert!(
            !agrees(&killed, everything(), "model", None).await,
            "before its first pass it knows of no cell"
        );
        assert_eq!(killed.state.roll_up().await.expect("rolls up"), usize::from(step == 0));
        is_rolled(&killed).await;
        fleet.settle().await;
        assert_eq!(fleet.state.roll_up().await.expect("rolls up"), 0);
    }
    // A lake that has no rollups, whatever was said of them, and rollups of which nothing is said.
    for gone in [&["stage_minutes", "stage_hours"][..], &["rolled.json"]] {
        let old = fleet.copy(gone).await;
        assert_eq!(old.state.roll_up().await.expect("rolls up"), 1);
        is_rolled(&old).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quantiles_of_cells_are_those_of_runs() {
    let fleet = Fleet::empty("").await;
    let mut history = History { dice: Dice(7), traces: Vec::new() };
    for _ in 0..30 {
        history.request(&fleet).await;
    }
    fleet.settle().await;
    let (start, end) = everything();
    let runs = "SELECT stage, hdr_quantile(duration_ns, 0.5), hdr_quantile(duration_ns, 0.99), max(duration_ns) FROM stage_runs GROUP BY stage ORDER BY stage";
    let runs = fleet.sql(runs).await;
    let goodput = format!(
        "SELECT objective, model, p99_ns, failed FROM goodput('{start}', '{end}', 'model') ORDER BY 1, 2"
    );
    let of_runs = fleet.sql(&goodput).await;
    fleet.state.roll_up().await.expect("rolls up");
    for view in ["stage_minutes", "stage_hours"] {
        let of = |from: &str| {
            format!(
                "SELECT stage, hdr_quantile(duration_hdr, 0.5), hdr_quantile(duration_hdr, 0.99), max(longest) FROM {from} WHERE stage <> 'request' GROUP BY stage ORDER BY stage"
            )
        };
        let at_once = of(&format!("(SELECT *, duration_max_ns AS longest FROM {view})"));
        assert_eq!(fleet.sql(&at_once).await, runs);
        let merged = of(&format!(
            "(SELECT stage, model, hdr_merge(duration_hdr) AS duration_hdr, max(duration_max_ns) AS longest FROM {view} GROUP BY stage, model)"
        ));
        assert_eq!(fleet.sql(&merged).await, runs);
    }
    assert_eq!(fleet.sql(&goodput).await, of_runs);
    assert!(agrees(&fleet, everything(), "tenant,model", None).await);
}
