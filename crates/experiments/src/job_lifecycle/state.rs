//! What one answer says of a job: its status, counts and progress, read by the words that such answers use everywhere.

use serde_json::{Map, Value};

use crate::answer::bounded_to;

/// Last words of names that say when something was: `completed_at` and `failed_at` count nothing, though they may be whole numbers.
const MOMENTS: &[&str] = &[
    "at",
    "time",
    "ts",
    "date",
    "timestamp",
    "epoch",
    "on",
    "since",
    "until",
];

/// Where a job is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Taken, not begun.
    Waiting,
    /// Begun.
    Running,
    /// Ended well.
    Done,
    /// Ended with an error.
    Failed,
    /// Ended by its client.
    Cancelled,
}

impl Stage {
    /// Whether nothing more is to come.
    pub(super) fn has_ended(self) -> bool {
        self >= Self::Done
    }

    fn of(word: &str) -> Option<Self> {
        let plain: String = word
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .collect();
        Some(match plain.as_str() {
            "pending" | "queued" | "inqueue" | "waiting" | "scheduled" | "submitted" | "accepted"
            | "created" | "new" | "notstarted" => Self::Waiting,
            "running" | "processing" | "inprogress" | "started" | "active" | "validating" | "finalizing"
            | "working" => Self::Running,
            "completed" | "complete" | "succeeded" | "success" | "successful" | "done" | "finished" => {
                Self::Done
            }
            "failed"
            | "failure"
            | "error"
            | "errored"
            | "timedout"
            | "expired"
            | "partial"
            | "partiallyfailed"
            | "completedwitherrors" => Self::Failed,
            "cancelled" | "canceled" | "aborted" | "cancelling" | "canceling" => Self::Cancelled,
            _ => return None,
        })
    }
}

/// One answer about a job.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct JobState {
    /// Its status in its own word, bounded.
    pub word: String,
    /// What the word means; `None` for a word that nobody knows.
    pub stage: Option<Stage>,
    /// Items in all.
    pub total: Option<u64>,
    /// Items worked on, well or not.
    pub processed: Option<u64>,
    /// Items that ended well.
    pub succeeded: Option<u64>,
    /// Items that failed.
    pub failed: Option<u64>,
    /// Progress as it is told, a share or a percentage.
    pub progress: Option<f64>,
    /// Entries of the list of results, where there is one.
    pub results: Option<u64>,
    /// Whether anything in it says that something went wrong.
    pub tells_failure: bool,
}

impl JobState {
    /// Reads an answer; `None` when it has no status.
    pub(super) fn read(answer: &Value) -> Option<Self> {
        let (object, word) = status(answer)?;
        let mut state = Self {
            word: bounded_to(word, 40),
            stage: Stage::of(word),
            tells_failure: tells_failure(answer, 6),
            ..Self::default()
        };
        state.read_counts(object);
        Some(state)
    }

    fn read_counts(&mut self, object: &Map<String, Value>) {
        for (key, value) in object {
            let words = prony_model::name_words(key);
            if words.last().is_some_and(|last| MOMENTS.contains(&last.as_str())) {
                continue;
            }
            let has = |wanted: &[&str]| words.iter().any(|w| wanted.contains(&w.as_str()));
            match value {
                Value::Array(list) if has(&["results", "outputs", "predictions"]) => {
                    self.results = Some(list.len() as u64);
                }
                Value::Number(number) => {
                    if has(&["progress", "percentage", "percent"]) && !has(&["images", "items"]) {
                        self.progress = number.as_f64();
                    } else if let Some(count) = number.as_u64().filter(|_| !has(&["time", "ms", "seconds"])) {
                        let slot = if has(&["failed", "failures", "errors", "errored"]) {
                            &mut self.failed
                        } else if has(&["succeeded", "success", "successful", "completed"]) {
                            &mut self.succeeded
                        } else if has(&["processed"]) {
                            &mut self.processed
                        } else if has(&["total"]) {
                            &mut self.total
                        } else {
                            continue;
                        };
                        *slot = Some(count);
                    }
                }
                // `request_counts: {total, completed, failed}`.
                Value::Object(inner) if has(&["counts", "count", "progress", "stats"]) => {
                    self.read_counts(inner);
                }
                _ => {}
            }
        }
    }
}

