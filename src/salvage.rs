//! `plimsoll salvage`: takes what is whole out of a damaged log, so that the server starts again.

use crate::cli::Salvage;

pub fn run(salvage: &Salvage) -> crate::Outcome {
    let salvaged = plimsoll_store::salvage(&salvage.home)?;
    if salvaged.is_empty() {
        println!("The log in {} is whole: nothing to do.", salvage.home.join("wal").display());
    }
    for segment in salvaged {
        let ranges: Vec<String> =
            segment.damaged.iter().map(|range| format!("{}–{}", range.start, range.end)).collect();
        println!("{}: damaged at bytes {}", segment.segment.display(), ranges.join(", "));
        println!("  {} requests are whole, and replayed at the next start", segment.records);
        println!("  kept as {}; the store does not read it any more", segment.kept_as.display());
    }
    Ok(())
}
