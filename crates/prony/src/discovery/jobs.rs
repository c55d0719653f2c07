//! Interfaces to jobs: an operation that starts work and answers at once, one that tells how it is, one that ends it early.
//! Judged from the document alone; whether jobs really live as it says is asked during the run.

use prony_model::{JobApi, Place, Request};
use serde_json::{Map, Value};

use super::harvest::{is_id, normal, singular};
use super::openapi::Operation;
use super::{role, value};

/// Most interfaces that are looked at.
const JOBS_MAX: usize = 3;
/// Words for a job that has not ended.
const WAITING: &[&str] = &[
    "pending",
    "queued",
    "inqueue",
    "waiting",
    "scheduled",
    "submitted",
    "accepted",
    "created",
    "running",
    "processing",
    "inprogress",
    "started",
    "validating",
];

/// The interfaces to jobs that a document describes.
pub(super) fn find(operations: &[Operation]) -> Vec<JobApi> {
    let submits = operations
        .iter()
        .filter(|o| o.method == "POST" && !o.path.contains('{') && role::left_alone(o).is_none());
    submits
        .filter_map(|submit| interface(submit, operations))
        .take(JOBS_MAX)
        .collect()
}

fn interface(submit: &Operation, operations: &[Operation]) -> Option<JobApi> {
    let can_be_asked = |o: &&Operation| value::is_sendable(&Request::get(&o.path));
    if !submit.statuses.contains(&202) && !tells_waiting(&submit.success_schema) {
        return None;
    }
    let keys = id_keys(&submit.success_schema);
    let mut found: Vec<(usize, JobApi)> = operations
        .iter()
        .filter(|o| o.method == "GET" && may_tell_status(submit, o))
        .filter(can_be_asked)
        .filter_map(|status| {
            let (parameter, id_key) = joined(status, &keys)?;
            let shared = submit
                .path
                .split('/')
                .zip(status.path.split('/'))
                .take_while(|(a, b)| a == b)
                .count();
            let api = JobApi {
                submit: submit.name(),
                id_key: id_key.clone(),
                status: status.path.clone(),
                parameter: parameter.to_owned(),
                cancel: cancel(status, operations)
                    .filter(|(_, path)| value::is_sendable(&Request::get(path))),
            };
            Some((shared, api))
        })
        .collect();
    // The one that is nearest in the tree of paths.
    found.sort_by_key(|(shared, _)| std::cmp::Reverse(*shared));
    found.into_iter().next().map(|(_, api)| api)
}

/// Whether a document says that the operation tells a status, or says nothing of its answers where the submission promises to
/// do the work later.
fn may_tell_status(submit: &Operation, status: &Operation) -> bool {
    let says_nothing = match &status.success_schema {
        Value::Object(schema) => schema.is_empty(),
        schema => schema.is_null(),
    };
    tells_status(&status.success_schema) || (says_nothing && submit.statuses.contains(&202))
}

/// The parameter of a status operation, its only one, and the key of the submission's answer that fills it.
fn joined<'a>(status: &'a Operation, keys: &'a [String]) -> Option<(&'a str, &'a String)> {
    let mut required = status.parameters.iter().filter(|p| p.required);
    let parameter = required.next().filter(|p| p.place == Place::Path)?;
    let ends_there = status.path.ends_with(&format!("{{{}}}", parameter.name))
        || status.path.ends_with("/status")
        || status.path.ends_with("/state");
    if required.next().is_some() || !ends_there {
        return None;
    }
    let wanted = normal(&parameter.name);
    let exact = keys.iter().find(|key| normal(key) == wanted && wanted != "id");
    // A plain `id` fits where the path says that this is what the id is of.
    let before = status.path.split("/{").next().unwrap_or_default();
    let last = singular(&normal(before.rsplit('/').next().unwrap_or_default()));
    let of_jobs = ["job", "task", "run", "prediction", "operation", "status"].contains(&last.as_str())
        || ["jobid", "taskid", "runid", "predictionid"].contains(&wanted.as_str());
    let plain = || keys.iter().find(|key| normal(key) == "id" && of_jobs);
    Some((&parameter.name, exact.or_else(plain)?))
}

