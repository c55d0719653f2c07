//! The judgements against recordings whose truth is known in both directions.

use std::collections::BTreeMap;

use prony_model::{
    BodyCheck, Budget, Captured, Endpoint, Expect, Finding, JsonText, Nanos, Outcome, PhaseResult, Reading,
    Request, Role, SampleRequest, Shape, Surface, Verdict,
};
use serde_json::{Value, json};

use super::{ALONE, ControlPair, NAME, TOGETHER, behind, place, side_by_side, whole};
use crate::RunView;
use crate::fake::{self, Reply, body_json};

const TOOL: &str = "tool download_film";

fn message(film: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "download_film", "arguments": {"film_id": film}}})
}

fn surface() -> Surface {
    let text = json!({"type": "string"});
    let arguments =
        json!({"type": "object", "properties": {"film_id": text, "filename": text}, "required": ["film_id"]});
    let schema = json!({"properties": {"params": {"properties": {"arguments": arguments}}}});
    let samples = (1..=8)
        .map(|k| SampleRequest {
            request: Request::json("POST", "/mcp", &message(&format!("film_{k}"))),
            inputs: BTreeMap::from([("film_id".to_owned(), format!("film_{k}"))]),
        })
        .collect();
    Surface {
        endpoints: vec![Endpoint {
            name: TOOL.to_owned(),
            method: "POST".to_owned(),
            path: "/mcp".to_owned(),
            role: Role::Media,
            parameters: Vec::new(),
            body_schema: Some(JsonText(schema)),
            declared_statuses: Vec::new(),
            samples,
            expect: Expect {
                body: vec![BodyCheck::Rpc],
                ..Expect::default()
            },
        }],
        ..Surface::default()
    }
}

/// Writes under the name asked for, whoever else has it, or beside it.
fn target(request: &Request, overwrites: bool, more: &Value) -> Reply {
    let arguments = body_json(request).unwrap()["params"]["arguments"].clone();
    let film = arguments["film_id"].as_str().unwrap();
    let name = arguments["filename"].as_str().unwrap_or("own.mp4");
    let path = if overwrites && name != "own.mp4" {
        format!("/srv/{name}")
    } else {
        format!("/srv/{film}-{name}")
    };
    let mut result = json!({"path": path});
    result
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    Reply::json(
        200,
        &json!({"jsonrpc": "2.0", "id": 1, "result": {"structuredContent": result}}),
    )
}

/// What the experiment sends, each request once, with every answer kept.
fn recorded(overwrites: bool, more: &Value) -> (Vec<PhaseResult>, Vec<Finding>) {
    let surface = surface();
    let answer = |request: &Request| target(request, overwrites, more);
    let (mut phases, _) = fake::run(&["coverage", NAME], &surface, Budget::Standard, answer);
    for phase in phases.iter_mut().filter(|p| p.phase.experiment == NAME) {
        let items = &phase.phase.scenarios[0].items;
        phase.samples.dedup_by_key(|s| s.item);
        let first = phase.captures[0].clone();
        phase.captures = phase
            .samples
            .iter()
            .map(|sample| Captured {
                seq: sample.seq,
                item: sample.item,
                body: String::from_utf8(answer(&items[sample.item as usize].request).body).unwrap(),
                cut: false,
                ..first.clone()
            })
            .collect();
    }
    let found = judged(&phases, |run| {
        let all = [
            whole::finding(run, TOOL),
            place::overwritten(run, TOOL),
            place::partial(run, TOOL),
            behind::finding(run),
        ];
        all.into_iter().flatten().collect()
    });
    (phases, found)
}

fn judged<T>(phases: &[PhaseResult], judge: impl Fn(&RunView<'_>) -> T) -> T {
    let surface = surface();
    judge(&RunView {
        surface: &surface,
        phases,
        cores: 2,
        shared_host: true,
    })
}

fn phase<'a>(phases: &'a mut [PhaseResult], name: &str) -> &'a mut PhaseResult {
    phases.iter_mut().find(|p| p.phase.name == name).unwrap()
}

fn reading(at: Nanos, monitor: &str, values: &[(&str, f64)]) -> Reading {
    Reading {
        at,
        monitor: monitor.to_owned(),
        values: values.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect(),
    }
}

