//! How far an import is: a line that changes on a terminal, now and then a line elsewhere; and what came of it.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{IsTerminal, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use plimsoll_import::Format;
use serde_json::Value;

const KINDS: [&str; 3] = ["spans", "log records", "verdicts"];
/// Reasons that are told; more of them seldom say more.
const REASONS_MAX: usize = 10;
const TRACES_MAX: usize = 1_000_000;
const BAR_WIDTH: usize = 24;

/// Counts of one file. By kind: spans, log records, verdicts.
#[derive(Debug)]
pub struct Progress {
    name: String,
    bytes: Option<u64>,
    read: AtomicU64,
    sent: [AtomicU64; 3],
    known: [AtomicU64; 3],
    /// Of trace ids; beyond [`TRACES_MAX`] they are not told apart.
    traces: Mutex<HashSet<u64>>,
    rejected: AtomicU64,
    reasons: Mutex<Vec<String>>,
    begun: Instant,
    shown: Mutex<Instant>,
    is_terminal: bool,
}

impl Progress {
    pub fn of(path: &Path) -> Self {
        let now = Instant::now();
        Self {
            name: path.display().to_string(),
            bytes: std::fs::metadata(path).ok().map(|m| m.len()),
            read: AtomicU64::new(0),
            sent: Default::default(),
            known: Default::default(),
            traces: Mutex::default(),
            rejected: AtomicU64::new(0),
            reasons: Mutex::default(),
            begun: now,
            shown: Mutex::new(now),
            is_terminal: std::io::stderr().is_terminal(),
        }
    }

    /// Notes whose spans these are, `resourceSpans` as they were read.
    pub fn traces(&self, elements: &[Value]) {
        let mut traces = self.traces.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let scopes = elements.iter().flat_map(|e| e["scopeSpans"].as_array().into_iter().flatten());
        for span in scopes.flat_map(|scope| scope["spans"].as_array().into_iter().flatten()) {
            if traces.len() <= TRACES_MAX {
                let mut hasher = DefaultHasher::new();
                span["traceId"].as_str().unwrap_or_default().to_ascii_lowercase().hash(&mut hasher);
                traces.insert(hasher.finish());
            }
        }
    }

    fn trace_count(&self) -> String {
        match self.traces.lock().unwrap_or_else(std::sync::PoisonError::into_inner).len() {
            1 => "1 trace".into(),
            n if n > TRACES_MAX => format!("more than {TRACES_MAX} traces"),
            n => format!("{n} traces"),
        }
    }

    pub fn known(&self, counts: [usize; 3]) {
        for (kind, count) in self.known.iter().zip(counts) {
            kind.fetch_add(count as u64, Relaxed);
        }
    }

    /// What a door answered for `sent` items, of which it may have rejected some.
    pub fn sent(&self, kind: usize, sent: u64, answer: &Value, member: &str) {
        let partial = &answer["partialSuccess"];
        let refused =
            partial[member].as_u64().or_else(|| partial[member].as_str()?.parse().ok()).unwrap_or(0);
        let words = partial["errorMessage"].as_str().filter(|w| !w.is_empty() && refused > 0);
        self.rejected(refused, words.map(str::to_owned));
        self.sent[kind].fetch_add(sent.saturating_sub(refused), Relaxed);
    }

    pub fn rejected(&self, count: u64, reasons: impl IntoIterator<Item = String>) {
        self.rejected.fetch_add(count, Relaxed);
        let mut told = self.reasons.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for reason in reasons {
            if told.len() < REASONS_MAX && !told.contains(&reason) {
                told.push(reason);
            }
        }
    }

    /// At most a few times a second, and seldom where nobody watches.
    pub fn show(&self) {
        let every = if self.is_terminal { Duration::from_millis(200) } else { Duration::from_secs(10) };
        let mut shown = self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if shown.elapsed() < every {
            return;
        }
        *shown = Instant::now();
        let share =
            self.bytes.filter(|b| *b > 0).map(|b| (self.read.load(Relaxed) as f64 / b as f64).min(1.0));
        let counts: Vec<String> = (0..KINDS.len())
            .map(|kind| (kind, self.sent[kind].load(Relaxed) + self.known[kind].load(Relaxed)))
            .filter(|(kind, count)| *count > 0 || *kind == 0)
            .map(|(kind, count)| format!("{count} {}", KINDS[kind]))
            .collect();
        let counts = format!("{}, {}", self.trace_count(), counts.join(", "));
        if self.is_terminal {
            let bar = share.map_or(String::new(), |share| {
                let full = (share * BAR_WIDTH as f64) as usize;
                format!(" {}{} {:3.0} %", "█".repeat(full), "░".repeat(BAR_WIDTH - full), share * 100.0)
            });
            eprint!("\r{}{bar} {counts} ", self.name);
            let _ = std::io::stderr().flush();
        } else {
            let share = share.map_or(String::new(), |share| format!("{:.0} %, ", share * 100.0));
            eprintln!("{}: {share}{counts}", self.name);
        }
    }

    /// Bytes that were read, of how many.
    pub fn bytes(&self) -> (u64, Option<u64>) {
        (self.read.load(Relaxed), self.bytes)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// What came of the file.
    pub fn finish(&self, format: Option<Format>) {
        if self.is_terminal {
            eprint!("\r\x1b[K");
        }
        let counts: Vec<String> = (0..KINDS.len())
            .filter_map(|kind| {
                let (sent, known) = (self.sent[kind].load(Relaxed), self.known[kind].load(Relaxed));
                let there = if known > 0 { format!(" ({known} were there)") } else { String::new() };
                (sent + known > 0 || kind == 0).then(|| format!("{sent} {}{there}", KINDS[kind]))
            })
            .collect();
        let format = format.map_or(String::new(), |f| format!("{}, ", f.as_str()));
        println!(
            "{}: {format}{}, {} in {:.1} s",
            self.name,
            self.trace_count(),
            counts.join(", "),
            self.begun.elapsed().as_secs_f64()
        );
        let rejected = self.rejected.load(Relaxed);
        if rejected > 0 {
            eprintln!("{}: {rejected} could not be kept:", self.name);
            let reasons = self.reasons.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            reasons.iter().for_each(|reason| eprintln!("  {reason}"));
        }
    }
}

/// Counts the bytes that go by.
pub struct Counting<R> {
    bytes: R,
    progress: Arc<Progress>,
}

impl<R> Counting<R> {
    pub fn new(bytes: R, progress: Arc<Progress>) -> Self {
        Self { bytes, progress }
    }
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let read = self.bytes.read(buf)?;
        self.progress.read.fetch_add(read as u64, Relaxed);
        Ok(read)
    }
}
