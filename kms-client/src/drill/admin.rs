//! The admin API of a development server, as far as drills need it.

use serde::Deserialize;
use serde_json::{Value, json};
use ureq::Agent;

use super::DrillError;
use super::limits;

/// The admin API at an address.
#[derive(Clone, Debug)]
pub(super) struct Admin {
    agent: Agent,
    address: String,
}

/// A key, as far as its line of generations goes.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(super) struct Key {
    pub id: String,
    pub object_type: String,
    pub state: String,
    pub names: Vec<String>,
    pub generation: i64,
    pub predecessor: Option<String>,
    pub successor: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    keys: Vec<Key>,
    next: Option<String>,
}

impl Admin {
    pub fn at(address: &str) -> Self {
        let config = Agent::config_builder().timeout_global(Some(limits::ADMIN)).http_status_as_error(false);
        Self { agent: config.build().into(), address: address.to_owned() }
    }

    /// Moves the clock ahead; what fell due and was done on the way.
    pub fn advance(&self, by: &str) -> Result<usize, DrillError> {
        let moved = self.post("clock", &json!({ "advance": by }))?;
        let fired = moved.get("fired").and_then(Value::as_array).map_or(0, Vec::len);
        let omitted = moved.get("omitted").and_then(Value::as_u64).unwrap_or_default();
        Ok(fired + usize::try_from(omitted).unwrap_or_default())
    }

    /// Rotates every newest pair now; how many.
    pub fn rotate_all(&self) -> Result<usize, DrillError> {
        let newest = self.keys()?.into_iter().filter(|key| {
            key.object_type.starts_with("Private") && key.successor.is_none() && key.state == "Active"
        });
        let mut rotated = 0;
        for key in newest {
            self.post(&format!("keys/{}", key.id), &json!("rotate"))?;
            rotated += 1;
        }
        Ok(rotated)
    }

    /// Arms a fault.
    pub fn arm(&self, rule: &Value) -> Result<(), DrillError> {
        self.post("faults", rule).map(drop)
    }

    /// Disarms every fault.
    pub fn disarm(&self) -> Result<(), DrillError> {
        let answer = self.agent.delete(self.url("faults")).call();
        self.read(answer).map(drop)
    }

    /// Every key that the server has.
    pub fn keys(&self) -> Result<Vec<Key>, DrillError> {
        let mut keys = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut request = self.agent.get(self.url("keys")).query("limit", limits::PAGE.to_string());
            if let Some(after) = &after {
                request = request.query("after", after);
            }
            let page: Page = serde_json::from_value(self.read(request.call())?)
                .map_err(|error| self.failed(&format!("its keys make no sense: {error}")))?;
            keys.extend(page.keys);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(keys),
            }
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/v1/{path}", self.address)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, DrillError> {
        self.read(self.agent.post(self.url(path)).send_json(body))
    }

    fn read(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, DrillError> {
        let mut answer = answer.map_err(|error| self.failed(&error.to_string()))?;
        let value: Value = answer.body_mut().read_json().map_err(|error| self.failed(&error.to_string()))?;
        if answer.status().is_success() {
            return Ok(value);
        }
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Err(DrillError::run(format!("the server refuses: {}", text("error")), text("hint")))
    }

    fn failed(&self, why: &str) -> DrillError {
        let what = format!("the admin API at {} does not answer: {why}", self.address);
        DrillError::run(what, "does the server run at that step, and is it neither frozen nor a standby?")
    }
}
