//! Names of the target's own Prometheus metrics, as its metrics endpoint showed them.

use prony_model::{MetricNames, Role};

use crate::RunView;

/// Names that were seen; empty ones where the target shows none.
pub(super) fn names(run: &RunView<'_>) -> MetricNames {
    let Some(text) = page(run) else {
        return MetricNames::default();
    };
    read(text)
}

/// The text of the metrics endpoint, from the preflight.
fn page<'a>(run: &RunView<'a>) -> Option<&'a str> {
    let preflight = run.phase("coverage", "preflight")?;
    let endpoints = run.surface.endpoints.iter().filter(|e| e.role == Role::Metrics);
    let scenarios: Vec<u16> = endpoints.filter_map(|e| preflight.scenario(&e.name)).collect();
    preflight
        .captures
        .iter()
        .find(|c| c.status == 200 && !c.binary && scenarios.contains(&c.scenario))
        .map(|c| c.body.as_str())
}

fn read(text: &str) -> MetricNames {
    let mut names = MetricNames::default();
    for (name, kind) in text.lines().filter_map(typed) {
        let about_requests = name.contains("request") || name.contains("http");
        let first = |slot: &mut String, fits: bool| {
            if fits && slot.is_empty() {
                name.clone_into(slot);
            }
        };
        match kind {
            "histogram" => first(
                &mut names.duration_seconds,
                about_requests && name.ends_with("_seconds"),
            ),
            "counter" => first(
                &mut names.requests_total,
                about_requests && name.ends_with("_total"),
            ),
            "gauge" => {
                let in_progress = [
                    "in_progress",
                    "inprogress",
                    "in_flight",
                    "inflight",
                    "requests_running",
                ];
                first(
                    &mut names.in_progress,
                    in_progress.iter().any(|part| name.contains(part)),
                );
                first(&mut names.resident_bytes, name == "process_resident_memory_bytes");
            }
            _ => {}
        }
    }
    let labels = ["status", "code", "status_code", "http_status"];
    let lines = || text.lines().filter(|l| l.starts_with(&names.requests_total));
    let label = labels.iter().find(|label| {
        lines().any(|l| l.contains(&format!("{{{label}=\"")) || l.contains(&format!(",{label}=\"")))
    });
    match label {
        Some(label) if !names.requests_total.is_empty() => names.status_label = (*label).to_owned(),
        // A counter that does not tell outcomes apart is of no use here.
        _ => names.requests_total.clear(),
    }
    names
}

/// Name and kind of a `# TYPE` line, when the name is one that a query may hold.
fn typed(line: &str) -> Option<(&str, &str)> {
    let (name, kind) = line.strip_prefix("# TYPE ")?.trim().split_once(' ')?;
    let sound = name.len() <= 100
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    sound.then_some((name, kind.trim()))
}

#[cfg(test)]
mod tests {
    use prony_model::MetricNames;

    use super::read;

    #[test]
    fn well_known_families_are_found_under_any_name() {
        let text = "# HELP x y\n# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes 1\n\
                    # TYPE app_http_request_duration_seconds histogram\n\
                    # TYPE app_requests_total counter\napp_requests_total{method=\"GET\",status=\"200\"} 3\n\
                    # TYPE app_requests_in_progress gauge\n";
        assert_eq!(
            read(text),
            MetricNames {
                duration_seconds: "app_http_request_duration_seconds".into(),
                requests_total: "app_requests_total".into(),
                status_label: "status".into(),
                in_progress: "app_requests_in_progress".into(),
                resident_bytes: "process_resident_memory_bytes".into(),
            }
        );
    }

    #[test]
    fn what_a_query_may_not_hold_is_not_taken() {
        for text in [
            "# TYPE http\"}_requests_total counter\n",
            "# TYPE 1request_seconds histogram\n",
            "# TYPE requests_total counter\nrequests_total 3\n",
            "",
        ] {
            assert_eq!(read(text), MetricNames::default(), "{text}");
        }
    }
}
