//! What is no part of the table goes, when nobody needs it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use plimsoll_store::lake::Commit;

use super::{adding, open, root, rows, some_rows, sorted, write};

const AT_ONCE: Duration = Duration::ZERO;

/// Everything below a folder but the log.
fn everything(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("readable") {
            let path = entry.expect("readable").path();
            if path.ends_with("_delta_log") {
                continue;
            }
            if path.is_dir() {
                folders.push(path.clone());
            }
            found.push(path);
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn files_sidecars_and_folders_that_nobody_needs_are_deleted() {
    let home = tempfile::tempdir().expect("a folder");
    let mut table = open(home.path()).await;
    let all = some_rows(5, 2, 1);
    table.commit(adding(vec![write(table.home(), "kept", &all)])).await.expect("commits");
    let kept = everything(&root(&table));
    // Replaced, half-written by a crash, and a sidecar without its file.
    table.commit(adding(vec![write(table.home(), "replaced", &some_rows(1, 1, 2))])).await.expect("commits");
    let replaced = table.files()[1].clone();
    let removes = vec![replaced.clone()];
    table.commit(Commit { removes, ..adding(Vec::new()) }).await.expect("commits");
    let crashed = write(table.home(), "crashed", &some_rows(1, 1, 3));
    std::fs::remove_file(root(&table).join(&crashed.path)).expect("was there");
    assert!(everything(&root(&table)).len() > kept.len());

    // Someone still reads it.
    let in_use = replaced.path.clone();
    table.vacuum(AT_ONCE, |path| path == in_use).await.expect("vacuums");
    assert!(root(&table).join(&replaced.path).exists());
    // Not for long enough.
    table.vacuum(Duration::from_secs(3_600), |_| false).await.expect("vacuums");
    assert!(root(&table).join(&replaced.path).exists());
    assert_eq!(table.vacuum(AT_ONCE, |_| false).await.expect("vacuums"), 1);
    // The folders are seen to be empty the next time.
    table.vacuum(AT_ONCE, |_| false).await.expect("vacuums");
    table.vacuum(AT_ONCE, |_| false).await.expect("vacuums");
    assert_eq!(everything(&root(&table)), kept);
    assert_eq!(rows(&open(home.path()).await), sorted(&[&all]));
    // And they come back when they are needed.
    let again = some_rows(1, 1, 4);
    table.commit(adding(vec![write(table.home(), "replaced", &again)])).await.expect("commits");
    assert_eq!(rows(&table), sorted(&[&all, &again]));
}
