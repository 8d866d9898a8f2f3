//! The real server as a process of its own, so that what is measured is all that it costs.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::http::Client;

pub struct Server {
    process: Child,
    pub http: String,
    pub otlp: String,
}

impl Server {
    /// Starts `plimsoll serve` on free ports and waits until it is ready. `settings` are environment variables.
    pub fn start(home: &Path, settings: &[(&str, &str)]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
            .args(["serve", "--listen-http", "127.0.0.1:0", "--listen-otlp-http", "127.0.0.1:0"])
            .args(["--listen-otlp-grpc", "off", "--home"])
            .arg(home)
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut out = BufReader::new(process.stdout.take().expect("piped"));
        let mut line = String::new();
        while !line.contains("ready") {
            line.clear();
            assert!(out.read_line(&mut line).expect("readable") > 0, "the server ended before it was ready");
        }
        let value = |key: &str| -> String {
            let word = line.split_whitespace().find_map(|w| w.strip_prefix(key)?.strip_prefix('='));
            let word = word.unwrap_or_else(|| panic!("no {key} in the ready line: {line}"));
            word.trim_start_matches("http://").trim_end_matches('/').to_owned()
        };
        Self { http: value("http"), otlp: value("otlp-http"), process }
    }

    pub fn client(&self) -> Client {
        Client::connect(&self.http).expect("the server listens")
    }

    /// CPU time, user and system, that the process has used so far.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("procfs");
        let after_name = stat.rsplit_once(')').expect("a stat line").1;
        let ticks: u64 =
            after_name.split_whitespace().skip(11).take(2).map(|t| t.parse::<u64>().expect("ticks")).sum();
        // USER_HZ is 100 on every Linux that Rust supports.
        Duration::from_millis(ticks * 10)
    }

    /// The most memory that the process has held, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("procfs");
        let line = status.lines().find(|l| l.starts_with("VmHWM")).expect("VmHWM");
        line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).expect("kB") * 1024
    }

    /// The answer of `GET /api/v1/system`.
    pub fn system(&self) -> serde_json::Value {
        serde_json::from_slice(&self.client().get("/api/v1/system").expect("answers").body).expect("JSON")
    }

    /// Waits until every span is settled and in files.
    pub fn wait_until_flushed(&self) {
        let deadline = Instant::now() + Duration::from_secs(600);
        loop {
            let system = self.system();
            let pending = system["settle"]["pending_traces"].as_u64();
            let tail = system["tail"]["rows"].as_u64();
            if pending == Some(0) && tail == Some(0) {
                return;
            }
            assert!(Instant::now() < deadline, "not flushed after ten minutes: {system}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGTERM by the shell's own means: the server flushes and leaves no log.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}
