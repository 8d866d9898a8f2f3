//! `plimsoll salvage`: takes what is whole out of a damaged log, so that the server starts again; and looks for data files that rotted.

use crate::cli::Salvage;

pub async fn run(salvage: &Salvage) -> crate::Outcome {
    // In a bucket a log is of objects, which are whole or not there.
    if salvage.home.folder().is_some() || salvage.wal.is_some() || !salvage.data {
        log(salvage)?;
    }
    if salvage.data {
        data(salvage).await?;
    }
    Ok(())
}

fn log(salvage: &Salvage) -> crate::Outcome {
    let segments = plimsoll_store::salvage(&salvage.home, salvage.wal.as_deref())?;
    if segments.is_empty() {
        let of = salvage.wal.as_ref().map_or(salvage.home.to_string(), |wal| wal.display().to_string());
        println!("The log of {of} is whole: nothing to do.");
    }
    for segment in segments {
        let ranges: Vec<String> =
            segment.damaged.iter().map(|range| format!("{}–{}", range.start, range.end)).collect();
        println!("{}: damaged at bytes {}", segment.segment.display(), ranges.join(", "));
        println!("  {} requests are whole, and replayed at the next start", segment.records);
        println!("  kept as {}; the store does not read it any more", segment.kept_as.display());
    }
    Ok(())
}

async fn data(salvage: &Salvage) -> crate::Outcome {
    let found = plimsoll_store::salvage_data(&salvage.home, salvage.wal.as_deref()).await?;
    let mut is_lost = false;
    for file in &found.damaged {
        println!("{}, which holds {} rows:", file.file.display(), file.rows);
        for byte in &file.mended {
            println!("  a bit of byte {byte} was flipped, and is as it was again");
        }
        for range in &file.lost {
            println!("  bytes {}–{} are not what was written", range.start, range.end);
            is_lost = true;
        }
        if let Some(kept_as) = &file.kept_as {
            println!("  what it was before is kept as {}; nothing reads it any more", kept_as.display());
        }
    }
    println!("{} data files are whole.", found.whole);
    if found.unchecked > 0 {
        println!(
            "{} have no checksums, since another writer or an older version wrote them.",
            found.unchecked
        );
    }
    if is_lost {
        return Err("some data files are damaged by more than single bits: restore them from a copy under their names; \
                    until then questions that read these bytes fail, and merges leave these files as they are"
            .into());
    }
    Ok(())
}
