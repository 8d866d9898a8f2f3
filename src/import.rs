//! `plimsoll import`: files of other tools, sent through the server's own doors.
//!
//! What is there already is asked before it is sent, so that an import can be interrupted anywhere and begun again, and the
//! same file twice adds nothing.

mod chunk;
mod job;
mod known;
mod progress;
mod send;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plimsoll_import::{Format, ImportError};
use tokio::sync::mpsc;

use crate::cli::Import;
use crate::client::Api;
use chunk::{Chunk, Chunker};
use job::Job;
use known::DealtWith;
use progress::{Counting, Progress};
use send::Sender;

/// Chunks between the reader and the sender.
const CHUNKS_AHEAD: usize = 4;

pub async fn run(import: Import) -> crate::Outcome {
    let files = files(&import.files)?;
    match &import.home {
        None => all(&import, &files, Sender::new(&import.url, &import.otlp_url, &import.tenant)).await,
        Some(home) => {
            crate::serve::alone(home, async |addresses| {
                let http = addresses.http.ok_or("the HTTP door is off")?;
                let otlp = addresses.otlp_http.ok_or("the OTLP/HTTP door is off")?;
                let sender =
                    Sender::new(&format!("http://{http}"), &format!("http://{otlp}"), &import.tenant);
                all(&import, &files, sender).await
            })
            .await
        }
    }
}

/// What is named, in that order. Folders stand for the files in them and below, by name, but hidden ones; patterns such as
/// `*.json` for what matches them, where no shell did so.
fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for path in named {
        // Named pipes are files too; a file may be called as a pattern.
        if path.exists() || path == Path::new("-") {
            add(path, &mut files)?;
            continue;
        }
        let missing =
            || format!("{}: no such file or folder, and no pattern that matches one", path.display());
        let pattern = path.to_str().ok_or_else(missing)?;
        let matches = glob::glob(pattern).map_err(|e| format!("{pattern}: {e}"))?;
        let mut found: Vec<PathBuf> =
            matches.collect::<Result<_, _>>().map_err(|e| format!("{pattern}: {e}"))?;
        if found.is_empty() {
            return Err(missing());
        }
        found.sort();
        found.iter().try_for_each(|path| add(path, &mut files))?;
    }
    Ok(files)
}

fn add(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let told = |e: std::io::Error| format!("{}: {e}", path.display());
    let entries = std::fs::read_dir(path).map_err(told)?;
    let mut within: Vec<PathBuf> =
        entries.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>().map_err(told)?;
    within.retain(|p| p.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b".")));
    within.sort();
    // A link to a folder above would lead round and round.
    within.retain(|p| !(p.is_symlink() && p.is_dir()));
    within.iter().try_for_each(|path| add(path, files))
}

async fn all(import: &Import, files: &[PathBuf], sender: Sender) -> crate::Outcome {
    let mut failed = 0;
    for path in files {
        let progress = Arc::new(Progress::of(path));
        let job = Job::default();
        let done = one(path, import.format, &sender, &progress, &job).await;
        job.end(&sender.api, &progress, done.as_ref().err().map(ToString::to_string)).await;
        progress.finish(done.as_ref().ok().copied().flatten());
        if let Err(problem) = done {
            eprintln!("plimsoll: {}: {problem}", path.display());
            failed += 1;
        }
    }
    if failed > 0 {
        return Err(format!("{failed} of {} files were not read to their end", files.len()).into());
    }
    Ok(())
}

async fn one(
    path: &Path,
    format: Option<Format>,
    sender: &Sender,
    progress: &Arc<Progress>,
    job: &Job,
) -> Result<Option<Format>, Box<dyn std::error::Error + Send + Sync>> {
    let (chunks, mut received) = mpsc::channel::<Chunk>(CHUNKS_AHEAD);
    let (from, counted) = (path.to_owned(), progress.clone());
    let reader = tokio::task::spawn_blocking(move || read(&from, format, &chunks, counted));
    let mut sent = Ok(());
    let mut dealt_with = DealtWith::default();
    while let Some(chunk) = received.recv().await {
        sent = sender.send(chunk, &mut dealt_with, progress).await;
        if sent.is_err() {
            // Nobody reads on for a server that takes nothing more.
            drop(received);
            break;
        }
        progress.show();
        job.tell(&sender.api, progress).await;
    }
    let read = reader.await?;
    sent?;
    Ok(Some(read?))
}

/// Everything that the file holds, in chunks; what was whole is handed over also where the rest is damaged.
fn read(
    path: &Path,
    format: Option<Format>,
    chunks: &mpsc::Sender<Chunk>,
    progress: Arc<Progress>,
) -> Result<Format, ImportError> {
    let bytes: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path)?)
    };
    let mut chunker = Chunker::default();
    let hand_over = |chunk: Chunk| {
        chunks.blocking_send(chunk).map_err(|_| ImportError::Sink("the server takes nothing more".into()))
    };
    let read = plimsoll_import::read(Counting::new(bytes, progress), format, &mut |item| {
        chunker.push(item).into_iter().try_for_each(hand_over)
    });
    if let Some(rest) = chunker.finish() {
        hand_over(rest)?;
    }
    read
}

impl Sender {
    fn new(url: &str, otlp_url: &str, tenant: &str) -> Self {
        Self { api: Api::new(url), otlp: Api::new(otlp_url), tenant: tenant.to_owned() }
    }
}
