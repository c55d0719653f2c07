//! What the preflight shows beside the state of each endpoint: answers that say they are JSON and cannot be read as it, errors with a
//! good status, and that nothing was found which does the target's work. It must not know what an answer means.

use prony_model::{Captured, Endpoint, Finding, PhaseResult, Role, Severity, Surface, Verdict};
use serde::de::IgnoredAny;

use super::NAME;
use crate::answer::{Answer, answers, bounded, content_type, is_only_error};
use crate::draft::{Draft, source};
use crate::image_header::is_cut_image;

/// Findings for the endpoints whose good answers are no JSON though they say so.
pub(super) fn not_json(surface: &Surface, phase: &PhaseResult) -> Vec<Finding> {
    surface
        .endpoints
        .iter()
        .filter_map(|endpoint| of_endpoint(endpoint, phase))
        .collect()
}

fn of_endpoint(endpoint: &Endpoint, phase: &PhaseResult) -> Option<Finding> {
    let seen = answers(phase, &endpoint.name);
    let good: Vec<&Answer<'_>> = seen.iter().filter(|a| a.is_ok()).collect();
    let wrong: Vec<(&Captured, String)> = good
        .iter()
        .filter_map(|a| a.captured)
        .filter_map(|captured| Some((captured, why_unreadable(captured)?)))
        .collect();
    let (captured, why) = wrong.first()?;
    let verdict = if endpoint.is_work() {
        Verdict::Fail
    } else {
        Verdict::Warn
    };
    let severity = if endpoint.is_work() {
        Severity::High
    } else {
        Severity::Low
    };
    let here = source(phase, &endpoint.name);
    let draft = Draft::new(NAME, "not-json", &endpoint.name)
        .verdict(verdict, severity)
        .title(format!("{} answers with {}, but what it sends is no JSON", endpoint.name, content_type(captured)))
        .detail(format!(
            "{} of {} good answers cannot be read as JSON: {why}. Browsers and strict parsers refuse such an answer whole.",
            wrong.len(),
            good.len()
        ))
        .figure("answers that cannot be read", wrong.len() as f64, "", good.len(), &here)
        .advice(
            "Write JSON with a library, and give null in place of NaN and infinite numbers, which JSON does not have.",
            "",
        );
    let draft = if captured.binary {
        draft
    } else {
        draft.quote("answer", &bounded(&captured.body), &here)
    };
    Some(
        if verdict == Verdict::Fail {
            draft
        } else {
            draft.advisory()
        }
        .done(),
    )
}

/// Findings for the endpoints that answer a good request with a good status and nothing but an error.
pub(super) fn only_errors(surface: &Surface, phase: &PhaseResult) -> Vec<Finding> {
    let finding = |endpoint: &Endpoint| {
        let seen = answers(phase, &endpoint.name);
        let good = seen.iter().filter(|a| a.is_ok()).count();
        let wrong: Vec<&Answer<'_>> = seen
            .iter()
            .filter(|a| a.is_ok() && a.json().as_ref().is_some_and(is_only_error))
            .collect();
        let status = wrong.first()?.sample.status;
        let here = source(phase, &endpoint.name);
        Some(
            Draft::new(NAME, "error-for-an-answer", &endpoint.name)
                .verdict(Verdict::Fail, Severity::High)
                .title(format!("{} answers good requests with {status} and nothing but an error", endpoint.name))
                .detail(format!(
                    "{} of {good} answers that their status calls good say only what went wrong. Clients and monitors go by the status;                      the times of such answers are not those of the work.",
                    wrong.len()
                ))
                .figure("errors with a good status", wrong.len() as f64, "", good, &here)
                .quote("answer", &wrong[0].message(), &here)
                .advice("Answer errors with a status of 4xx or 5xx, and find out why these requests fail.", "")
                .done(),
        )
    };
    let work = surface.endpoints.iter().filter(|e| e.is_work());
    work.filter_map(finding).collect()
}

/// Findings for the endpoints whose images end before they are whole.
pub(super) fn cut_images(surface: &Surface, phase: &PhaseResult) -> Vec<Finding> {
    let finding = |endpoint: &Endpoint| {
        let seen = answers(phase, &endpoint.name);
        let good = || seen.iter().filter(|a| a.is_ok());
        let cut = good().filter(|a| a.captured.is_some_and(is_cut_image)).count();
        let here = source(phase, &endpoint.name);
        (cut > 0).then(|| {
            Draft::new(NAME, "image-cut-short", &endpoint.name)
                .verdict(Verdict::Fail, Severity::High)
                .title(format!(
                    "{cut} of {} images from {} end before they are whole",
                    good().count(),
                    endpoint.name
                ))
                .detail("The status is good and the length is as declared, but the image has no end.")
                .figure("images that are cut", cut as f64, "", good().count(), &here)
                .advice(
                    "Look for files that were written half, and for a cache that keeps them.",
                    "",
                )
                .done()
        })
    };
    surface.endpoints.iter().filter_map(finding).collect()
}

/// Why a whole answer that says it is JSON is none.
fn why_unreadable(captured: &Captured) -> Option<String> {
    let kind = content_type(captured);
    let says_json = kind == "application/json" || kind.ends_with("+json");
    let is_encoded = captured
        .header("content-encoding")
        .is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"));
    if !says_json || is_encoded || captured.cut || captured.body_bytes == 0 {
        return None;
    }
    if captured.binary {
        return Some("it is not UTF-8".to_owned());
    }
    let error = serde_json::from_str::<IgnoredAny>(&captured.body).err()?;
    // How deep it nests is our own limit.
    let why = error.to_string();
    (!why.contains("recursion limit")).then(|| bounded(&why))
}

