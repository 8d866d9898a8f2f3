//! The web UI on real data, in a real browser: `tests/browser` clicks through it.

use std::process::{Command, Stdio};

use crate::harness::{Server, installed, plimsoll, tests_folder};

#[tokio::test(flavor = "multi_thread")]
async fn every_screen_works_on_the_demos_data() {
    let chromium = std::fs::read_to_string(installed(".chromium-path")).expect("readable");
    let home = tempfile::tempdir().expect("a folder");
    let loaded = plimsoll()
        .args(["demo", "--once", "--history", "20m", "--home"])
        .arg(home.path())
        .stdout(Stdio::null())
        .status()
        .expect("it runs");
    assert!(loaded.success(), "the demo's data was not loaded: {loaded}");
    let server = Server::start(home.path(), &[]);
    let status = Command::new("node")
        .args(["--test", "--test-reporter=spec"])
        .current_dir(tests_folder().join("browser"))
        .env("PLIMSOLL_URL", &server.http)
        .env("CHROMIUM", chromium.trim())
        .status()
        .expect("node runs");
    assert!(status.success(), "the browser's tests failed: {status}");
}
