//! A bit that is flipped in a data file: whoever reads that part of it is told which file it is, and no answer is wrong.

use std::path::PathBuf;

use plimsoll_schemas::table::Table;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::fleet::{Fleet, request};

const FLIPS: usize = 48;

/// Every value of every span, maps of attributes and lists of events among them.
const EVERYTHING: &str = r#"{"sql": "SELECT * FROM spans ORDER BY trace_id, span_id"}"#;

/// Those that are the table: merges leave others behind for a while.
fn files_of_spans(fleet: &Fleet) -> Vec<PathBuf> {
    let snapshot = fleet.store.snapshot();
    let files = snapshot.table(Table::Spans).files.iter();
    files.map(|file| fleet.home().join("spans").join(&file.path)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_named_and_no_answer_is_wrong() {
    let fleet = Fleet::empty("").await;
    for trace in 1..20 {
        fleet.export("acme", "agent", request(trace, 100, &format!("session-{trace}"))).await;
    }
    fleet.settle().await;
    let whole = fleet.send(http::Method::POST, "sql", EVERYTHING.to_owned()).await.1["rows"].clone();
    let files = files_of_spans(&fleet);
    let mut random = SmallRng::seed_from_u64(11);
    let mut named = 0;
    for _ in 0..FLIPS {
        let file = &files[random.random_range(0..files.len())];
        let before = std::fs::read(file).expect("readable");
        let (at, bit) = (random.random_range(0..before.len()), random.random_range(0..8));
        let mut damaged = before.clone();
        damaged[at] ^= 1 << bit;
        std::fs::write(file, damaged).expect("written");
        let (status, answer) =
            fleet.copy(&[]).await.send(http::Method::POST, "sql", EVERYTHING.to_owned()).await;
        let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
        let when = format!("bit {bit} of byte {at} of {} of {name}: {answer}", before.len());
        if status == 200 {
            assert_eq!(answer["rows"], whole, "{when}");
        } else {
            let said = answer.to_string();
            assert!(said.contains(name) && said.contains("damaged"), "{when}");
            named += 1;
        }
        std::fs::write(file, before).expect("written");
    }
    assert_eq!(named, FLIPS, "all of a file is read");
}

/// A late span asks for what the damaged file has of its trace.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_stops_nothing_else() {
    let fleet = Fleet::empty("").await;
    fleet.export("acme", "agent", request(1, 100, "session-1")).await;
    fleet.settle().await;
    let fleet = fleet.copy(&[]).await;
    let files = files_of_spans(&fleet);
    for file in &files {
        let mut bytes = std::fs::read(file).expect("readable");
        bytes.iter_mut().step_by(1_000).for_each(|byte| *byte ^= 1);
        std::fs::write(file, bytes).expect("written");
    }
    let mut late = request(1, 100, "session-1");
    late.truncate(1);
    late[0].span_id = vec![9; 8];
    fleet.export("acme", "agent", late).await;
    fleet.export("acme", "agent", request(2, 100, "session-2")).await;
    fleet.settle().await;
    let ask = async |sql: &str| {
        let body = serde_json::json!({ "sql": sql }).to_string();
        fleet.send(http::Method::POST, "sql", body).await
    };
    let (status, answer) = ask("SELECT count(*) FROM traces WHERE session_id = 'session-2'").await;
    assert_eq!((status.as_u16(), &answer["rows"]), (200, &serde_json::json!([[1]])), "{answer}");
    let (status, answer) = ask("SELECT count(DISTINCT parent_span_id) FROM spans").await;
    assert!(status != 200 && answer.to_string().contains("damaged"), "{answer}");
    let damaged = fleet.get("system").await["damaged_files"].clone();
    let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    assert_eq!(damaged, serde_json::json!(names));
    // Others go on being merged, and what is damaged stays as it is.
    fleet.export("acme", "agent", request(3, 100, "session-3")).await;
    fleet.settle().await;
    assert!(files.iter().all(|file| file.exists()));
    let jobs = "SELECT count(*) FROM plimsoll.jobs WHERE kind = 'merge' AND state = 'done'";
    assert_ne!(ask(jobs).await.1["rows"], serde_json::json!([[0]]));
}

/// Then it is not known which traces the file has.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_damaged_with_its_sidecar_keeps_nobody_from_opening() {
    let fleet = Fleet::empty("").await;
    fleet.export("acme", "agent", request(1, 100, "session-1")).await;
    fleet.settle().await;
    let mut damaged = 0;
    for file in files_of_spans(&fleet) {
        let name = file.file_stem().and_then(|name| name.to_str()).expect("a name");
        for path in [file.clone(), file.with_file_name(format!("_{name}.bloom"))] {
            let mut bytes = std::fs::read(&path).expect("readable");
            bytes.iter_mut().step_by(100).for_each(|byte| *byte ^= 1);
            std::fs::write(&path, bytes).expect("written");
            damaged += 1;
        }
    }
    assert!(damaged >= 2);
    let fleet = fleet.copy(&[]).await;
    fleet.export("acme", "agent", request(2, 100, "session-2")).await;
    fleet.settle().await;
    let sql = r#"{"sql": "SELECT count(*) FROM traces WHERE session_id = 'session-2'"}"#;
    let (status, answer) = fleet.send(http::Method::POST, "sql", sql.to_owned()).await;
    assert_eq!((status.as_u16(), &answer["rows"]), (200, &serde_json::json!([[1]])), "{answer}");
    let (status, answer) = fleet.send(http::Method::POST, "sql", EVERYTHING.to_owned()).await;
    assert!(status != 200 && answer.to_string().contains("damaged"), "{answer}");
}
