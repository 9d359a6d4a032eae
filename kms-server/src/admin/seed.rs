//! `/v1/seed`: what a development server has, and what it shall have.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, State};

use super::{Admin, Problem};
use crate::kms::Order;
use crate::seed::{Applied, Seed};

pub(super) async fn export(State(admin): State<Arc<Admin>>) -> Result<Json<Seed>, Problem> {
    let (mock, kms, now) = (Arc::clone(admin.mock()?), admin.kms()?, admin.clock.now());
    let told = tokio::task::spawn_blocking(move || Seed::of(&kms, &mock.faults, now)).await;
    Ok(Json(told.map_err(|_| Problem::defect())??))
}

pub(super) async fn apply(
    State(admin): State<Arc<Admin>>,
    Extension(order): Extension<Order>,
    seed: Result<Json<Seed>, JsonRejection>,
) -> Result<Json<Applied>, Problem> {
    let (mock, kms) = (Arc::clone(admin.mock()?), admin.kms()?);
    let Json(seed) =
        seed.map_err(|rejection| Problem::body(&rejection, "docs/seed.schema.json says what a seed is"))?;
    // It may generate keys.
    let applied = tokio::task::spawn_blocking(move || seed.apply(&kms, &mock.faults, &order)).await;
    Ok(Json(applied.map_err(|_| Problem::defect())??))
}
