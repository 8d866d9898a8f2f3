//! The analyses in SQL: `queueing('-1h', 'now', 'stage, model')`, `retries('-1h')`, `goodput(by => 'tenant')`.
//!
//! A call is replaced before planning, by the statement that the HTTP API runs for the same question or by a table of the
//! rows that it computes: there is one definition of each number, whoever asks.

use std::ops::ControlFlow;

use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, Query, Statement as SqlStatement, TableAlias,
    TableFactor, Value, VisitMut, VisitorMut,
};

use super::definition::Definition;
use super::{ALL, Analysis, GroupKey};
use crate::error::QueryError;
use crate::filter;
use crate::time::{self, TimeRange};

/// Calls in one statement: each is a page of SQL.
const CALLS_MAX: usize = 8;

/// One call in a statement.
#[derive(Debug)]
pub struct Call {
    pub definition: &'static Definition,
    pub asked: Analysis,
}

/// What stands in a call's place.
#[derive(Debug)]
pub enum Replacement {
    Statement(String),
    /// The name of a table of this question alone.
    Table(String),
}

/// The calls of a statement, in the order in which [`replace`] takes their replacements.
pub fn calls(statement: &mut Statement) -> Result<Vec<Call>, QueryError> {
    let now = time::now();
    let mut calls = Vec::new();
    visit(statement, &mut |definition, args, _| {
        if calls.len() == CALLS_MAX {
            return Err(QueryError::Refused(format!("a statement may call {CALLS_MAX} analyses at most")));
        }
        calls.push(Call { definition, asked: asked(definition, args, now)? });
        Ok(None)
    })?;
    Ok(calls)
}

/// Puts the replacements in place of the calls.
pub fn replace(statement: &mut Statement, replacements: Vec<Replacement>) -> Result<(), QueryError> {
    let mut replacements = replacements.into_iter();
    visit(statement, &mut |definition, _, alias| {
        let alias = alias.or_else(|| Some(named(definition.function)));
        let sql = match replacements.next() {
            Some(Replacement::Statement(sql)) => sql,
            Some(Replacement::Table(name)) => format!("SELECT * FROM \"{name}\""),
            None => return Err(QueryError::Internal("a call came from nowhere".into())),
        };
        Ok(Some(TableFactor::Derived { lateral: false, subquery: query(&sql)?, alias, sample: None }))
    })
}

/// What to do with a call, its arguments and its alias; an answer takes its place.
type Visit<'a> = dyn FnMut(&'static Definition, &[FunctionArg], Option<TableAlias>) -> Result<Option<TableFactor>, QueryError>
    + 'a;

fn visit(statement: &mut Statement, each: &mut Visit<'_>) -> Result<(), QueryError> {
    match statement {
        Statement::Explain(explain) => visit(&mut explain.statement, each),
        Statement::Statement(sql) => match sql.visit(&mut Calls { each }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(error) => Err(error),
        },
        _ => Ok(()),
    }
}

struct Calls<'a, 'b> {
    each: &'a mut Visit<'b>,
}

impl VisitorMut for Calls<'_, '_> {
    type Break = QueryError;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<QueryError> {
        let TableFactor::Table { name, args: Some(args), alias, .. } = factor else {
            return ControlFlow::Continue(());
        };
        let Some(definition) = definition_of(name) else { return ControlFlow::Continue(()) };
        match (self.each)(definition, &args.args, alias.clone()) {
            Ok(None) => ControlFlow::Continue(()),
            Ok(Some(instead)) => {
                *factor = instead;
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}

fn definition_of(name: &ObjectName) -> Option<&'static Definition> {
    let name = name.to_string();
    ALL.into_iter().find(|d| name.eq_ignore_ascii_case(d.function))
}

fn query(sql: &str) -> Result<Box<Query>, QueryError> {
    if let Some(Statement::Statement(statement)) = DFParser::parse_sql(sql)?.pop_front()
        && let SqlStatement::Query(query) = *statement
    {
        return Ok(query);
    }
    Err(QueryError::Internal(format!("an analysis is not a query: {sql}")))
}

fn asked(
    definition: &'static Definition,
    args: &[FunctionArg],
    now: plimsoll_schemas::UnixNanos,
) -> Result<Analysis, QueryError> {
    let function = definition.function;
    let names: Vec<&'static str> = definition.parameter_names().collect();
    let invalid = |problem: String| {
        let names = names.join(", ");
        QueryError::Invalid(format!(
            "{function}: {problem}; it takes {function}({names}), all optional, as in ('-1h', 'now', 'stage') or (by => 'stage')"
        ))
    };
    let mut values: Vec<Option<String>> = vec![None; names.len()];
    for (position, arg) in args.iter().enumerate() {
        let (at, value) = match arg {
            FunctionArg::Unnamed(value) => (position, value),
            FunctionArg::Named { name, arg, .. } => {
                let known = names.iter().position(|p| name.value.eq_ignore_ascii_case(p));
                (known.ok_or_else(|| invalid(format!("no parameter is named {:?}", name.value)))?, arg)
            }
            FunctionArg::ExprNamed { name, .. } => {
                return Err(invalid(format!("{name} is not a parameter's name")));
            }
        };
        let slot =
            values.get_mut(at).ok_or_else(|| invalid(format!("{} arguments are too many", args.len())))?;
        *slot = text(value).ok_or_else(|| invalid(format!("{value} is not text in single quotes")))?;
    }
    let value = |name: &str| names.iter().position(|n| *n == name).and_then(|at| values[at].as_deref());
    let range = TimeRange::parse(value("start"), value("end"), now)?;
    let by = match (value("by"), definition.by) {
        (Some(_), None) => return Err(invalid("by does not apply".into())),
        (Some(by), _) => {
            let keys = by.split(',').map(str::trim).filter(|k| !k.is_empty());
            keys.map(GroupKey::parse).collect::<Result<_, _>>()?
        }
        (None, by) => by.unwrap_or(&[]).iter().map(|k| GroupKey::parse(k)).collect::<Result<_, _>>()?,
    };
    Ok(Analysis {
        range,
        step: range.step(None)?,
        by,
        filter: filter::parse(value("filter").unwrap_or(""))?,
        parameters: definition
            .parameters
            .iter()
            .filter_map(|p| Some((p.name, value(p.name)?.to_owned())))
            .collect(),
    })
}

/// A literal's text; the inner `None` is NULL, which means the default.
fn text(value: &FunctionArgExpr) -> Option<Option<String>> {
    let FunctionArgExpr::Expr(Expr::Value(value)) = value else { return None };
    match &value.value {
        Value::SingleQuotedString(text) => Some(Some(text.clone()).filter(|t| !t.is_empty())),
        Value::Number(number, _) => Some(Some(number.to_string())),
        Value::Null => Some(None),
        _ => None,
    }
}

fn named(name: &str) -> TableAlias {
    TableAlias { explicit: true, name: Ident::new(name), columns: Vec::new(), at: None }
}
