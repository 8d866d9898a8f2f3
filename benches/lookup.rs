//! What does it cost to find one trace by its id, and the newest spans, among a month of files?
//!
//! `cargo bench --bench lookup -- --files 20000 --days 30`; with `--file-spans 5000` they hold a hundred million spans.
//!
//! The files are written through the store's own writer, each of one request's spans, so that a lake of many files is there in minutes.

#[allow(dead_code)] // Each bench uses its part of what they share.
mod common;

use std::path::Path;
use std::time::Instant;

use arrow::array::{AsArray, Int64Array, UInt32Array};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use common::load::{Load, SPANS_PER_REQUEST};
use common::server::Server;
use common::{argument, timed};
use plimsoll_collector::OtlpDecoder;
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{Tenant, TraceId, UnixNanos};
use plimsoll_store::lake::{
    Commit, Effort, Gather, LakeTable, Part, Partition, Sidecar, TokenBloom, write_files,
};
use plimsoll_store::{DataFile, Decode, FileList, Home, RecordKind, RecordMeta};

const DAY_NS: u64 = 86_400_000_000_000;
const LOOKUPS: usize = 500;
const SPANS_THEN: usize = 500_000;
const FILES_PER_COMMIT: usize = 500;
const SLICES: [&str; 4] = ["default-interactive", "default-batch", "default-research", "default-support"];

fn main() {
    let (files, days) = (argument("files", 20_000), argument("days", 30).max(1));
    let file_spans = argument("file-spans", SPANS_PER_REQUEST as u64) as usize;
    let home = tempfile::tempdir().expect("a temporary folder");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let begun = Instant::now();
    let ids = runtime.block_on(make(home.path(), files, file_spans, days));
    println!("files / days                 {files} / {days}, made in {:.0} s", begun.elapsed().as_secs_f64());

    let begun = Instant::now();
    let table = runtime.block_on(open(home.path()));
    println!("log and sidecars opened      {:.0} ms", begun.elapsed().as_secs_f64() * 1e3);
    resident(&table, &ids);
    drop(table);

    let begun = Instant::now();
    let server = Server::start(home.path(), &[("PLIMSOLL__STORE__MERGE_EVERY", "10000h")]);
    println!("server ready after           {:.0} ms", begun.elapsed().as_secs_f64() * 1e3);
    println!("peak memory then             {:.0} MiB", server.peak_memory() as f64 / (1 << 20) as f64);
    let step = (ids.len() / LOOKUPS).max(1);
    let some: Vec<&String> = ids.iter().step_by(step).take(LOOKUPS).collect();
    for what in ["first", "warm"] {
        let ask = |id: &&String| format!("/api/v1/traces/{id}");
        timed(&format!("trace by id, {what}"), &server, some.iter().map(ask).map(|path| (path, None)));
    }
    let sql = |sql: String| ("/api/v1/sql".to_owned(), Some(serde_json::json!({ "sql": sql }).to_string()));
    let by_id = |id: &&String| sql(format!("SELECT count(*) FROM spans WHERE trace_id = '{id}'"));
    timed("trace by id in SQL", &server, some.iter().take(100).map(by_id));
    for newest in ["trace_id, start_time, name, duration_ns", "*"] {
        let ask = |_| sql(format!("SELECT {newest} FROM spans ORDER BY start_time DESC LIMIT 20"));
        timed(&format!("newest 20 spans ({})", &newest[..1]), &server, (0..30).map(ask));
    }
    // Settling asks every file for every trace.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let cpu = server.cpu();
    let (sent, _) =
        Load::new(files, now.as_nanos() as u64 - 60_000_000_000, 1_000_000).send(&server, SPANS_THEN);
    server.wait_until_flushed();
    let each = (server.cpu() - cpu).as_secs_f64() * 1e6 / sent as f64;
    println!("CPU µs a span taken in then  {each:.2}");
    println!("peak memory at the end       {:.0} MiB", server.peak_memory() as f64 / (1 << 20) as f64);
}

async fn open(folder: &Path) -> LakeTable {
    let home = Home::open(&folder.into()).expect("opens");
    LakeTable::open(&home, Table::Spans).await.expect("opens")
}