/// The object with a status and the status, at the top or one level below.
fn status(answer: &Value) -> Option<(&Map<String, Value>, &str)> {
    status_here(answer).or_else(|| answer.as_object()?.values().find_map(status_here))
}

fn status_here(value: &Value) -> Option<(&Map<String, Value>, &str)> {
    let object = value.as_object()?;
    let word = ["status", "state", "job_status", "phase"]
        .iter()
        .find_map(|key| object.get(*key).and_then(Value::as_str))?;
    Some((object, word))
}

/// Whether a key about failures says that there are some, or the status of any part does.
fn tells_failure(value: &Value, depth: u32) -> bool {
    if depth == 0 {
        return false;
    }
    match value {
        Value::Object(object) => object.iter().any(|(key, inner)| {
            let words = prony_model::name_words(key);
            let about = words.iter().any(|w| {
                [
                    "failed",
                    "failure",
                    "failures",
                    "fail",
                    "error",
                    "errors",
                    "errored",
                    "warning",
                    "warnings",
                    "missing",
                    "skipped",
                    "invalid",
                    "unprocessed",
                    "rejected",
                ]
                .contains(&w.as_str())
            });
            if about {
                return says_some(inner);
            }
            let is_status = words.iter().any(|w| w == "status" || w == "state");
            let failed = inner.as_str().and_then(Stage::of) == Some(Stage::Failed);
            (is_status && failed) || tells_failure(inner, depth - 1)
        }),
        Value::Array(list) => list
            .iter()
            .take(1000)
            .any(|inner| tells_failure(inner, depth - 1)),
        _ => false,
    }
}

fn says_some(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64().is_some_and(|n| n > 0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{JobState, Stage};

    #[test]
    fn counts_are_read_by_their_words() {
        let read = JobState::read(&json!({
            "job_id": "x", "status": "IN_PROGRESS", "total_images": 4, "processed_images": 3, "failed_images": 1,
            "progress_percentage": 75.0, "results": [1, 2], "errors": [], "error_message": null
        }))
        .unwrap();
        assert_eq!(read.stage, Some(Stage::Running));
        assert_eq!(
            (read.total, read.processed, read.failed, read.results),
            (Some(4), Some(3), Some(1), Some(2))
        );
        assert_eq!(read.progress, Some(75.0));
        assert!(read.tells_failure);
        let nested = JobState::read(&json!({"data": {"state": "done", "request_counts":
            {"total": 2, "completed": 2, "failed": 0}}}))
        .unwrap();
        assert_eq!(
            (nested.total, nested.succeeded, nested.failed),
            (Some(2), Some(2), Some(0))
        );
        assert!(!nested.tells_failure);
    }

    #[test]
    fn moments_are_no_counts() {
        let read = JobState::read(&json!({
            "status": "completed", "total": 4, "failed": 1, "completed": 3, "progress": 1.0,
            "completed_at": 1_767_225_600, "failedAt": 1_767_225_601, "processed_ts": 1_767_225_602,
            "total_time": 12, "errors_since": 1_767_225_603, "progress_date": 20_260_101
        }))
        .unwrap();
        assert_eq!(
            (
                read.total,
                read.succeeded,
                read.failed,
                read.processed,
                read.progress
            ),
            (Some(4), Some(3), Some(1), None, Some(1.0))
        );
    }

    #[test]
    fn a_failure_may_be_told_anywhere() {
        for told in [
            json!({"status": "completed", "errors": [{"id": 1}]}),
            json!({"status": "completed", "error_message": "one image failed"}),
            json!({"status": "completed", "items": [{"status": "failed"}]}),
            json!({"status": "completed", "output": {"failed": 1}}),
        ] {
            assert!(JobState::read(&told).unwrap().tells_failure, "{told}");
        }
        let none = json!({"status": "completed", "errors": [], "failed": 0, "error": null, "results": [{}]});
        assert!(!JobState::read(&none).unwrap().tells_failure);
    }

    #[test]
    fn an_answer_without_status_says_nothing() {
        assert_eq!(JobState::read(&json!({"id": 1})), None);
        assert_eq!(JobState::read(&json!({"status": "odd"})).unwrap().stage, None);
    }
}
