//! `/v1/faults`: what goes wrong on purpose.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::{Admin, Problem, api};
use crate::faults::{FORMS, Rule, RuleError};

/// Whose faults are disarmed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Whose {
    /// Those that were armed for this client; all where absent.
    client: Option<String>,
}

pub(super) async fn list(State(admin): State<Arc<Admin>>) -> Result<Json<api::Faults>, Problem> {
    Ok(Json(api::Faults { faults: admin.mock()?.faults.list() }))
}

pub(super) async fn add(
    State(admin): State<Arc<Admin>>,
    rule: Result<Json<Rule>, JsonRejection>,
) -> Result<Json<api::Armed>, Problem> {
    let mock = admin.mock()?;
    let hint =
        || format!(r#"send {{"fault": "close:after-commit", "operation": "Decrypt"}}; faults are {FORMS}"#);
    let Json(rule) = rule.map_err(|rejection| Problem::body(&rejection, &hint()))?;
    let id = mock.faults.add(rule)?;
    Ok(Json(api::Armed { id }))
}

pub(super) async fn reset(
    State(admin): State<Arc<Admin>>,
    whose: Result<Query<Whose>, QueryRejection>,
) -> Result<Json<api::Disarmed>, Problem> {
    let Query(whose) = whose.map_err(|rejection| Problem {
        status: rejection.status(),
        error: rejection.body_text(),
        hint: "DELETE /v1/faults disarms all, /v1/faults?client=NAME those of one client".into(),
    })?;
    let faults = &admin.mock()?.faults;
    let disarmed = match &whose.client {
        None => faults.reset(),
        Some(client) => faults.reset_client(client),
    };
    Ok(Json(api::Disarmed { disarmed }))
}

pub(super) async fn remove(
    State(admin): State<Arc<Admin>>,
    id: Result<Path<u64>, PathRejection>,
) -> Result<Json<api::Disarmed>, Problem> {
    let nothing = |error: String| Problem {
        status: StatusCode::NOT_FOUND,
        error,
        hint: "`kms-server ctl fault list` shows what is armed".into(),
    };
    let Path(id) = id.map_err(|rejection| nothing(rejection.body_text()))?;
    match admin.mock()?.faults.remove(id) {
        true => Ok(Json(api::Disarmed { disarmed: 1 })),
        false => Err(nothing(format!("there is no fault {id}"))),
    }
}

impl From<RuleError> for Problem {
    fn from(error: RuleError) -> Self {
        let hint = match &error {
            RuleError::TooMany(_) => "`kms-server ctl fault reset` disarms all".to_owned(),
            _ => format!("faults are {FORMS}"),
        };
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, error: error.to_string(), hint }
    }
}
