//! A server that speaks S3, on loopback: `versitygw` over a temporary folder, installed by `tests/setup.sh`.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::harness::PATIENCE;

const BUCKET: &str = "lake";

pub struct S3 {
    process: Child,
    folder: tempfile::TempDir,
    url: String,
}

impl S3 {
    /// Starts it with one bucket.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for part in ["objects/lake", "metadata"] {
            std::fs::create_dir_all(folder.path().join(part)).expect("made");
        }
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
        let address = format!("127.0.0.1:{port}");
        let process = run(folder.path(), &address);
        Self { process, folder, url: format!("http://{address}") }
    }

    /// A home in its bucket.
    pub fn home(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}")
    }

    /// What a client needs to know, as environment, with further settings.
    pub fn settings<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let own = [
            ("AWS_ENDPOINT_URL", self.url.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "plimsoll"),
            ("AWS_SECRET_ACCESS_KEY", "plimsoll-secret"),
            ("AWS_REGION", "us-east-1"),
        ];
        own.into_iter().chain(more.iter().copied()).collect()
    }

    /// The folder with the bucket's objects.
    pub fn objects(&self) -> PathBuf {
        self.folder.path().join("objects").join(BUCKET)
    }

    /// Ends it, does something, and starts it again.
    pub async fn without(&mut self, act: impl AsyncFnOnce()) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
        act().await;
        self.process = run(self.folder.path(), self.url.trim_start_matches("http://"));
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(folder: &Path, address: &str) -> Child {
    let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.s3/versitygw");
    assert!(binary.is_file(), "{}: not there; run tests/setup.sh", binary.display());
    let process = Command::new(binary)
        .args(["--access", "plimsoll", "--secret", "plimsoll-secret", "--port", address, "--quiet"])
        .args(["posix", "--sidecar"])
        .args([folder.join("metadata"), folder.join("objects")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "the S3 server does not listen");
        std::thread::yield_now();
    }
    process
}
