//! Answers that say that nothing was found: equal ones do not show that the input was not read.

use serde_json::Value;

use super::rules::is_result;

/// Deepest nesting that is looked at.
const DEPTH_MAX: u32 = 8;

/// Whether the answer has lists of results and all of them are empty. A tensor of zeros counts as empty: a count of nothing.
pub(super) fn found_nothing(answer: &Value) -> bool {
    emptiness(answer, false, DEPTH_MAX) == Some(true)
}

/// Whether the lists of results in a value are empty; `None` when there are none.
fn emptiness(value: &Value, is_list_of_results: bool, depth: u32) -> Option<bool> {
    if depth == 0 {
        return None;
    }
    match value {
        Value::Object(object) => all(object.iter().map(|(key, inner)| {
            let named = is_result(key) || key == "data";
            emptiness(inner, named && inner.is_array(), depth - 1)
        })),
        Value::Array(list) => {
            let inner = all(list.iter().map(|one| emptiness(one, false, depth - 1)));
            if !is_list_of_results {
                return inner;
            }
            let zeros = list.iter().all(|one| one.as_f64() == Some(0.0));
            inner.or(Some(zeros))
        }
        _ => None,
    }
}

/// True when all that say something say so.
fn all(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    parts.flatten().reduce(|a, b| a && b)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::found_nothing;

    #[test]
    fn empty_lists_of_results_are_nothing() {
        for nothing in [
            json!({"detections": [], "segmentations": [], "took": 3.2}),
            json!({"outputs": [{"name": "boxes", "shape": [1, 0, 4], "data": []}, {"name": "n", "data": [0]}]}),
            json!({"results": []}),
        ] {
            assert!(found_nothing(&nothing), "{nothing}");
        }
        for something in [
            json!({"detections": [{"box": [1, 2, 3, 4]}], "segmentations": []}),
            json!({"outputs": [{"name": "boxes", "data": [0.5, 0.1]}, {"name": "masks", "data": []}]}),
            json!({"label": "cat"}),
            json!({"tags": []}),
        ] {
            assert!(!found_nothing(&something), "{something}");
        }
    }
}
