//! One command for each analysis: `plimsoll queueing`, `plimsoll goodput`, … made from their definitions in `query`.
//!
//! A table or CSV is what the SQL function of the same name answers; JSON is the whole answer of the HTTP endpoint.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Args as _, Command, Error, FromArgMatches, Subcommand};
use plimsoll_query::{ANALYSES, Definition, SHARED_PARAMETERS};
use plimsoll_store::Location;
use serde::Deserialize;
use url::form_urlencoded;

use crate::cli::Format;
use crate::client::Api;
use crate::compare;
use crate::sql;

/// What was typed.
#[derive(Debug)]
pub struct Question {
    definition: &'static Definition,
    /// By name, in the order of the definition.
    parameters: Vec<(&'static str, String)>,
    asking: Asking,
}

/// Whom to ask, and how the answer is shown.
#[derive(Debug, clap::Args)]
struct Asking {
    /// The server to ask
    #[arg(long, default_value = "http://127.0.0.1:8317", env = "PLIMSOLL_URL")]
    url: String,
    /// Read this home directly instead; no server may be using it
    #[arg(long, value_name = "DIR|URL", conflicts_with = "url")]
    home: Option<Location>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Say what the numbers were made from: the statements, and what was done with their rows
    #[arg(long)]
    explain: bool,
}

/// What a command that decides ends with is its decision; see `docs/concepts/compare.md`.
pub async fn run(question: Question) -> Result<ExitCode, Box<dyn std::error::Error + Send + Sync>> {
    let mut decision = 0;
    match &question.asking.home {
        None => decision = ask(&Api::new(&question.asking.url), &question).await?,
        Some(home) => {
            sql::on_home(home, async |api| {
                decision = ask(api, &question).await?;
                Ok(())
            })
            .await?;
        }
    }
    Ok(ExitCode::from(decision))
}

#[derive(Debug, Deserialize)]
struct Explained {
    explain: Explain,
}

#[derive(Debug, Deserialize)]
struct Explain {
    sql: Vec<String>,
    method: String,
    sample_trace_ids: Vec<String>,
}

async fn ask(api: &Api, question: &Question) -> Result<u8, Box<dyn std::error::Error + Send + Sync>> {
    if question.asking.explain {
        let answer: Explained = serde_json::from_slice(&api.get(&question.path()).await?).map_err(|e| {
            format!("the server's answer is not what was expected: {e}; are both of one version?")
        })?;
        let Explain { sql, method, sample_trace_ids } = answer.explain;
        println!("{method}\n");
        sql.iter().for_each(|statement| println!("{statement};\n"));
        if !sample_trace_ids.is_empty() {
            println!("Traces to look at: {}", sample_trace_ids.join(" "));
        }
        return Ok(0);
    }
    if question.definition.name == "compare" {
        return compare::ask(api, &question.path(), &question.statement(), question.asking.format).await;
    }
    match question.asking.format {
        Format::Json => println!("{}", String::from_utf8_lossy(&api.get(&question.path()).await?)),
        format => sql::ask(api, &question.statement(), format).await?,
    }
    Ok(0)
}

impl Question {
    /// The endpoint and its query.
    fn path(&self) -> String {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.parameters).finish();
        format!("/api/v1/{}?{query}", self.definition.name)
    }

    /// The same question in SQL.
    fn statement(&self) -> String {
        let mut arguments = String::new();
        for (name, value) in &self.parameters {
            let comma = if arguments.is_empty() { "" } else { ", " };
            let _ = write!(arguments, "{comma}\"{name}\" => '{}'", value.replace('\'', "''"));
        }
        format!("SELECT * FROM {}({arguments})", self.definition.function)
    }
}

/// A parameter whose value is what is in a file.
fn contents(name: &'static str, path: &str) -> Result<(&'static str, String), Error> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        Error::raw(clap::error::ErrorKind::ValueValidation, format!("--{}: {path}: {e}\n", flag(name)))
    })?;
    Ok((name, text))
}

/// A dash where SQL has an underscore, as command lines have it.
fn flag(name: &str) -> String {
    name.replace('_', "-")
}

fn command(definition: &'static Definition) -> Command {
    let grouped = definition.by.is_some();
    let shared = SHARED_PARAMETERS.iter().filter(|p| grouped || p.name != "by");
    let parameters = shared.chain(definition.parameters).map(|p| {
        Arg::new(p.name)
            .long(flag(p.name))
            .value_name(p.value)
            .help(p.help)
            .action(ArgAction::Set)
            // A time such as -1h is a value.
            .allow_hyphen_values(true)
    });
    // The flags that all share would bring their own description.
    Asking::augment_args(Command::new(definition.name).args(parameters)).about(definition.summary)
}

impl Subcommand for Question {
    fn augment_subcommands(command: Command) -> Command {
        command.subcommands(ANALYSES.map(self::command))
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        ANALYSES.iter().any(|d| d.name == name)
    }
}

impl FromArgMatches for Question {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let missing = || Error::new(clap::error::ErrorKind::MissingSubcommand);
        let (name, matches) = matches.subcommand().ok_or_else(missing)?;
        let definition = ANALYSES.into_iter().find(|d| d.name == name).ok_or_else(missing)?;
        let parameters = definition.parameter_names().filter_map(|name| {
            // `by` is no argument of every analysis.
            let value = matches.try_get_one::<String>(name).ok().flatten()?;
            let is_file = definition.parameters.iter().any(|p| p.name == name && p.value == "FILE");
            Some(if is_file { contents(name, value) } else { Ok((name, value.clone())) })
        });
        let parameters = parameters.collect::<Result<_, _>>()?;
        Ok(Self { definition, parameters, asking: Asking::from_arg_matches(matches)? })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::{Cli, Command};

    #[test]
    fn one_question_reads_the_same_at_both_doors() {
        let typed = ["plimsoll", "goodput", "--start", "-6h", "--by", "tenant", "--objective", "o'clock"];
        let Command::Analysis(question) = Cli::parse_from(typed).command else { panic!("another command") };
        assert_eq!(question.path(), "/api/v1/goodput?start=-6h&by=tenant&objective=o%27clock");
        assert_eq!(
            question.statement(),
            r#"SELECT * FROM goodput("start" => '-6h', "by" => 'tenant', "objective" => 'o''clock')"#
        );
    }

    #[test]
    fn help_says_what_each_answers() {
        use clap::CommandFactory;
        let help = Cli::command().render_help().to_string();
        for definition in super::ANALYSES {
            assert!(help.contains(definition.summary), "{}: {help}", definition.name);
        }
    }

    #[test]
    fn what_does_not_apply_is_refused() {
        let error =
            Cli::try_parse_from(["plimsoll", "retries", "--by", "stage"]).expect_err("retries has no by");
        assert!(error.to_string().contains("--by"), "{error}");
    }
}
