//! A file that is mended is as it was written. What it was before stays too, and nobody takes it for data.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;
use plimsoll_schemas::table::Table;
use plimsoll_store::Home;
use plimsoll_store::files::faulty::{Fault, FaultyFiles, Restart};
use plimsoll_store::lake::{LakeTable, Mended, mend};

use super::{adding, at, rows, some_rows, write};

/// A table of one file, and its name in the home.
async fn table_of_one_file(home: &Home) -> (LakeTable, String) {
    let mut table = LakeTable::open(home, Table::Spans).await.expect("opens");
    table.commit(adding(vec![write(home, "acme__m_", &some_rows(40, 5, 1))])).await.expect("commits");
    let name = format!("spans/{}", table.files()[0].path);
    (table, name)
}

fn kept_as(file: &str) -> String {
    format!("spans/_damaged/{}.damaged", file.strip_prefix("spans/").expect("its table"))
}

async fn get(home: &Home, object: &str) -> Vec<u8> {
    home.get(object).await.expect("readable").unwrap_or_else(|| panic!("no {object}")).into()
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 4;
    bytes
}

/// The one file that was mended.
fn mended(found: &Mended) -> (PathBuf, Option<PathBuf>, &[u64]) {
    let [damage] = found.damaged.as_slice() else { panic!("{found:?}") };
    assert!(found.whole == 1 && damage.lost.is_empty(), "{found:?}");
    (damage.file.clone(), damage.kept_as.clone(), &damage.mended)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_file_was_before_it_was_mended_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    for home in [at(folder.path()), Home::in_bucket(Arc::new(InMemory::new()), "memory://lake")] {
        let (mut table, file) = table_of_one_file(&home).await;
        let (whole, kept) = (get(&home, &file).await, kept_as(&file));
        let damaged = flipped(&whole, 100);
        home.put(&file, damaged.clone().into()).await.expect("written");
        let found = mend(&home).await.expect("mends");
        assert_eq!(mended(&found), (home.name(&file), Some(home.name(&kept)), &[100][..]));
        assert!(get(&home, &file).await == whole && get(&home, &kept).await == damaged);
        assert!(mend(&home).await.expect("reads").damaged.is_empty());

        // It is no part of the table, and nothing that is to go.
        assert_eq!(table.vacuum(Duration::ZERO, |_| false).await.expect("vacuums"), 0);
        assert_eq!(get(&home, &kept).await, damaged);
        let again = LakeTable::open(&home, Table::Spans).await.expect("opens");
        assert_eq!(rows(&again), some_rows(40, 5, 1));

        // The file rots again: what is kept of it stays, and what it was now beside that.
        let again = flipped(&whole, 200);
        home.put(&file, again.clone().into()).await.expect("written");
        let beside = kept.replace(".damaged", ".2.damaged");
        let found = mend(&home).await.expect("mends");
        assert_eq!(mended(&found), (home.name(&file), Some(home.name(&beside)), &[200][..]));
        assert!(get(&home, &file).await == whole);
        assert!(get(&home, &kept).await == damaged && get(&home, &beside).await == again);
        // The same damage once more has its copy.
        home.put(&file, again.into()).await.expect("written");
        assert_eq!(mended(&mend(&home).await.expect("mends")).1, Some(home.name(&beside)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_step_of_mending_loses_neither_the_file_nor_what_it_was() {
    let folder = Path::new("/home");
    for how in [Restart::Killed, Restart::PowerLost] {
        for operation in 0.. {
            let files = FaultyFiles::new(operation);
            let home = || Home::on_disk(Arc::new(files.clone()), folder).expect("no fault");
            let first = home();
            let (_, file) = table_of_one_file(&first).await;
            let whole = get(&first, &file).await;
            let damaged = flipped(&whole, 100);
            files.corrupt(&folder.join(&file), |bytes| bytes.clone_from(&damaged)).expect("it is there");
            files.fail_at(files.operations() + operation, Fault::Crash);
            let ended = mend(&first).await;
            files.restart(how);
            let next = home();
            mend(&next).await.expect("no fault any more");
            let case = format!("{how:?} before operation {operation}");
            assert!(get(&next, &file).await == whole, "{case}");
            assert!(get(&next, &kept_as(&file)).await == damaged, "{case}");
            if ended.is_ok() {
                break;
            }
        }
    }
}