/// What a watcher sees of every file of the two phases: `early` lengths before its end, then its contents.
fn watch(phases: &mut [PhaseResult], early: &[f64], bytes: impl Fn(usize) -> f64) {
    let mut k = 0;
    for name in [ALONE, TOGETHER] {
        let phase = phase(phases, name);
        let mut readings = vec![reading(Nanos(1), "files", &[("looks", 100.0)])];
        for capture in &phase.captures {
            let path = capture.json().unwrap()["path"].as_str().unwrap().to_owned();
            let monitor = format!("file {path}");
            readings.extend(
                early
                    .iter()
                    .map(|bytes| reading(Nanos(1), &monitor, &[("bytes", *bytes)])),
            );
            let length = bytes(k);
            let content = if length < 1000.0 { 99.0 } else { 5.0 };
            let values = [("bytes", length), ("sha256_high", content), ("sha256_low", 0.0)];
            readings.push(reading(Nanos::SECOND, &monitor, &values));
            k += 1;
        }
        phase.readings = readings;
    }
}

#[test]
fn a_second_writer_that_replaces_the_first_is_found() {
    let (_, found) = recorded(true, &json!({}));
    let lost = found.iter().find(|f| f.id == "silent-overwrite").unwrap();
    assert_eq!(lost.verdict, Verdict::Fail, "{lost:?}");
    let (_, found) = recorded(false, &json!({}));
    let kept = found.iter().find(|f| f.id == "silent-overwrite").unwrap();
    assert_eq!(kept.verdict, Verdict::Pass, "{kept:?}");
}

#[test]
fn files_that_nobody_can_see_are_not_judged() {
    let (phases, found) = recorded(false, &json!({}));
    let whole = found.iter().find(|f| f.id == "incomplete-file").unwrap();
    assert_eq!((whole.verdict, whole.required), (Verdict::Inconclusive, false));
    assert!(
        !found
            .iter()
            .any(|f| f.id == "partial-file-visible" || f.id == "hidden-retries")
    );
    assert!(phases.iter().filter(|p| p.phase.experiment == NAME).count() == 3);
}

#[test]
fn a_short_file_is_found_by_its_fellows_and_by_the_reference() {
    let (mut phases, _) = recorded(false, &json!({}));
    let judge = |phases: &[PhaseResult]| judged(phases, |run| whole::finding(run, TOOL)).unwrap();
    watch(&mut phases, &[], |_| 1000.0);
    assert_eq!(judge(&phases).verdict, Verdict::Pass);
    watch(&mut phases, &[], |k| if k == 40 { 500.0 } else { 1000.0 });
    let found = judge(&phases);
    assert_eq!(found.verdict, Verdict::Fail);
    assert!(found.title.starts_with("1 of "), "{}", found.title);
    // Every file of a content is short: only the reference tells.
    watch(&mut phases, &[], |_| 1000.0);
    let told: Vec<Reading> = (1..=8)
        .map(|k| {
            let bytes = if k == 3 { 2000.0 } else { 1000.0 };
            reading(Nanos(1), &format!("reference film_{k}"), &[("bytes", bytes)])
        })
        .collect();
    phase(&mut phases, ALONE).readings.extend(told);
    let found = judge(&phases);
    assert!(
        found.verdict == Verdict::Fail && found.detail.contains("service behind"),
        "{found:?}"
    );
    // A reference of something else is none.
    let other = (1..=8).map(|k| reading(Nanos(1), &format!("reference film_{k}"), &[("bytes", 7.0)]));
    watch(&mut phases, &[], |_| 1000.0);
    phase(&mut phases, ALONE).readings.extend(other);
    assert_eq!(judge(&phases).verdict, Verdict::Pass);
}

#[test]
fn what_an_answer_says_of_its_file_must_be_so() {
    let (mut phases, _) = recorded(false, &json!({"bytes": 1000}));
    watch(&mut phases, &[], |_| 1000.0);
    assert_eq!(
        judged(&phases, |run| whole::finding(run, TOOL)).unwrap().verdict,
        Verdict::Pass
    );
    watch(&mut phases, &[], |_| 1001.0);
    assert_eq!(
        judged(&phases, |run| whole::finding(run, TOOL)).unwrap().verdict,
        Verdict::Fail
    );
}

#[test]
fn a_part_in_the_place_of_the_whole_is_found() {
    let (mut phases, _) = recorded(false, &json!({}));
    let judge = |phases: &[PhaseResult]| judged(phases, |run| place::partial(run, TOOL)).unwrap();
    watch(&mut phases, &[1000.0], |_| 1000.0);
    assert_eq!(judge(&phases).verdict, Verdict::Pass);
    watch(&mut phases, &[0.0, 512.0], |_| 1000.0);
    assert_eq!(judge(&phases).verdict, Verdict::Fail);
}

