//! A server whose curve is known, in virtual time: so many tokens per second at most, shared by all streams.

use prony_model::{
    Budget, Finding, Limits, Nanos, Outcome, Phase, PhaseResult, Sample, Scenario, Shape, StreamSummary,
    Surface, Verdict,
};
use serde_json::{Value, json};

use super::DEF;
use super::curve::pareto;
use crate::fake::streamed::{Answer, ENDPOINT, phase, surface};
use crate::{BuildContext, RunView, Step};

/// Tokens of an answer.
const TOKENS: u32 = 20;

/// A closed loop on a server that decodes for `slots` streams at once, a token of each every `gap_ms`; others share.
fn perform(asked: &Phase, index: u16, slots: u32, gap_ms: f64) -> PhaseResult {
    let Shape::Closed { connections, .. } = asked.shape else {
        // A reset.
        let mut result = phase(&asked.experiment, &asked.name, &[], Vec::new());
        result.phase = asked.clone();
        result.index = index;
        result.samples = vec![Sample {
            outcome: Outcome::Ok,
            ..Sample::default()
        }];
        return result;
    };
    let gap = gap_ms * (f64::from(connections) / f64::from(slots)).max(1.0);
    let each_ms = f64::from(TOKENS) * gap;
    let answers: Vec<Answer> = (0..connections)
        .flat_map(|user| {
            // Users begin one after the other within one answer, so that tokens come evenly.
            let begin = each_ms * f64::from(user) / f64::from(connections);
            (0..10).map(move |k| Answer::new(begin + f64::from(k) * each_ms, gap, gap))
        })
        .collect();
    let mut result = phase(&asked.experiment, &asked.name, &answers, Vec::new());
    result.phase = asked.clone();
    result.index = index;
    let name = asked.scenarios[0].name.clone();
    result.summary.streams = vec![StreamSummary {
        scenario: name,
        connections,
        ..result.summary.streams[0].clone()
    }];
    result.summary.ended = Nanos::from_secs_f64(1.0);
    result
}

fn run(surface: &Surface, params: &Value, slots: u32) -> (Vec<PhaseResult>, Vec<Finding>) {
    let limits = Limits::default();
    let context = BuildContext {
        surface,
        budget: Budget::Thorough,
        time_s: 60.0,
        seed: 1,
        limits: &limits,
    };
    let mut experiment = (DEF.build)(&context, params).expect("accepted");
    let mut phases: Vec<PhaseResult> = Vec::new();
    for _ in 0..100 {
        let view = view(surface, &phases);
        match experiment.next(&view) {
            Step::Run(phase) => phases.push(perform(&phase, phases.len() as u16, slots, 5.0)),
            Step::Done => break,
            step => panic!("no step of this experiment: {step:?}"),
        }
    }
    let findings = experiment.conclude(&view(surface, &phases));
    (phases, findings)
}

fn view<'a>(surface: &'a Surface, phases: &'a [PhaseResult]) -> RunView<'a> {
    RunView {
        surface,
        phases,
        cores: 2,
        shared_host: true,
    }
}

/// The fake's surface, with its endpoint's request as a scenario of the suite.
fn with_scenario() -> Surface {
    let mut surface = surface();
    let items = surface
        .endpoints
        .iter()
        .find(|e| e.name == ENDPOINT)
        .expect("it has it")
        .items();
    surface.scenarios = vec![Scenario::new("chat", items)];
    surface
}

#[test]
fn more_at_once_is_left_out_where_it_brings_nothing() {
    let surface = with_scenario();
    let params = json!({"scenarios": ["chat"], "connections": [1, 2, 4, 8, 16, 32, 64, 128]});
    let (phases, findings) = run(&surface, &params, 8);
    // Eight slots: 16 and 32 bring nothing, so 64 and 128 are not tried.
    assert_eq!(
        phases.len(),
        6,
        "{:?}",
        phases.iter().map(|p| &p.phase.name).collect::<Vec<_>>()
    );
    let [finding] = findings.as_slice() else {
        panic!("{findings:?}")
    };
    assert_eq!(finding.verdict, Verdict::Pass);
    // Eight streams with a token every 5 ms.
    assert!(
        finding.title.contains("more at once brings nothing"),
        "{}",
        finding.title
    );
    let best = finding.evidence.iter().find_map(|e| match e {
        prony_model::Evidence::Figure(f) if f.label == "most output tokens per second" => Some(f.value),
        _ => None,
    });
    assert!(
        best.is_some_and(|best| (best / 1600.0 - 1.0).abs() < 0.05),
        "{best:?}"
    );
    let everything =
        json!({"scenarios": ["chat"], "connections": [1, 2, 4, 8, 16, 32, 64, 128], "stop": false});
    assert_eq!(run(&surface, &everything, 8).0.len(), 8);
    // One that keeps growing is followed to its end.
    assert_eq!(run(&surface, &params, 1000).0.len(), 8);
}

#[test]
fn the_cache_is_emptied_before_each_step_where_asked() {
    let surface = with_scenario();
    let params = json!({"scenarios": ["chat"], "connections": [1, 2], "reset": "sglang"});
    let (phases, findings) = run(&surface, &params, 8);
    let names: Vec<&str> = phases.iter().map(|p| p.phase.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "cache reset 1",
            "chat, 1 at once",
            "cache reset 2",
            "chat, 2 at once"
        ]
    );
    let sent = &phases[0].phase.scenarios[0].items[0].request;
    assert_eq!(
        (sent.method.as_str(), sent.path.as_str()),
        ("POST", "/flush_cache")
    );
    assert!(
        findings[1].title.contains("emptied 2 times"),
        "{}",
        findings[1].title
    );
    let context = |params: &Value| {
        let limits = Limits::default();
        let context = BuildContext {
            surface: &surface,
            budget: Budget::Quick,
            time_s: 1.0,
            seed: 1,
            limits: &limits,
        };
        (DEF.build)(&context, params).is_err()
    };
    for bad in [
        json!({"reset": "triton"}),
        json!({"reset": {"path": "x"}}),
        json!({"connections": [1]}),
        json!({"scenarios": []}),
    ] {
        assert!(context(&bad), "{bad}");
    }
}

#[test]
fn scenarios_that_are_not_there_are_said() {
    let (phases, findings) = run(&with_scenario(), &json!({"scenarios": ["other"]}), 8);
    assert!(phases.is_empty());
    assert_eq!(findings[0].verdict, Verdict::Inconclusive);
}

#[test]
fn pareto_points_are_those_that_no_other_beats() {
    let points = [
        (10.0, 100.0),
        (20.0, 90.0),
        (19.0, 80.0),
        (20.0, 70.0),
        (30.0, 10.0),
    ];
    assert_eq!(pareto(&points), [true, true, false, false, true]);
    assert_eq!(
        pareto(&[(1.0, 1.0), (1.0, 1.0)]),
        [true, true],
        "equals do not beat each other"
    );
}
