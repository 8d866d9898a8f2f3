//! `plimsoll check`: what is in force, and where each value came from. Starts nothing.

use crate::cli::Serving;

pub fn run(serving: &Serving) -> crate::Outcome {
    let effective = serving.settings()?;
    for line in effective.lines() {
        println!("{line}");
    }
    let Some(folder) = effective.settings.objectives_folder() else {
        println!("\n# no objectives: the home is a bucket, and objectives.folder names none");
        return Ok(());
    };
    println!("\n# objectives in {}:", folder.display());
    let mut count = 0;
    for path in crate::serve::objective_files(&folder)? {
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let objectives = plimsoll_schemas::objective::parse(&text).map_err(|e| {
            format!("{}: {e}; it must be an OpenSLO document (openslo/v1, kind SLO)", path.display())
        })?;
        for objective in objectives {
            count += 1;
            println!("#   {} ({})", objective.name, objective.stage.as_deref().unwrap_or("request"));
        }
    }
    if count == 0 {
        println!("#   none: every stage is judged by its outcome and its verdicts alone");
    }
    Ok(())
}