/// A lake of spans; answers a trace id of each file.
async fn make(folder: &Path, files: u64, file_spans: usize, days: u64) -> Vec<String> {
    let mut table = open(folder).await;
    let home = table.home().clone();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let first_day = now.as_nanos() as u64 / DAY_NS - days;
    let write = |number: u64| {
        // Ends well before midnight, so that each file is of one day.
        let (day, within) = (number * days / files, number % files.div_ceil(days));
        let start = (first_day + day) * DAY_NS + within * (DAY_NS / 10 * 9) / files.div_ceil(days);
        file(&home, number, file_spans, (first_day + day) as i32, start)
    };
    let mut ids = Vec::new();
    let numbers: Vec<u64> = (0..files).collect();
    for numbers in numbers.chunks(FILES_PER_COMMIT) {
        let (left, right) = numbers.split_at(numbers.len() / 2);
        let written = std::thread::scope(|scope| {
            let left = scope.spawn(|| left.iter().map(|n| write(*n)).collect::<Vec<_>>());
            let right: Vec<_> = right.iter().map(|n| write(*n)).collect();
            left.join().expect("writes").into_iter().chain(right).collect::<Vec<_>>()
        });
        let (adds, some): (Vec<DataFile>, Vec<String>) = written.into_iter().unzip();
        ids.extend(some);
        let commit = Commit { adds, removes: Vec::new(), transaction: None, data_change: true };
        table.commit(commit).await.expect("commits");
        table.maintain().await.expect("maintains");
    }
    ids
}

/// One file of the spans of one request.
fn file(home: &Home, number: u64, spans: usize, day: i32, start_unix_nano: u64) -> (DataFile, String) {
    let mut load = Load::new(number, start_unix_nano, 1_000_000_000);
    load.spans_per_request = spans;
    let request = load.request();
    let ingest = UnixNanos(start_unix_nano as i64);
    let meta = RecordMeta { kind: RecordKind::Traces, tenant: Tenant::default(), ingest };
    let decoded = OtlpDecoder.decode(&meta, &request.bytes).expect("decodes");
    let (_, batch) = decoded.batches.into_iter().find(|(t, _)| *t == Table::Spans).expect("spans");
    let starts =
        batch.column_by_name("start_unix_nano").expect("a start").as_primitive::<Int64Type>().clone();
    let mut rows: Vec<u32> = (0..batch.num_rows() as u32).collect();
    rows.sort_by_key(|row| (decoded.span_keys[*row as usize].0, starts.value(*row as usize)));
    let mut columns = batch.columns().to_vec();
    columns.push(std::sync::Arc::new(Int64Array::from(vec![1; batch.num_rows()])));
    let batches = [RecordBatch::try_new(Table::Spans.file_schema(), columns).expect("the table's schema")];
    let partition = Partition { day, slice: Some(SLICES[number as usize % SLICES.len()]) };
    let part = Part { partition, rows: UInt32Array::from(rows) };
    let all = Gather::of(Table::Spans.file_schema(), &batches);
    let written = write_files(home, Table::Spans, &all, &[part], Effort::Thorough).expect("written");
    (written.into_iter().next().expect("a file"), request.trace_ids[number as usize % 12].clone())
}

/// What the index holds in memory, and how often it errs.
fn resident(table: &LakeTable, ids: &[String]) {
    let files = table.files();
    let spans: u64 = files.iter().map(|f| f.rows).sum();
    let each = |question: fn(&Sidecar) -> usize| -> usize {
        files.iter().filter_map(|f| f.filters.as_ref()?.ask(question)).sum()
    };
    let bytes = each(|s| s.traces.memory_bytes());
    let tokens = each(|s| s.tokens.as_ref().map_or(0, TokenBloom::memory_bytes));
    println!("spans                        {spans}");
    for (what, bytes) in [("blooms of trace ids", bytes), ("blooms of attributes", tokens)] {
        let (all, each) = (bytes as f64 / (1 << 20) as f64, bytes as f64 / spans as f64);
        println!("{what:<28} {all:.1} MiB, {each:.2} B a span");
    }
    let ids: Vec<TraceId> =
        ids.iter().step_by((ids.len() / 2_000).max(1)).map(|id| id.parse().expect("an id")).collect();
    let list = FileList::from(files.to_vec());
    let begun = Instant::now();
    let opened: usize = ids.iter().map(|id| list.that_may_hold(std::slice::from_ref(id)).count()).sum();
    let lookup = begun.elapsed() / ids.len() as u32;
    println!(
        "files opened a lookup        {:.3}, found in {:.0} µs",
        opened as f64 / ids.len() as f64,
        lookup.as_secs_f64() * 1e6
    );
}
