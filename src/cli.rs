//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use plimsoll_store::Location;
use serde_norway::Value;

use crate::analysis::Question;
use crate::settings::{self, Effective, Listen, Period, SettingsError};

const EXAMPLES: &str = "\
Examples:
  plimsoll demo                                     a simulated agent fleet, on http://127.0.0.1:8317
  plimsoll serve --home ./data                      receive OTLP on 4317 (gRPC) and 4318 (HTTP)
  plimsoll sql \"SELECT count(*) FROM spans\"         ask a running server
  plimsoll queueing --start -6h --by stage,model    where work waits, as a table
  plimsoll compare --baseline model=a --candidate model=b; echo $?     0 promote, 10 hold, 20 rollback
  plimsoll trace 4bf92f3577b34da6a3ce929d0e0e4736   where the time of one trace went";

const DEMO_EXAMPLES: &str = "\
Examples:
  plimsoll demo                          an hour of history, then live
  plimsoll demo --history 0s             start empty and watch it fill
  plimsoll demo --once --home ./data     load an hour and exit";

const SQL_EXAMPLES: &str = "\
Examples:
  plimsoll sql \"SELECT service_name, count(*) FROM spans GROUP BY 1\"
  plimsoll sql \"SELECT stage, hdr_quantile(duration_ns, 0.95) FROM stage_runs GROUP BY 1\" --format csv
  plimsoll sql --home ./data \"SELECT count(*) FROM traces\"     # no server is running";

const IMPORT_EXAMPLES: &str = "\
Examples:
  plimsoll import traces.json                         any known format, found by its content
  plimsoll import --home ./data 'exports/*.json.gz'   no server is running
  zcat spans.jsonl.gz | plimsoll import - --format otlp-json --tenant acme

Importing the same again, or going on after an interruption, adds only what is not there yet.";

#[derive(Debug, Parser)]
#[command(name = "plimsoll", version, about, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Receives OTLP, and serves the HTTP API and the web UI
    Serve(Serving),
    /// Serves, and drives a simulated agent fleet through four incidents
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(Demo),
    /// Asks one question in SQL
    #[command(after_help = SQL_EXAMPLES)]
    Sql(Sql),
    /// Shows one trace as a waterfall: where it waited, worked and tried again
    Trace(Trace),
    #[command(flatten)]
    Analysis(Question),
    /// Takes in what other tools exported: traces and verdicts from files
    #[command(after_help = IMPORT_EXAMPLES)]
    Import(Import),
    /// Takes what is whole out of a damaged log, so that the server starts again; with --data mends data files, too
    Salvage(Salvage),
    /// Prints the settings in force and where each came from, and starts nothing
    Check(Serving),
}

