//! Keys and policies, for the operator.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use kms_protocol::enums::{Enumeration as _, State as KeyState};
use wildmatch::WildMatch;

use super::{Admin, Problem, api};
use crate::config::PolicyBook;
use crate::failure::{Failure, Kind};
use crate::kms::{KeyPage, KeyQuery, Kms, Order, Reason, Refusal};

/// What the operator acts on.
pub struct Operator {
    kms: Arc<Kms>,
    book: Mutex<PolicyBook>,
}

impl Operator {
    /// An operator of `kms`, whose policies `book` holds.
    #[must_use]
    pub fn new(kms: Arc<Kms>, book: PolicyBook) -> Self {
        Self { kms, book: Mutex::new(book) }
    }

    fn policies(&self) -> api::Policies {
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |placed: crate::config::Placed| api::PlacedPolicy {
            place: placed.place(),
            policy: placed.policy,
        };
        api::Policies { policies: book.effective().into_iter().map(of).collect() }
    }

    fn change(&self, change: &api::PolicyChange) -> Result<(), Problem> {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        match change {
            api::PolicyChange::Set { name, settings } => book.set(name, settings)?,
            api::PolicyChange::Remove { name } => book.remove(name)?,
        }
        self.kms.adopt(book.policies()).map_err(|error| Problem {
            status: StatusCode::SERVICE_UNAVAILABLE,
            error: format!("the change is kept and not in force yet: {error}"),
            hint: "restart the server, or make the change again".into(),
        })
    }
}

fn operator(admin: &Admin) -> Result<&Operator, Problem> {
    admin.operator.as_ref().ok_or_else(|| Problem {
        status: StatusCode::NOT_FOUND,
        error: "this server shows nobody its keys and policies".into(),
        hint: "ask the server itself, not what stands in for it".into(),
    })
}

/// Work that waits for the disk, off the threads that serve connections.
async fn blocking<T: Send + 'static>(
    admin: &Arc<Admin>,
    work: impl FnOnce(&Admin, &Operator) -> Result<T, Problem> + Send + 'static,
) -> Result<Json<T>, Problem> {
    let admin = Arc::clone(admin);
    let done = tokio::task::spawn_blocking(move || work(&admin, operator(&admin)?));
    done.await.map_err(|_| Problem::defect())?.map(Json)
}

pub(super) async fn list_policies(State(admin): State<Arc<Admin>>) -> Result<Json<api::Policies>, Problem> {
    operator(&admin).map(|operator| Json(operator.policies()))
}

pub(super) async fn change_policy(
    State(admin): State<Arc<Admin>>,
    change: Result<Json<api::PolicyChange>, JsonRejection>,
) -> Result<Json<api::Policies>, Problem> {
    let hint = r#"send {"set": {"name": "tape", "settings": {"rotate-every": "90d"}}} or {"remove": {"name": "tape"}} as application/json"#;
    let Json(change) = change.map_err(|rejection| Problem::body(&rejection, hint))?;
    blocking(&admin, move |admin, operator| {
        admin.rotator.change(|| operator.change(&change))?;
        tracing::info!(?change, "policies changed");
        Ok(operator.policies())
    })
    .await
}

pub(super) async fn list_keys(
    State(admin): State<Arc<Admin>>,
    asked: Result<Query<api::KeysAsked>, QueryRejection>,
) -> Result<Json<api::Keys>, Problem> {
    let Query(asked) =
        asked.map_err(|rejection| bad(rejection.body_text(), "see `kms-server ctl key list --help`"))?;
    let state = asked.state.as_deref().map(state_called).transpose()?;
    let after = match asked.after.as_deref() {
        Some(cursor) => Some(KeyPage::place(cursor).ok_or_else(|| {
            bad(format!("{cursor:?} is no place in the list"), "take it from `next` of the page before")
        })?),
        None => None,
    };
    let query = KeyQuery {
        owner: asked.owner,
        name: asked.name.as_deref().map(WildMatch::new),
        state,
        generation: asked.generation,
        after,
        limit: asked.limit.unwrap_or(api::PAGE),
    };
    blocking(&admin, move |admin, operator| {
        let page = operator.kms.keys(&query, admin.clock.now()).map_err(|error| Problem {
            status: StatusCode::SERVICE_UNAVAILABLE,
            error: error.to_string(),
            hint: error.hint().to_string(),
        })?;
        Ok(api::Keys {
            next: page.next.as_ref().map(KeyPage::cursor),
            keys: page.keys.into_iter().map(api::Key::from).collect(),
        })
    })
    .await
}

fn state_called(name: &str) -> Result<KeyState, Problem> {
    let plain = |text: &str| text.to_lowercase().replace(['-', ' '], "");
    let known = KeyState::ALL.iter().find(|state| plain(&state.to_string()) == plain(name));
    known.copied().ok_or_else(|| {
        let names: Vec<String> = KeyState::ALL.iter().map(ToString::to_string).collect();
        bad(format!("there is no state {name:?}"), &format!("one of: {}", names.join(", ")))
    })
}

pub(super) async fn show_key(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<String>,
) -> Result<Json<api::Key>, Problem> {
    blocking(&admin, move |admin, operator| Ok(operator.kms.key(&id, admin.clock.now())?.into())).await
}

pub(super) async fn change_key(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<String>,
    Extension(order): Extension<Order>,
    change: Result<Json<api::KeyChange>, JsonRejection>,
) -> Result<Json<api::Keys>, Problem> {
    let hint = r#"send "rotate" or "undelete" as application/json"#;
    let Json(change) = change.map_err(|rejection| Problem::body(&rejection, hint))?;
    blocking(&admin, move |_, operator| {
        let keys = match change {
            api::KeyChange::Rotate => {
                let rotated = operator.kms.rotate_key(&id, order)?;
                vec![rotated.private.into(), rotated.public.into()]
            }
            api::KeyChange::Undelete => vec![operator.kms.undelete_key(&id, order)?.into()],
        };
        Ok(api::Keys { keys, next: None })
    })
    .await
}

fn bad(error: String, hint: &str) -> Problem {
    Problem { status: StatusCode::BAD_REQUEST, error, hint: hint.into() }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let status = match failure.kind {
            Kind::Config => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::Refused => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let (what, hint) = failure.into_parts();
        Self { status, error: what, hint }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, hint) = match refusal.reason {
            Reason::NotFound => (StatusCode::NOT_FOUND, "`kms-server ctl key list` shows what there is"),
            Reason::Unavailable | Reason::Internal => {
                (StatusCode::SERVICE_UNAVAILABLE, "the server's log says more")
            }
            _ => (StatusCode::CONFLICT, "`kms-server ctl key show` tells its state and its successor"),
        };
        Self { status, error: refusal.message.into_owned(), hint: hint.into() }
    }
}
