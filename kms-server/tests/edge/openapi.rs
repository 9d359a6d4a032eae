//! The OpenAPI document against the routes that there are and what they answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use kms_server::testing::blocking::TestServer;
use serde_json::Value;

const METHODS: [&str; 4] = ["get", "post", "delete", "put"];

fn ask(admin: SocketAddr, method: &str, path: &str) -> (u16, Option<Value>) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let url = format!("http://{admin}{path}");
    let answer = match method {
        "get" => agent.get(url).call(),
        "delete" => agent.delete(url).call(),
        "post" => agent.post(url).send_empty(),
        _ => agent.put(url).send_empty(),
    };
    let mut answer = answer.expect("an answer");
    (answer.status().as_u16(), answer.body_mut().read_json().ok())
}

fn document() -> Value {
    let text = include_str!("../../src/admin/openapi.json");
    serde_json::from_str(text).expect("JSON")
}

/// Every path with its methods.
fn stated(document: &Value) -> BTreeMap<String, Vec<String>> {
    let paths = document["paths"].as_object().expect("paths");
    let methods = |value: &Value| value.as_object().expect("methods").keys().cloned().collect();
    paths.iter().map(|(path, value)| (path.clone(), methods(value))).collect()
}

#[test]
fn it_states_exactly_the_routes_that_there_are() {
    let server = TestServer::start();
    let stated = stated(&document());
    for (path, methods) in &stated {
        let path = path.replace("{id}", "1");
        for method in METHODS {
            let (status, _) = ask(server.admin(), method, &path);
            let is_stated = methods.iter().any(|known| known == method);
            assert_eq!(status != 405, is_stated, "{method} {path}: {status}");
        }
    }
    // The router tells of no routes; its source does.
    let source = include_str!("../../src/admin/mod.rs");
    let constants = |name: &str| match name {
        "STORE_CHECK" => "/v1/store/check".to_owned(),
        "STORE_COPY" => "/v1/store/copy".to_owned(),
        quoted => quoted.trim_matches('"').to_owned(),
    };
    let routes: Vec<String> = source
        .split(".route(")
        .skip(1)
        .map(|rest| constants(rest.split(',').next().expect("a path").trim()))
        .collect();
    assert_eq!(routes.len(), stated.len(), "{routes:?}");
    for route in routes {
        assert!(stated.contains_key(&route), "{route} is not in the document");
    }
}

#[test]
fn answers_are_as_it_states() {
    let server = TestServer::start();
    let document = document();
    let rule = serde_json::json!({"fault": "delay:1ms", "operation": "Get", "count": 3});
    ureq::post(format!("http://{}/v1/faults", server.admin())).send_json(&rule).expect("armed");
    for (path, methods) in stated(&document) {
        if !methods.contains(&"get".to_owned()) || path.contains('{') {
            continue;
        }
        let content = &document["paths"][&path]["get"]["responses"]["200"]["content"]["application/json"];
        let Some(schema) = content.get("schema") else { continue };
        let (status, answer) = ask(server.admin(), "get", &path);
        assert_eq!(status, 200, "{path}");
        check(&document, schema, &answer.expect("JSON"), &path);
    }
    let (status, problem) = ask(server.admin(), "get", "/v1/keys/nothing");
    assert_eq!(status, 404);
    check(&document, &document["components"]["schemas"]["Problem"], &problem.expect("JSON"), "a problem");
}

/// Whether a value is what a schema states, as far as this document's schemas go.
fn check(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().expect("a name");
        return check(document, &document["components"]["schemas"][name], value, at);
    }
    if let Some(all) = schema["oneOf"].as_array() {
        let fitting = all.iter().find(|one| (one["type"] == "null") == value.is_null());
        return check(document, fitting.unwrap_or_else(|| panic!("{at}: {value}")), value, at);
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is_stated = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().any(|stated| stated == kind),
        stated => stated == kind,
    };
    assert!(is_stated, "{at}: {kind} is not {}", schema["type"]);
    for value in value.as_array().into_iter().flatten() {
        check(document, &schema["items"], value, &format!("{at}[]"));
    }
    let Some(object) = value.as_object() else { return };
    for required in schema["required"].as_array().into_iter().flatten() {
        assert!(object.contains_key(required.as_str().expect("a name")), "{at} lacks {required}");
    }
    // Policies and events are told elsewhere.
    let is_open = schema["description"].is_string() && schema["additionalProperties"] != false;
    for (name, value) in object {
        match schema["properties"].get(name) {
            Some(schema) => check(document, schema, value, &format!("{at}.{name}")),
            None => assert!(is_open, "{at} has a {name} that is not stated"),
        }
    }
}

#[test]
fn it_is_served() {
    let server = TestServer::start();
    assert_eq!(ask(server.admin(), "get", "/v1/openapi.json").1, Some(document()));
}
