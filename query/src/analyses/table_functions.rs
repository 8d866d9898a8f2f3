//! The analyses in SQL: `queueing('-1h', 'now', 'stage, model')`, `retries('-1h')`, `goodput(by => 'tenant')`.
//!
//! A call stands for the statement that the HTTP API runs for the same question, and is replaced by it before planning:
//! there is one definition of each number, whoever asks.

use std::ops::ControlFlow;

use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, Query, Statement as SqlStatement, TableAlias,
    TableFactor, Value, VisitMut, VisitorMut,
};
use plimsoll_schemas::objective::Objective;

use super::{Analysis, GroupKey, goodput, queueing, retries};
use crate::error::QueryError;
use crate::filter;
use crate::time::{self, TimeRange};

/// Calls in one statement: each is a page of SQL.
const CALLS_MAX: usize = 8;
/// The parameters of every function, in order.
const PARAMETERS: [&str; 4] = ["start", "end", "by", "filter"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Queueing,
    Retries,
    Goodput,
}

impl Function {
    fn of(name: &ObjectName) -> Option<Self> {
        match name.to_string().to_lowercase().as_str() {
            "queueing" => Some(Self::Queueing),
            "retries" => Some(Self::Retries),
            "goodput" => Some(Self::Goodput),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Queueing => "queueing",
            Self::Retries => "retries",
            Self::Goodput => "goodput",
        }
    }
}

/// Whether a statement may call [`goodput`], and so has to know the objectives.
pub fn may_need_objectives(sql: &str) -> bool {
    sql.to_lowercase().contains("goodput")
}

/// Puts the analyses' statements in place of the calls.
pub fn expand(statement: &mut Statement, objectives: &[Objective]) -> Result<(), QueryError> {
    match statement {
        Statement::Explain(explain) => expand(&mut explain.statement, objectives),
        Statement::Statement(sql) => {
            match sql.visit(&mut Expansion { objectives, now: time::now(), calls: 0 }) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(error) => Err(error),
            }
        }
        _ => Ok(()),
    }
}

struct Expansion<'a> {
    objectives: &'a [Objective],
    now: plimsoll_schemas::UnixNanos,
    calls: usize,
}

impl VisitorMut for Expansion<'_> {
    type Break = QueryError;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<QueryError> {
        let TableFactor::Table { name, args: Some(args), alias, .. } = factor else {
            return ControlFlow::Continue(());
        };
        let Some(function) = Function::of(name) else { return ControlFlow::Continue(()) };
        self.calls += 1;
        if self.calls > CALLS_MAX {
            let problem = format!("a statement may call {CALLS_MAX} analyses at most");
            return ControlFlow::Break(QueryError::Refused(problem));
        }
        match self.query(function, &args.args) {
            Ok(query) => {
                let alias = alias.take().or_else(|| Some(named(function.name())));
                *factor = TableFactor::Derived { lateral: false, subquery: query, alias, sample: None };
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}

impl Expansion<'_> {
    fn query(&self, function: Function, args: &[FunctionArg]) -> Result<Box<Query>, QueryError> {
        let asked = self.asked(function, args)?;
        let sql = match function {
            Function::Queueing => queueing::groups_sql(&asked)?,
            Function::Retries => retries::edges_sql(&asked)?,
            Function::Goodput => goodput::groups_sql(self.objectives, &asked)?,
        };
        let parsed = DFParser::parse_sql(&sql)?.pop_front();
        match parsed {
            Some(Statement::Statement(statement)) => match *statement {
                SqlStatement::Query(query) => Ok(query),
                _ => Err(QueryError::Internal(format!("{} is not a query", function.name()))),
            },
            _ => Err(QueryError::Internal(format!("{} is not a statement", function.name()))),
        }
    }

    fn asked(&self, function: Function, args: &[FunctionArg]) -> Result<Analysis, QueryError> {
        let invalid = |problem: String| {
            let usage =
                "(start, end, by, filter), all optional, as in ('-1h', 'now', 'stage') or (by => 'stage')";
            QueryError::Invalid(format!("{0}: {problem}; it takes {0}{usage}", function.name()))
        };
        let mut values: [Option<String>; PARAMETERS.len()] = Default::default();
        for (position, arg) in args.iter().enumerate() {
            let (at, value) = match arg {
                FunctionArg::Unnamed(value) => (position, value),
                FunctionArg::Named { name, arg, .. } => {
                    let known = PARAMETERS.iter().position(|p| name.value.eq_ignore_ascii_case(p));
                    (known.ok_or_else(|| invalid(format!("no parameter is named {:?}", name.value)))?, arg)
                }
                FunctionArg::ExprNamed { name, .. } => {
                    return Err(invalid(format!("{name} is not a parameter's name")));
                }
            };
            let slot = values
                .get_mut(at)
                .ok_or_else(|| invalid(format!("{} arguments are too many", args.len())))?;
            *slot = text(value).ok_or_else(|| invalid(format!("{value} is not text in single quotes")))?;
        }
        let [start, end, by, filter] = &values;
        let range = TimeRange::parse(start.as_deref(), end.as_deref(), self.now)?;
        let by = by.as_deref().unwrap_or(if function == Function::Queueing { "stage" } else { "" });
        if function == Function::Retries && !by.is_empty() {
            return Err(invalid("its rows are edges: by does not apply".into()));
        }
        let by = by.split(',').map(str::trim).filter(|k| !k.is_empty()).map(GroupKey::parse);
        Ok(Analysis {
            range,
            step: range.step(None)?,
            by: by.collect::<Result<_, _>>()?,
            filter: filter::parse(filter.as_deref().unwrap_or(""))?,
            tenant: None,
        })
    }
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