/// Sets the times of a phase: request k of a burst takes `took(k)` ms.
fn timed(phase: &mut PhaseResult, took: impl Fn(usize) -> f64) {
    let size = match phase.phase.shape {
        Shape::Burst { size, count, .. } => (size as usize, count as usize),
        _ => (1, phase.phase.scenarios[0].items.len()),
    };
    let first = phase.samples[0];
    phase.samples = vec![first; size.0 * size.1];
    for (k, sample) in phase.samples.iter_mut().enumerate() {
        let start = Nanos::from_millis_f64(10_000.0 * (k / size.0) as f64 + 1.0);
        sample.seq = k as u64;
        sample.outcome = Outcome::Ok;
        (sample.intended, sample.sent) = (start, start);
        sample.done = start + Nanos::from_millis_f64(took(k % size.0));
    }
}

#[test]
fn a_queue_is_told_from_downloads_side_by_side() {
    let (mut phases, _) = recorded(false, &json!({}));
    let noise = |k: usize| [1.0, 1.1, 0.95, 1.3, 1.0, 1.05, 0.9, 1.2][k % 8];
    timed(phase(&mut phases, ALONE), |_| 100.0);
    for (name, took, verdict) in [
        (
            "one at a time",
            Box::new(|k: usize| 100.0 * (k + 1) as f64) as Box<dyn Fn(usize) -> f64>,
            Verdict::Fail,
        ),
        (
            "side by side",
            Box::new(move |k: usize| 100.0 * noise(k)),
            Verdict::Pass,
        ),
        (
            "side by side, with two stragglers",
            Box::new(move |k: usize| if k < 2 { 900.0 } else { 100.0 * noise(k) }),
            Verdict::Pass,
        ),
        (
            "one at a time, with a control that was disturbed",
            Box::new(|k: usize| 60.0 * (k + 1) as f64),
            Verdict::Fail,
        ),
        (
            "two at a time",
            Box::new(|k: usize| 100.0 * (k / 2 + 1) as f64),
            Verdict::Pass,
        ),
    ] {
        timed(phase(&mut phases, TOGETHER), &took);
        let found = judged(&phases, |run| side_by_side::finding(run, TOOL)).unwrap();
        assert_eq!(found.verdict, verdict, "{name}: {found:?}");
    }
}

#[test]
fn a_pair_of_phases_shows_both_kinds_of_speed_up() {
    let (mut phases, _) = recorded(false, &json!({}));
    timed(phase(&mut phases, ALONE), |_| 100.0);
    timed(phase(&mut phases, TOGETHER), |k| 100.0 * (k + 1) as f64);
    let pair = ControlPair {
        alone: ALONE.to_owned(),
        together: TOGETHER.to_owned(),
        step: None,
        claimed: None,
    };
    let found = judged(&phases, |run| side_by_side::pair(run, &pair)).unwrap();
    assert_eq!(found.verdict, Verdict::Warn);
    let figure = |label: &str| {
        let all = found.evidence.iter().filter_map(|e| match e {
            prony_model::Evidence::Figure(f) => Some((f.label.as_str(), f.value)),
            _ => None,
        });
        all.clone()
            .find(|(l, _)| *l == label)
            .unwrap_or_else(|| panic!("{label}: {found:?}"))
            .1
    };
    assert!((figure("speed-up over one at a time") - 1.0).abs() < 0.01);
    assert!((figure("sum of times over wall time") - 4.5).abs() < 0.01);
    assert!(
        judged(&phases, |run| side_by_side::pair(
            run,
            &ControlPair {
                alone: "none".into(),
                ..pair.clone()
            }
        ))
        .is_none()
    );
}

#[test]
fn failures_that_only_the_service_behind_saw_are_hidden() {
    let counts = |phases: &mut [PhaseResult], failures: f64| {
        phase(phases, ALONE).readings = vec![reading(
            Nanos(0),
            "upstream",
            &[("answers", 10.0), ("failures", 2.0)],
        )];
        phase(phases, TOGETHER).readings = vec![reading(
            Nanos::SECOND,
            "upstream",
            &[("answers", 200.0), ("failures", 2.0 + failures)],
        )];
    };
    let judge = |phases: &[PhaseResult]| judged(phases, behind::finding).unwrap().verdict;
    let (mut silent, _) = recorded(false, &json!({}));
    counts(&mut silent, 9.0);
    assert_eq!(judge(&silent), Verdict::Fail);
    counts(&mut silent, 0.0);
    assert_eq!(judge(&silent), Verdict::Pass);
    let (mut open, _) = recorded(false, &json!({"upstream": {"attempts": 2, "failures": []}}));
    counts(&mut open, 9.0);
    assert_eq!(judge(&open), Verdict::Pass);
}