fn cancel(status: &Operation, operations: &[Operation]) -> Option<(String, String)> {
    let words = ["cancel", "abort", "stop"];
    let ended = |o: &&Operation| {
        let rest = o.path.strip_prefix(&status.path);
        let has_body = o.body.as_ref().is_some_and(|body| body.required);
        match (o.method.as_str(), rest) {
            ("POST", Some(rest)) => words.contains(&rest.trim_start_matches('/')) && !has_body,
            _ => false,
        }
    };
    let found = operations.iter().find(ended)?;
    Some((found.method.clone(), found.path.clone()))
}

/// The properties of an object, or of what it is put together from.
fn properties(schema: &Value) -> Vec<&Map<String, Value>> {
    let parts = ["allOf", "anyOf", "oneOf"]
        .iter()
        .filter_map(|key| schema.get(*key).and_then(Value::as_array))
        .flatten();
    std::iter::once(schema)
        .chain(parts)
        .filter_map(|part| part.get("properties").and_then(Value::as_object))
        .collect()
}

fn id_keys(schema: &Value) -> Vec<String> {
    let keys = properties(schema).into_iter().flat_map(Map::keys);
    keys.filter(|key| is_id(key)).cloned().collect()
}

fn status_of(schema: &Value) -> Option<&Value> {
    properties(schema)
        .into_iter()
        .find_map(|own| own.get("status").or_else(|| own.get("state")))
}

fn tells_status(schema: &Value) -> bool {
    status_of(schema).is_some()
}

/// Whether the document lists a status that means that the work goes on.
fn tells_waiting(schema: &Value) -> bool {
    let listed = status_of(schema)
        .and_then(|s| s.get("enum"))
        .and_then(Value::as_array);
    listed.into_iter().flatten().any(|word| {
        word.as_str()
            .is_some_and(|word| WAITING.contains(&normal(word).as_str()))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::openapi::read;
    use super::find;

    fn document(status_path: &str, parameter: &str, job: &Value) -> Value {
        let answer = |status: &str| json!({status: {"content": {"application/json": {"schema": job}}}});
        let id = json!([{"name": parameter, "in": "path", "required": true, "schema": {"type": "string"}}]);
        json!({"openapi": "3.1.0", "paths": {
            "/v1/scans": {"post": {"responses": answer("202")}},
            "/v1/ask": {"post": {"responses": {"200": {"content": {"application/json": {"schema":
                {"properties": {"answer": {}, "id": {}}}}}}}}},
            status_path: {"get": {"parameters": id, "responses": answer("200")}},
            (format!("{status_path}/cancel")): {"post": {"parameters": id, "responses": answer("200")}},
        }})
    }

    #[test]
    fn a_submission_is_joined_with_its_status() {
        let job =
            json!({"type": "object", "properties": {"job_id": {}, "status": {"enum": ["queued", "done"]}}});
        let found = find(&read(&document("/v1/scans/jobs/{job_id}", "job_id", &job)).operations);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].submit, "POST /v1/scans");
        assert_eq!(found[0].id_key, "job_id");
        assert_eq!(
            found[0].cancel.as_ref().unwrap().1,
            "/v1/scans/jobs/{job_id}/cancel"
        );
        let plain = json!({"properties": {"id": {}, "status": {"type": "string"}}});
        let found = find(&read(&document("/v1/tasks/{task_id}", "task_id", &plain)).operations);
        assert_eq!(
            (found[0].id_key.as_str(), found[0].parameter.as_str()),
            ("id", "task_id")
        );
    }

    #[test]
    fn an_answer_that_is_not_described_may_tell_a_status_where_work_is_done_later() {
        let job = json!({"properties": {"job_id": {}, "status": {"type": "string"}}});
        let mut told = document("/v1/jobs/{job_id}", "job_id", &job);
        told["paths"]["/v1/jobs/{job_id}"]["get"]["responses"] = json!({"200": {"description": "the state"}});
        let found = find(&read(&told).operations);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            (found[0].id_key.as_str(), found[0].status.as_str()),
            ("job_id", "/v1/jobs/{job_id}")
        );
        told["paths"]["/v1/scans"]["post"]["responses"] =
            json!({"200": {"content": {"application/json": {"schema": job}}}});
        assert!(find(&read(&told).operations).is_empty());
    }

    #[test]
    fn what_has_no_status_or_another_id_is_no_job() {
        let no_status = json!({"properties": {"job_id": {}}});
        assert!(find(&read(&document("/v1/jobs/{job_id}", "job_id", &no_status)).operations).is_empty());
        let other = json!({"properties": {"id": {}, "status": {}}});
        assert!(find(&read(&document("/v1/users/{user_id}", "user_id", &other)).operations).is_empty());
    }
}
