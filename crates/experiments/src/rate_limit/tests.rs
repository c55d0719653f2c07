//! Limiters made by hand, in virtual time.

use prony_model::{
    Budget, Captured, Endpoint, Expect, Finding, Header, Limits, Nanos, Outcome, Phase, PhaseResult, Request,
    Role, Sample, SampleRequest, Shape, Surface, Verdict,
};

use super::{DEF, says_when, wait_s};
use crate::fake::summary;
use crate::{BuildContext, RunView, Step};

/// What a refusal says, or `None` for a request that is let through.
type Limiter<'a> = &'a mut dyn FnMut(f64) -> Option<Vec<Header>>;

fn surface() -> Surface {
    Surface {
        endpoints: vec![Endpoint {
            name: "GET /work".into(),
            method: "GET".into(),
            path: "/work".into(),
            role: Role::Resource,
            parameters: Vec::new(),
            body_schema: None,
            declared_statuses: Vec::new(),
            samples: vec![SampleRequest {
                request: Request::get("/work"),
                inputs: std::collections::BTreeMap::new(),
            }],
            expect: Expect::default(),
        }],
        ..Surface::default()
    }
}

/// What is concluded of a limiter that is asked at those times, in seconds.
fn found(limiter: Limiter<'_>) -> Finding {
    let surface = surface();
    let limits = Limits::default();
    let context = BuildContext {
        surface: &surface,
        budget: Budget::Thorough,
        time_s: 60.0,
        seed: 1,
        limits: &limits,
    };
    let mut experiment = (DEF.build)(&context, &serde_json::json!({"always": true})).unwrap();
    let mut phases: Vec<PhaseResult> = Vec::new();
    let mut now_s = 1.0;
    loop {
        let view = RunView {
            surface: &surface,
            phases: &phases,
            cores: 2,
            shared_host: true,
        };
        let Step::Run(phase) = experiment.next(&view) else {
            return experiment.conclude(&view).remove(0);
        };
        let times: Vec<f64> = match phase.shape {
            Shape::Open { rate, duration_s, .. } => (0..(rate * duration_s) as u32)
                .map(|k| now_s + f64::from(k) / rate)
                .collect(),
            Shape::Closed { think_ms, .. } => vec![now_s, now_s + think_ms / 1000.0],
            _ => panic!("{:?}", phase.shape),
        };
        now_s = times.last().unwrap() + 0.01;
        let result = performed(&phase, phases.len() as u16, &times, limiter);
        phases.push(result);
    }
}

fn performed(phase: &Phase, index: u16, times: &[f64], limiter: Limiter<'_>) -> PhaseResult {
    let mut captures = Vec::new();
    let samples: Vec<Sample> = times
        .iter()
        .enumerate()
        .map(|(seq, at)| {
            let refusal = limiter(*at);
            let at = Nanos::from_secs_f64(*at);
            let (status, outcome) = match refusal {
                None => (200, Outcome::Ok),
                Some(_) => (429, Outcome::Status429),
            };
            if let Some(headers) = refusal
                && captures.len() < phase.capture.responses_max as usize
            {
                captures.push(captured(seq as u64, headers));
            }
            Sample {
                seq: seq as u64,
                intended: at,
                sent: at,
                done: at + Nanos::from_millis_f64(1.0),
                status,
                outcome,
                phase: index,
                ..Sample::default()
            }
        })
        .collect();
    PhaseResult {
        index,
        phase: phase.clone(),
        summary: summary(phase, index, &samples, samples.last().unwrap().done),
        samples,
        samples_cut: false,
        captures,
        streams: Vec::new(),
        readings: Vec::new(),
    }
}

fn captured(seq: u64, headers: Vec<Header>) -> Captured {
    Captured {
        seq,
        scenario: 0,
        item: 0,
        status: 429,
        outcome: Outcome::Status429,
        headers,
        body: String::new(),
        body_bytes: 0,
        cut: false,
        binary: false,
        head: String::new(),
        bytes: Vec::new(),
        digest: String::new(),
        error: String::new(),
    }
}

/// So many in each span of so many seconds; a refusal says when the next one begins.
fn window(most: u32, span_s: f64) -> impl FnMut(f64) -> Option<Vec<Header>> {
    let (mut current, mut used) = (0.0, 0);
    move |at| {
        let window = (at / span_s).floor();
        if window > current {
            (current, used) = (window, 0);
        }
        used += 1;
        (used > most).then(|| {
            let wait_s = ((window + 1.0) * span_s - at).ceil();
            vec![Header::new("retry-after", format!("{wait_s}"))]
        })
    }
}

#[test]
fn a_quota_of_a_minute_is_no_rate_and_no_fault() {
    for (most, span_s) in [(20, 60.0), (60, 60.0), (200, 60.0), (60, 20.0), (60, 12.0)] {
        let found = found(&mut window(most, span_s));
        assert!(
            [Verdict::Pass, Verdict::Inconclusive].contains(&found.verdict),
            "{most} in {span_s} s: {}",
            found.title
        );
        assert!(
            found.title.contains("quota"),
            "{most} in {span_s} s: {}",
            found.title
        );
    }
}

#[test]
fn short_windows_are_a_rate() {
    let found = found(&mut window(10, 1.0));
    assert_eq!(found.verdict, Verdict::Pass, "{}", found.title);
    assert!(found.title.contains("and it recovers"), "{}", found.title);
    assert!(!found.title.contains("quota"), "{}", found.title);
}

#[test]
fn what_was_not_seen_to_recover_is_not_said_to() {
    // Lets forty through, and tells the others to come back in an hour.
    let mut used = 0;
    let mut limiter = |_: f64| {
        used += 1;
        (used > 40).then(|| vec![Header::new("retry-after", "3600")])
    };
    let found = found(&mut limiter);
    assert_eq!(found.verdict, Verdict::Inconclusive, "{}", found.title);
    assert!(
        found.title.ends_with("nor whether it recovers"),
        "{}",
        found.title
    );
}

#[test]
fn a_limit_that_does_not_recover_is_found() {
    // Once it is over, it lets every fourth request through, however slowly they come.
    let mut asked = 0;
    let mut limiter = |_: f64| {
        asked += 1;
        (asked > 30 && asked % 4 != 0).then(|| vec![Header::new("retry-after", "3600")])
    };
    let found = found(&mut limiter);
    assert_eq!(found.verdict, Verdict::Fail, "{}", found.title);
    assert!(found.title.contains("goes on refusing"), "{}", found.title);
}

#[test]
fn a_date_says_when_to_come_back_as_well() {
    let with = |headers: Vec<Header>| captured(0, headers);
    let date = Header::new("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT");
    let now = Header::new("date", "Sun, 06 Nov 1994 08:49:07 GMT");
    let both = with(vec![date.clone(), now]);
    assert_eq!((wait_s(&both), says_when(&both)), (Some(30.0), true));
    let alone = with(vec![date]);
    assert_eq!((wait_s(&alone), says_when(&alone)), (None, true));
    for nothing in [vec![], vec![Header::new("retry-after", "soon")]] {
        let nothing = with(nothing);
        assert_eq!((wait_s(&nothing), says_when(&nothing)), (None, false));
    }
}
