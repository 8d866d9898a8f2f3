//! A bit that is flipped in a data file: the damage is named, or does no harm, nothing panics, and other files are read as ever.

use std::panic::AssertUnwindSafe;

use plimsoll_schemas::table::Table;
use plimsoll_store::lake::{read_file, read_traces};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::{adding, open, root, rows, some_rows, sorted, write};

/// Flips that are tried; more with `PLIMSOLL_DAMAGE_FLIPS`.
const FLIPS: usize = 1_000;

#[tokio::test]
async fn a_flipped_bit_is_named_or_does_no_harm() {
    let home = tempfile::tempdir().expect("a folder");
    let mut table = open(home.path()).await;
    let (ours, others) = (some_rows(40, 5, 1), some_rows(7, 3, 2));
    let files = vec![write(table.home(), "acme__m_", &ours), write(table.home(), "_recent", &others)];
    table.commit(adding(files)).await.expect("commits");
    let (file, other) = (table.files()[0].clone(), table.files()[1].clone());
    let path = root(&table).join(&file.path);
    let whole = std::fs::read(&path).expect("readable");
    let before = read_file(Table::Spans, &file).expect("opens");
    let before: Vec<_> = before.map(|batch| batch.expect("reads")).collect();
    let mut random = SmallRng::seed_from_u64(7);
    let flips = std::env::var("PLIMSOLL_DAMAGE_FLIPS").ok().and_then(|n| n.parse().ok()).unwrap_or(FLIPS);
    let (mut named, mut harmless, mut silent) = (0, 0, 0);
    for _ in 0..flips {
        let (at, bit) = (random.random_range(0..whole.len()), random.random_range(0..8));
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << bit;
        std::fs::write(&path, &damaged).expect("written");
        let when = format!("bit {bit} of byte {at} of {}", whole.len());
        let read = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let all = read_file(Table::Spans, &file)?.collect::<Result<Vec<_>, _>>()?;
            let id = ours[0].trace_id().parse().expect("an id");
            read_traces(&file, &[id], None)?;
            Ok::<_, plimsoll_store::StoreError>(all)
        }));
        match read.unwrap_or_else(|_| panic!("{when}: a panic")) {
            Err(error) => {
                assert!(error.to_string().contains(&file.path), "{when}: {error} does not say where");
                named += 1;
            }
            Ok(batches) if batches == before => harmless += 1,
            Ok(_) => silent += 1,
        }
        let read = read_file(Table::Spans, &other).expect("opens");
        assert_eq!(read.map(|batch| batch.expect("reads").num_rows()).sum::<usize>(), others.len());
    }
    let counts = format!("{named} were named, {harmless} did no harm, {silent} did and were not noticed");
    assert!(silent == 0 && named > harmless, "{counts}");
    std::fs::write(&path, &whole).expect("written");
    assert_eq!(rows(&table), sorted(&[&ours, &others]));
}