/// Flags of everything that serves. They win over the environment, that over the file, that over the defaults.
#[derive(Debug, Clone, Default, Args)]
pub struct Serving {
    /// The folder or bucket that holds everything [default: ./plimsoll-data]
    #[arg(long, value_name = "DIR|URL")]
    pub home: Option<Location>,
    /// A folder for the write-ahead log alone [default: in the home]
    #[arg(long, value_name = "DIR")]
    pub wal: Option<PathBuf>,
    /// Only answer questions: another process writes the home
    #[arg(long)]
    pub read_only: bool,
    /// Settings in YAML [default: plimsoll.yaml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address of the OTLP/gRPC door, or off [default: 127.0.0.1:4317]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen_otlp_grpc: Option<Listen>,
    /// Address of the OTLP/HTTP door, or off [default: 127.0.0.1:4318]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen_otlp_http: Option<Listen>,
    /// Address of the API and the web UI, or off [default: 127.0.0.1:8317]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen_http: Option<Listen>,
    /// Allow addresses other than loopback, though nothing is encrypted and nobody has to sign in
    #[arg(long)]
    pub insecure: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Demo {
    #[command(flatten)]
    pub serving: Serving,
    /// Load the history, wait until it is settled and merged, and exit
    #[arg(long)]
    pub once: bool,
    /// The same seed gives the same fleet
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How much of the past to load before it goes live
    #[arg(long, default_value = "1h", value_name = "TIME")]
    pub history: Period,
}

#[derive(Debug, Args)]
pub struct Sql {
    /// One reading statement
    pub statement: String,
    /// The server to ask
    #[arg(long, default_value = "http://127.0.0.1:8317", env = "PLIMSOLL_URL")]
    pub url: String,
    /// Read this home directly instead; no server may be using it
    #[arg(long, value_name = "DIR|URL", conflicts_with = "url")]
    pub home: Option<Location>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Csv,
    Json,
}

#[derive(Debug, Args)]
pub struct Salvage {
    /// The folder or bucket that holds everything; no server may be using it
    #[arg(long, value_name = "DIR|URL", default_value = "./plimsoll-data")]
    pub home: Location,
    /// The folder of the log, where it has one of its own
    #[arg(long, value_name = "DIR")]
    pub wal: Option<PathBuf>,
    /// Also read every data file: single flipped bits are flipped back, more damage is named
    #[arg(long)]
    pub data: bool,
}

#[derive(Debug, Args)]
pub struct Trace {
    /// The trace's id, 32 hexadecimal digits
    pub id: String,
    /// The tenant, where several use the same id
    #[arg(long)]
    pub tenant: Option<String>,
    /// The server to ask
    #[arg(long, default_value = "http://127.0.0.1:8317", env = "PLIMSOLL_URL")]
    pub url: String,
}

#[derive(Debug, Args)]
pub struct Import {
    /// Files, folders, patterns such as *.json, or - for standard input; packed by gzip or zstd or not
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The format, where it should not be found by content
    #[arg(long, value_parser = parse_format)]
    pub format: Option<plimsoll_import::Format>,
    /// Whose data it is
    #[arg(long, default_value = plimsoll_schemas::Tenant::DEFAULT)]
    pub tenant: String,
    /// The server to ask what is there already
    #[arg(long, default_value = "http://127.0.0.1:8317", env = "PLIMSOLL_URL")]
    pub url: String,
    /// Its OTLP/HTTP door
    #[arg(long, default_value = "http://127.0.0.1:4318", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp_url: String,
    /// Write into this home directly instead; no server may be using it
    #[arg(long, value_name = "DIR|URL", conflicts_with_all = ["url", "otlp_url"])]
    pub home: Option<Location>,
}

fn parse_format(name: &str) -> Result<plimsoll_import::Format, String> {
    use plimsoll_import::Format;
    Format::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = Format::ALL.iter().map(|f| f.as_str()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

impl Serving {
    /// All layers, with these flags on top.
    pub fn settings(&self) -> Result<Effective, SettingsError> {
        let listen = |address: &Option<Listen>| address.as_ref().map(|a| Value::String(a.to_string()));
        let home = self.home.as_ref().map(|home| Value::String(home.to_string()));
        let wal = self.wal.as_ref().map(|wal| Value::String(wal.display().to_string()));
        let flags = [
            ("home", "store.home", home),
            ("wal", "store.wal", wal),
            ("read-only", "store.read_only", self.read_only.then_some(Value::Bool(true))),
            ("listen-otlp-grpc", "listen.otlp_grpc", listen(&self.listen_otlp_grpc)),
            ("listen-otlp-http", "listen.otlp_http", listen(&self.listen_otlp_http)),
            ("listen-http", "listen.http", listen(&self.listen_http)),
            ("insecure", "listen.insecure", self.insecure.then_some(Value::Bool(true))),
        ];
        let given = flags.into_iter().filter_map(|(name, key, value)| Some((name, key, value?))).collect();
        // What is not UTF-8 cannot be one of ours.
        let environment =
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        settings::load(self.config.as_deref(), environment, given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn an_address_without_a_port_is_refused_with_a_hint() {
        let error =
            Cli::try_parse_from(["plimsoll", "serve", "--listen-http", "localhost"]).expect_err("no port");
        assert!(error.to_string().contains("host:port"), "{error}");
    }
}
