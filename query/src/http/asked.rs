//! What a request asks for: its query parameters, and whose data it may see.

use std::collections::HashMap;

use axum::extract::{FromRequestParts, Query};
use http::StatusCode;
use http::request::Parts;
use plimsoll_schemas::Tenant;

use super::problem::Problem;
use crate::analyses::definition::Definition;
use crate::analyses::{Analysis, GroupKey};
use crate::error::QueryError;
use crate::filter;
use crate::time::{self, TimeRange};

/// The parameters of one request.
#[derive(Debug)]
pub struct Asked {
    parameters: HashMap<String, String>,
    pub tenant: Option<Tenant>,
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
        let Query(parameters) = Query::<HashMap<String, String>>::from_request_parts(parts, state)
            .await
            .map_err(|e| bad(format!("query string: {e}")))?;
        let header = parts.headers.get("x-scope-orgid").map(|v| v.to_str().unwrap_or("").to_owned());
        let named = header.or_else(|| parameters.get("tenant").filter(|t| !t.is_empty()).cloned());
        let tenant =
            named.map(|t| Tenant::new(&t).map_err(|e| bad(format!("tenant {t:?}: {e}")))).transpose()?;
        Ok(Self { parameters, tenant })
    }
}

impl Asked {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    pub fn number(&self, name: &str, default: usize, max: usize) -> Result<usize, QueryError> {
        let Some(text) = self.get(name) else { return Ok(default) };
        match text.parse() {
            Ok(n) if (1..=max).contains(&n) => Ok(n),
            _ => Err(QueryError::Invalid(format!("{name}: expected a number from 1 to {max}, got {text:?}"))),
        }
    }

    pub fn range(&self) -> Result<TimeRange, QueryError> {
        TimeRange::parse(self.get("start"), self.get("end"), time::now())
    }

    /// What is asked of an analysis: the parameters that all share, and its own.
    pub fn analysis(&self, definition: &Definition) -> Result<Analysis, QueryError> {
        let range = self.range()?;
        let by = match (definition.by, self.get("by")) {
            (None, Some(_)) => {
                return Err(QueryError::Invalid(format!("by: does not apply to {}", definition.name)));
            }
            (_, Some(text)) => {
                text.split(',').map(|k| GroupKey::parse(k.trim())).collect::<Result<_, _>>()?
            }
            (by, None) => by.unwrap_or(&[]).iter().map(|k| GroupKey::parse(k)).collect::<Result<_, _>>()?,
        };
        let own = definition.parameters.iter();
        Ok(Analysis {
            range,
            step: range.step(self.get("step"))?,
            by,
            filter: filter::parse(self.get("filter").or(self.get("q")).unwrap_or(""))?,
            parameters: own.filter_map(|p| Some((p.name, self.get(p.name)?.to_owned()))).collect(),
        })
    }
}
