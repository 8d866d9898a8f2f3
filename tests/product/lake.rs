//! The lake is open: readers that know nothing of Plimsoll see the same rows.

use crate::harness::{QUICK, Server, python};
use crate::wire::{CLIENT, SERVER, With, int, span, text, traces};

#[tokio::test(flavor = "multi_thread")]
async fn other_readers_see_the_same_spans() {
    let home = tempfile::tempdir().expect("a folder");
    let server = Server::start(home.path(), QUICK);
    let start = 1_760_000_000_000_000_000;
    for trace in 1..=60_u8 {
        let at = start + u64::from(trace) * 3_600_000_000_000;
        let model = ["model-a", "model-b"][usize::from(trace % 2)];
        let root = span(trace, 1, 0, SERVER, "invoke_agent", at, at + 900_000_000)
            .with("workload.class", text("chat"))
            .with("gen_ai.request.model", text(model))
            .with("gen_ai.usage.input_tokens", int(i64::from(trace)))
            .with("odd key", text("grüße, =|"))
            .with("note", text(&format!("n{trace}")));
        let child = span(trace, 2, 1, CLIENT, "call", at + 1_000, at + 500_000_000).with("n", int(7));
        server
            .export(["acme", "globex"][usize::from(trace % 2)], traces(vec![("agent", vec![root, child])]))
            .await;
    }
    server.settled().await;
    let url = server.http.clone();
    let by_sql =
        tokio::task::spawn_blocking(move || python("read_lake.py", &["sql", &url])).await.expect("it ran");
    assert_eq!(by_sql["count"], 120);
    assert!(server.terminate().success());
    let folder = home.path().join("spans");
    let folder = folder.to_str().expect("UTF-8");
    for reader in ["deltalake", "chdb"] {
        let read = python("read_lake.py", &[reader, folder]);
        assert_eq!(read, by_sql, "{reader} sees something else");
    }
}
