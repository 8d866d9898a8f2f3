//! The one binary: what was typed, what it means, and who does it.

mod analysis;
mod check;
mod cli;
mod client;
mod compare;
mod demo;
mod import;
mod memory;
mod salvage;
mod serve;
mod settings;
mod sql;
mod terminal;
mod trace;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use cli::{Cli, Command};

/// Commands end with a sentence for a person: what, where, what to do.
type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// How long a thread that may block waits for work: each keeps memory for itself as long as it lives.
const IDLE: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    memory::give_back_soon();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_keep_alive(IDLE).build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(run());
            // A thread may still wait for a bucket, and goes with the process; a runtime that is gone below it is a panic to it.
            std::mem::forget(runtime);
            code
        }
        Err(error) => {
            eprintln!("plimsoll: no threads to work with: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(serving) => serve::run(&serving).await,
        Command::Demo(demo) => demo::run(demo).await,
        Command::Sql(sql) => sql::run(sql).await,
        Command::Trace(trace) => trace::run(trace).await,
        Command::Analysis(question) => match analysis::run(question).await {
            Ok(decision) => return decision,
            Err(error) => Err(error),
        },
        Command::Import(import) => import::run(import).await,
        Command::Salvage(salvage) => salvage::run(&salvage).await,
        Command::Check(serving) => check::run(&serving),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("plimsoll: {error}");
            ExitCode::FAILURE
        }
    }
}
