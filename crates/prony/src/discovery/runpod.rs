//! A queue of jobs as RunPod's serverless endpoints have it, by what any client can see: `/run`, `/runsync` and `/status/ID` beside
//! each other, and a health document that counts jobs and workers. It knows no endpoint by its name.

use prony_model::{BodyCheck, Expect, Request, Role, Surface};
use serde_json::Value;

use super::openapi::Operation;
use super::{Fetch, bare};
use crate::text;

/// What a finished job says.
const DONE: &str = "COMPLETED";

/// The part of the path before `/run` where an API has such a queue: the same prefix must lead to the state of one job.
fn queues(operations: &[Operation]) -> Vec<&str> {
    let runs = operations.iter().filter(|o| o.method == "POST");
    runs.filter_map(|o| o.path.strip_suffix("/run"))
        .filter(|prefix| {
            operations.iter().any(|o| {
                o.method == "GET" && below(&o.path, prefix).is_some_and(|rest| is_one(rest, "status"))
            })
        })
        .collect()
}

/// Why an operation of such a queue is not called by itself.
pub(super) fn left_alone(operations: &[Operation], operation: &Operation) -> Option<&'static str> {
    let prefix = *queues(operations)
        .iter()
        .find(|prefix| below(&operation.path, prefix).is_some())?;
    let rest = below(&operation.path, prefix)?;
    let waits = operations
        .iter()
        .any(|o| below(&o.path, prefix) == Some("runsync"));
    match rest {
        "run" if waits => Some(
            "it only puts a job into the queue; the same work is asked for where the answer is waited for",
        ),
        "run" => Some("it only puts a job into the queue; a suite with a flow follows the job to its end"),
        _ if ["status", "stream", "cancel", "retry"]
            .iter()
            .any(|word| is_one(rest, word)) =>
        {
            Some("it is about one job, which somebody must have put into the queue")
        }
        "purge-queue" => Some("it drops other people's jobs"),
        _ => None,
    }
}

/// The role of the queue's own account of jobs and workers.
pub(super) fn role(operations: &[Operation], operation: &Operation) -> Option<Role> {
    let is_account = queues(operations)
        .iter()
        .any(|prefix| below(&operation.path, prefix) == Some("health"));
    (is_account && operation.method == "GET").then_some(Role::Status)
}

/// What a waited-for job must say: it is answered 200 whatever became of it.
pub(super) fn expect(operations: &[Operation], operation: &Operation, expect: Expect) -> Expect {
    let waits = queues(operations)
        .iter()
        .any(|prefix| below(&operation.path, prefix) == Some("runsync"));
    if !waits {
        return expect;
    }
    let mut body = expect.body;
    body.push(BodyCheck::JsonEquals {
        pointer: "/status".to_owned(),
        value: DONE.to_owned(),
    });
    Expect { body, ..expect }
}

/// Such a queue where no document names it: below the path that the user gave.
pub(super) fn undocumented(fetch: &mut dyn Fetch, path: &str, surface: &mut Surface) {
    let base = path.split('?').next().unwrap_or_default().trim_end_matches('/');
    let place = format!("{base}/health");
    if base.is_empty() || surface.endpoints.iter().any(|e| e.path == place) {
        return;
    }
    let answer = fetch.fetch(&Request::get(&place));
    if answer.status == 200 && answer.json().is_some_and(|json| is_account(&json)) {
        surface.found_by.push(format!(
            "a queue of jobs with workers at {}: what a job takes as its input must be told in a suite",
            text::clean(&place, 80)
        ));
        surface.endpoints.push(bare(&place, Role::Status));
    }
}

/// Whether a document counts jobs that wait and workers.
fn is_account(json: &Value) -> bool {
    let counts = |pointer: &str| json.pointer(pointer).is_some_and(Value::is_u64);
    counts("/jobs/inQueue") && counts("/jobs/inProgress") && counts("/workers/idle")
}

/// What follows the prefix.
fn below<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    path.strip_prefix(prefix)?.strip_prefix('/')
}

/// Whether the rest of a path is `word/{parameter}`.
fn is_one(rest: &str, word: &str) -> bool {
    rest.strip_prefix(word)
        .and_then(|rest| rest.strip_prefix("/{"))
        .is_some_and(|rest| rest.ends_with('}') && !rest.contains('/'))
}

#[cfg(test)]
mod tests {
    use prony_model::{Captured, Expect, Outcome, Request, Role, Surface};
    use serde_json::json;

    use super::{Operation, expect, is_account, left_alone, role, undocumented};
    use crate::discovery::tests::empty;

    fn api(paths: &[(&str, &str)]) -> Vec<Operation> {
        paths
            .iter()
            .map(|&(method, path)| Operation {
                method: method.into(),
                path: path.into(),
                ..Operation::default()
            })
            .collect()
    }

    #[test]
    fn a_queue_is_known_by_its_shape() {
        let queue = api(&[
            ("POST", "/v2/{e}/run"),
            ("POST", "/v2/{e}/runsync"),
            ("GET", "/v2/{e}/status/{job}"),
            ("GET", "/v2/{e}/health"),
            ("POST", "/other/run"),
        ]);
        let left: Vec<bool> = queue.iter().map(|o| left_alone(&queue, o).is_some()).collect();
        assert_eq!(left, [true, false, true, false, false]);
        assert_eq!(role(&queue, &queue[3]), Some(Role::Status));
        assert_eq!(role(&queue, &queue[1]), None);
        assert_eq!(expect(&queue, &queue[1], Expect::default()).body.len(), 1);
        assert!(expect(&queue, &queue[4], Expect::default()).body.is_empty());
        let alone = left_alone(&queue[..1], &queue[0]);
        assert_eq!(alone, None, "`/run` alone may be anything");
    }

    #[test]
    fn an_account_of_jobs_and_workers_is_known_below_the_path_given() {
        let document = json!({"jobs": {"inQueue": 0, "inProgress": 1}, "workers": {"idle": 2}});
        assert!(is_account(&document) && !is_account(&json!({"jobs": 3})));
        let mut surface = Surface::default();
        let mut fetch = |request: &Request| Captured {
            status: if request.path == "/v2/abc/health" {
                200
            } else {
                404
            },
            outcome: Outcome::Ok,
            body: document.to_string(),
            ..empty()
        };
        undocumented(&mut fetch, "/v2/abc", &mut surface);
        assert_eq!(surface.endpoints[0].name, "GET /v2/abc/health");
        undocumented(&mut fetch, "/", &mut surface);
        assert_eq!(surface.endpoints.len(), 1);
    }
}
