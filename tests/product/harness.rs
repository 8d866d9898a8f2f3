//! A running server, what can be asked of it, and how it ends.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use serde_json::Value;

/// Longer than anything takes on a busy machine; nothing waits for it but what has failed.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Quick settling and flushing, so that tests see rows move.
pub const QUICK: &[(&str, &str)] = &[
    ("PLIMSOLL__STORE__FLUSH_AFTER", "300ms"),
    ("PLIMSOLL__STORE__SETTLE_AFTER", "300ms"),
    ("PLIMSOLL__STORE__MERGE_EVERY", "300ms"),
];

pub struct Server {
    process: Child,
    said: Arc<Mutex<String>>,
    pub http: String,
    pub otlp_grpc: String,
    pub otlp_http: String,
}

impl Server {
    /// Starts `plimsoll serve` and waits until it is ready.
    pub fn start(home: &Path, settings: &[(&str, &str)]) -> Self {
        Self::start_at(home, settings, "127.0.0.1:0")
    }

    /// As [`Self::start`], with the OTLP/HTTP door at a given address, for clients that outlive the server.
    pub fn start_at(home: &Path, settings: &[(&str, &str)], otlp_http: &str) -> Self {
        Self::start_on(home.to_str().expect("UTF-8"), home, settings, otlp_http)
    }

    /// As [`Self::start_at`], with a home that may be a bucket; it runs in `folder`.
    pub fn start_on(home: &str, folder: &Path, settings: &[(&str, &str)], otlp_http: &str) -> Self {
        let mut process = plimsoll()
            .args(["serve", "--listen-http", "127.0.0.1:0", "--listen-otlp-grpc", "127.0.0.1:0"])
            .args(["--listen-otlp-http", otlp_http, "--home", home])
            .envs(settings.iter().copied())
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let said = Arc::new(Mutex::new(String::new()));
        let (lines, heard) = (BufReader::new(process.stderr.take().expect("piped")).lines(), said.clone());
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                eprintln!("{line}");
                heard.lock().expect("not poisoned").push_str(&line);
            }
        });
        let mut line = String::new();
        let out = process.stdout.take().expect("piped");
        BufReader::new(out).read_line(&mut line).expect("readable");
        let door = |name: &str| -> String {
            let word = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            word.unwrap_or_else(|| panic!("no {name} in the ready line {line:?}")).to_owned()
        };
        assert!(line.starts_with("plimsoll is ready:"), "{line:?}");
        Self { http: door("http"), otlp_grpc: door("otlp-grpc"), otlp_http: door("otlp-http"), process, said }
    }

    /// Whether it said so on its standard error.
    pub fn has_said(&self, what: &str) -> bool {
        self.said.lock().expect("not poisoned").contains(what)
    }

    /// The most memory that it ever had, where the system says so.
    pub fn peak_bytes(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak.map_or(0, |kib| kib.trim().parse::<u64>().expect("a number") << 10)
    }

    /// `kill -9`: nothing is said, nothing is flushed.
    pub fn kill(mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }

    /// SIGTERM, and what the process ended with.
    pub fn terminate(mut self) -> ExitStatus {
        end(&mut self.process)
    }

    /// Stops it where it is (SIGSTOP), or lets it go on (SIGCONT).
    pub fn signal(&self, signal: &str) {
        let process = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &process]).status().expect("kill is there");
        assert!(sent.success());
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        let answer =
            send(Method::GET, &format!("{}{path}", self.http), &[], Bytes::new()).await.expect("answers");
        (answer.status, serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
    }

    pub async fn get_ok(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    /// The rows of one statement.
    pub async fn sql(&self, statement: &str) -> Vec<Vec<Value>> {
        let body = serde_json::json!({ "sql": statement, "limit": 1_000_000 }).to_string();
        let headers = [("content-type", "application/json"), ("accept", "application/json")];
        let url = format!("{}/api/v1/sql", self.http);
        let answer = send(Method::POST, &url, &headers, body.into()).await.expect("answers");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, StatusCode::OK, "{statement}: {text}");
        let value: Value = serde_json::from_str(&text).expect("JSON");
        serde_json::from_value(value["rows"].clone()).expect("rows")
    }

    /// The single number of one statement.
    pub async fn number(&self, statement: &str) -> i64 {
        let rows = self.sql(statement).await;
        rows[0][0].as_i64().unwrap_or_else(|| panic!("{statement}: {rows:?}"))
    }

    /// Waits until everything that was acknowledged is settled, flushed and merged.
    pub async fn settled(&self) {
        let unmerged = "SELECT count(*) FROM spans WHERE slice = '_recent'";
        eventually("everything is settled, flushed and merged", async || {
            let system = self.get_ok("/api/v1/system").await;
            let idle = system["settle"]["pending_traces"] == 0 && system["tail"]["rows"] == 0;
            idle && self.number(unmerged).await == 0
        })
        .await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// SIGTERM, and what the process ended with.
pub fn end(process: &mut Child) -> ExitStatus {
    let sent = Command::new("kill").arg(process.id().to_string()).status().expect("kill is there");
    assert!(sent.success());
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = process.try_wait().expect("a child") {
            return status;
        }
        assert!(Instant::now() < deadline, "it does not end after SIGTERM");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The binary under test.
pub fn plimsoll() -> Command {
    Command::new(env!("CARGO_BIN_EXE_plimsoll"))
}

/// Waits for a condition.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// One HTTP request; an error where the server cannot be reached or goes away.
pub async fn send(
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let http: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = http.request(request.body(Full::new(body))?).await?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    Ok(Answer { status, headers, body: answer.into_body().collect().await?.to_bytes() })
}

/// A file that `tests/setup.sh` installs.
pub fn installed(path: &str) -> PathBuf {
    let path = tests_folder().join(path);
    assert!(path.exists(), "{} is missing: run tests/setup.sh first", path.display());
    path
}

pub fn tests_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

pub fn python(script: &str, arguments: &[&str]) -> Value {
    let mut command = Command::new(installed("clients/python/.venv/bin/python"));
    run_json(command.arg(tests_folder().join("clients/python").join(script)).args(arguments))
}

pub fn node(script: &str, arguments: &[&str]) -> Value {
    installed("clients/node/node_modules");
    run_json(Command::new("node").arg(tests_folder().join("clients/node").join(script)).args(arguments))
}

/// Runs a client to its end; it prints JSON.
fn run_json(command: &mut Command) -> Value {
    let output = command.stderr(Stdio::inherit()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?} failed: {}", output.status);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{command:?}: {e}: {}", String::from_utf8_lossy(&output.stdout)))
}
