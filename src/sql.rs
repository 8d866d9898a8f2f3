//! `plimsoll sql`: one question to a running server, or to a home that no server is using.

use plimsoll_store::Location;
use serde::Deserialize;
use serde_json::Value;

use crate::cli::{Format, Sql};
use crate::client::Api;
use crate::terminal;

/// The JSON answer of `POST /api/v1/sql`, as far as a table needs it.
#[derive(Debug, Deserialize)]
struct Answer {
    columns: Vec<Column>,
    rows: Vec<Vec<Value>>,
    row_count: u64,
    truncated: bool,
    elapsed_ms: f64,
}

#[derive(Debug, Deserialize)]
struct Column {
    name: String,
}

pub async fn run(sql: Sql) -> crate::Outcome {
    match &sql.home {
        None => ask(&Api::new(&sql.url), &sql.statement, sql.format).await,
        Some(home) => on_home(home, async |api| ask(api, &sql.statement, sql.format).await).await,
    }
}

/// Asks a server of the home's own, which ends with the question.
pub async fn on_home(home: &Location, ask: impl AsyncFnOnce(&Api) -> crate::Outcome) -> crate::Outcome {
    if home.folder().is_some_and(|folder| !folder.is_dir()) {
        return Err(
            format!("{home}: no such folder; --home names the folder or bucket that a server wrote").into()
        );
    }
    crate::serve::alone(home, async |addresses| {
        let address = addresses.http.ok_or("the HTTP door is off")?;
        ask(&Api::new(&format!("http://{address}"))).await
    })
    .await
}

/// Asks and prints.
pub async fn ask(api: &Api, statement: &str, format: Format) -> crate::Outcome {
    match format {
        Format::Csv => print!("{}", text(&api.sql(statement, "text/csv").await?)),
        Format::Json => println!("{}", text(&api.sql(statement, "application/json").await?)),
        Format::Table => {
            let body = api.sql(statement, "application/json").await?;
            let answer: Answer = serde_json::from_slice(&body).map_err(|e| {
                format!("the server's answer is not what was expected: {e}; are both of one version?")
            })?;
            print_table(&answer);
        }
    }
    Ok(())
}

fn print_table(answer: &Answer) {
    let heading: Vec<String> = answer.columns.iter().map(|c| c.name.clone()).collect();
    let numeric: Vec<bool> = (0..heading.len())
        .map(|i| answer.rows.iter().filter_map(|row| row.get(i)).all(|v| v.is_number() || v.is_null()))
        .collect();
    let rows: Vec<Vec<String>> = answer.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    println!("{}", terminal::columns(&heading, &rows, &numeric));
    let more = if answer.truncated { ", and more: add LIMIT or ask for --format csv" } else { "" };
    eprintln!("{} rows in {:.0} ms{more}", answer.row_count, answer.elapsed_ms);
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "·".into(),
        // A line is a row.
        Value::String(text) => text.replace('\n', "⏎"),
        other => other.to_string(),
    }
}

fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}
