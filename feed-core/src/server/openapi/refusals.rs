//! Which problems an operation may answer with: named beside its route, and written out as responses by the tables.

use http::StatusCode;
use serde_json::{Map, Value, json};
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{Operation, Paths};

use super::parts;
use crate::server::problem_type::ProblemType;
use crate::server::problem_types as types;

/// Where the problems of an operation stand until the document is finished: texts of status and slug.
pub(super) const PROBLEMS: &str = "x-problems";

/// The tag of what answers without the store.
const STORELESS: &str = "service";

/// Adds to the documented routes (what `utoipa_axum::routes!` makes) that they may answer with these problems. Those
/// that any operation may answer with need not be named: see [`ApiDocument`](super::ApiDocument).
pub fn refusing<S, R>(
    (schemas, mut paths, routes): (S, Paths, R),
    problems: &[&'static ProblemType],
) -> (S, Paths, R) {
    let named: Value = problems.iter().map(|kind| usual(kind)).collect();
    for item in paths.paths.values_mut() {
        for operation in operations(item) {
            let extensions = Extensions::builder().add(PROBLEMS, named.clone()).build();
            operation
                .extensions
                .get_or_insert_default()
                .merge(extensions);
        }
    }
    (schemas, paths, routes)
}

/// As [`refusing`], for a resource that is answered from a read model
/// ([`ReadModel::wait_for`](crate::read_model::ReadModel::wait_for)) and may not be there.
#[cfg(feature = "client")]
pub fn reading<S, R>(route: (S, Paths, R), unknown: &'static ProblemType) -> (S, Paths, R) {
    let problems = [
        &types::QUERY_INVALID,
        &types::AFTER_MALFORMED,
        &types::AFTER_UNKNOWN,
        &types::READ_MODEL_BEHIND,
        &types::EVENT_NOT_APPLIED,
        &types::TOO_MANY_WAITERS,
        unknown,
    ];
    refusing(route, &problems)
}

fn operations(item: &mut utoipa::openapi::path::PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
        &mut item.patch,
    ]
    .into_iter()
    .flatten()
}

/// The problem with its usual status.
pub(super) fn usual(kind: &ProblemType) -> String {
    with_status(kind, kind.status())
}

/// The problem with another of its statuses.
pub(super) fn with_status(kind: &ProblemType, status: StatusCode) -> String {
    format!("{} {}", status.as_u16(), kind.slug)
}

/// Adds what an operation need not say: the problems that come of its path and its method, and the token.
pub(super) fn complete(
    operation: &mut Map<String, Value>,
    path: &str,
    method: &str,
    guarded: bool,
) {
    let storeless = operation["tags"][0] == STORELESS;
    let mut problems = vec![
        usual(&types::URI_TOO_LONG),
        usual(&types::TIMEOUT),
        usual(&types::INTERNAL),
    ];
    if !storeless {
        problems.push(usual(&types::UNAVAILABLE));
    }
    if path.contains('{') {
        problems.push(usual(&types::PATH_MALFORMED));
    }
    if guarded && !storeless {
        problems.push(usual(&types::TOKEN_MISSING));
        if !["get", "head", "options"].contains(&method) {
            problems.push(usual(&types::TOKEN_READS_ONLY));
        }
        operation.insert("security".into(), json!([{ parts::BEARER: [] }]));
    }
    let named = operation
        .entry(PROBLEMS)
        .or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(named) = named {
        named.extend(problems.into_iter().map(Value::String));
    }
    if let Some(Value::Array(parameters)) = operation.get_mut("parameters") {
        parameters.iter_mut().for_each(without_null);
    }
}

/// What may be left out is null in a body. In a URL or a header it is not there: the text `null` is no value of it.
fn without_null(parameter: &mut Value) {
    let null = json!({ "type": "null" });
    let one_of = parameter.pointer_mut("/schema/oneOf").map(Value::take);
    if let Some(Value::Array(mut schemas)) = one_of {
        schemas.retain(|schema| *schema != null);
        parameter["schema"] = match schemas.len() {
            1 => schemas.remove(0),
            _ => json!({ "oneOf": schemas }),
        };
    }
}

/// Turns the names of an operation's problems into responses. To HEAD they have no body.
pub(super) fn write(
    operation: &mut Map<String, Value>,
    method: &str,
    types: &[&'static ProblemType],
) {
    let Some(Value::Array(named)) = operation.remove(PROBLEMS) else {
        return;
    };
    let mut by_status: std::collections::BTreeMap<String, Vec<&ProblemType>> = Default::default();
    for one in named.iter().filter_map(Value::as_str) {
        let (status, slug) = one.split_once(' ').unwrap_or_default();
        let kind = types.iter().find(|kind| kind.slug == slug);
        by_status.entry(status.to_owned()).or_default().extend(kind);
    }
    for (status, kinds) in by_status {
        operation["responses"][&status] = response(&status, &kinds, method != "head");
    }
}

fn response(status: &str, kinds: &[&ProblemType], has_body: bool) -> Value {
    let described: Vec<String> = kinds
        .iter()
        .map(|kind| format!("`{}`: {}", kind.slug, kind.title))
        .collect();
    let uris: Vec<String> = kinds.iter().map(|kind| kind.uri()).collect();
    let mut response = json!({
        "description": described.join(". "),
        "headers": { "Cache-Control": parts::header_ref("No-Store") },
    });
    if has_body {
        let schema = json!({ "allOf": [
            { "$ref": "#/components/schemas/Problem" },
            { "properties": { "type": { "enum": uris } } },
        ] });
        let mut content = json!({ "schema": schema });
        if let Some(kind) = kinds.first() {
            content["example"] = json!({
                "type": kind.uri(), "title": kind.title, "status": status.parse::<u16>().unwrap_or_default(),
                "detail": "What is wrong in this case, and what helps",
            });
        }
        response["content"] = json!({ "application/problem+json": content });
    }
    match status {
        "401" => response["headers"]["WWW-Authenticate"] = parts::header_ref("WWW-Authenticate"),
        "503" => response["headers"]["Retry-After"] = parts::header_ref("Retry-After"),
        _ => {}
    }
    response
}