/// Says so when no endpoint that does the target's work was found: a front page is none. Where the endpoints were named, whoever
/// named them knows.
pub(super) fn nothing_to_measure(surface: &Surface) -> Option<Finding> {
    let is_front_page = |e: &Endpoint| {
        e.method == "GET" && e.path == "/" && e.role == Role::Resource && e.parameters.is_empty()
    };
    let work: Vec<&Endpoint> = surface.endpoints.iter().filter(|e| e.is_work()).collect();
    if surface.found_by.is_empty() || !surface.chosen.is_empty() || !work.iter().all(|e| is_front_page(e)) {
        return None;
    }
    let title = if work.is_empty() {
        "No endpoint that does the target's work was found"
    } else {
        "Nothing but the front page was found to measure: GET /"
    };
    Some(
        Draft::new(NAME, "nothing-to-measure", "")
            .verdict(Verdict::Inconclusive, Severity::High)
            .title(title)
            .detail(format!(
                "Nothing says where the target does its work and what it takes, so its work was not measured. What was found: {}.",
                surface.found_by.join("; ")
            ))
            .advice(
                "Give the URL of the endpoint and a body that it answers well: `prony check URL/predict -b '{\"text\": \"hello\"}'`, or \
                 `-F image=@` for a picture in a form; a suite can name several endpoints.",
                "",
            )
            .done(),
    )
}

#[cfg(test)]
mod tests {
    use crate::fake::{Reply, run};
    use prony_model::{Budget, Endpoint, Expect, Finding, Request, Role, SampleRequest, Surface, Verdict};

    fn surface(path: &str, role: Role) -> Surface {
        Surface {
            found_by: vec![format!("the URL given: GET {path}")],
            endpoints: vec![Endpoint {
                name: format!("GET {path}"),
                method: "GET".into(),
                path: path.into(),
                role,
                parameters: Vec::new(),
                body_schema: None,
                declared_statuses: Vec::new(),
                samples: vec![SampleRequest {
                    request: Request::get(path),
                    inputs: std::collections::BTreeMap::default(),
                }],
                expect: Expect::default(),
            }],
            ..Surface::default()
        }
    }

    fn found(surface: &Surface, kind: &'static str, body: &'static [u8], id: &str) -> Option<Finding> {
        let (_, findings) = run(&["coverage"], surface, Budget::Quick, |_| {
            Reply::bytes(200, kind, body.to_vec())
        });
        findings.into_iter().find(|f| f.id == id)
    }

    #[test]
    fn nan_and_other_encodings_are_no_json() {
        let work = surface("/score", Role::Inference);
        let failing = |kind, body| found(&work, kind, body, "not-json").map(|f| f.verdict);
        assert_eq!(
            failing("application/json", b"{\"score\": NaN}"),
            Some(Verdict::Fail)
        );
        assert_eq!(
            failing("application/problem+json; charset=utf-8", b"{\"a\": 1"),
            Some(Verdict::Fail)
        );
        assert_eq!(
            failing("application/json", b"{\"a\": \"caf\xe9\"}"),
            Some(Verdict::Fail)
        );
        for (kind, body) in [
            (
                "application/json",
                b"{\"score\": 1e400, \"b\": [null]}".as_slice(),
            ),
            ("application/json", b""),
            ("text/plain", b"NaN"),
            ("application/x-ndjson", b"{}\n{}"),
        ] {
            assert_eq!(
                failing(kind, body),
                None,
                "{kind} {}",
                String::from_utf8_lossy(body)
            );
        }
        let health = surface("/health", Role::Health);
        let warned = found(&health, "application/json", b"OK", "not-json").unwrap();
        assert_eq!(warned.counted(), Verdict::Warn);
    }

    #[test]
    fn an_image_has_an_end() {
        let picture = surface("/picture", Role::Media);
        let failing = |body| found(&picture, "image/jpeg", body, "image-cut-short").map(|f| f.verdict);
        assert_eq!(failing(b"\xff\xd8\xff\xe0 half a picture"), Some(Verdict::Fail));
        assert_eq!(
            failing(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR half"),
            Some(Verdict::Fail)
        );
        for body in [
            b"\xff\xd8\xff\xe0 a picture \xff\xd9".as_slice(),
            b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR IEND\xaeB`\x82",
            b"GIF89a",
            b"",
        ] {
            assert_eq!(failing(body), None, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn an_error_is_no_answer_whatever_its_status() {
        let work = surface("/score", Role::Inference);
        let judged = |body| found(&work, "application/json", body, "error-for-an-answer").map(|f| f.verdict);
        assert_eq!(judged(b"{\"error\": \"model not loaded\"}"), Some(Verdict::Fail));
        assert_eq!(
            judged(b"{\"error\": {\"message\": \"no\"}, \"success\": false}"),
            Some(Verdict::Fail)
        );
        for body in [
            b"{\"error\": null}".as_slice(),
            b"{\"error\": \"\"}",
            b"{\"error\": 0.25}",
            b"{\"error\": \"near the edge\", \"label\": \"cat\"}",
        ] {
            assert_eq!(judged(body), None, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn a_front_page_is_no_work() {
        let of = |surface: &Surface| {
            found(surface, "text/html", b"<h1>Hello</h1>", "nothing-to-measure").map(|f| f.verdict)
        };
        assert_eq!(of(&surface("/", Role::Resource)), Some(Verdict::Inconclusive));
        assert_eq!(of(&surface("/health", Role::Health)), Some(Verdict::Inconclusive));
        assert_eq!(of(&surface("/report", Role::Resource)), None);
        let named = Surface {
            found_by: Vec::new(),
            ..surface("/", Role::Resource)
        };
        assert_eq!(of(&named), None);
    }
}
