//! A target inside a test: a function from request to answer, and a run of experiments against it in virtual time.

pub(crate) mod library;
pub(crate) mod streamed;

use prony_model::{
    Budget, Captured, Expect, Finding, Header, Item, Limits, Nanos, Outcome, Phase, PhaseResult,
    PhaseSummary, Request, Sample, SampleFlags, Shape, Surface, Validity,
};
use serde_json::Value;

use crate::{BuildContext, RunView, Step};

/// An answer of the fake target.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub status: u16,
    pub headers: Vec<Header>,
    pub body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::bytes(status, "application/json", body.to_string().into_bytes())
    }

    pub(crate) fn bytes(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        Self {
            status,
            headers: vec![Header::new("content-type", content_type)],
            body,
        }
    }

    /// The connection broke.
    pub(crate) fn reset() -> Self {
        Self {
            status: 0,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }
}

/// Runs the named experiments with default parameters, one after another, as the tool does.
pub(crate) fn run(
    names: &[&str],
    surface: &Surface,
    budget: Budget,
    mut target: impl FnMut(&Request) -> Reply,
) -> (Vec<PhaseResult>, Vec<Finding>) {
    let limits = Limits::default();
    let mut phases: Vec<PhaseResult> = Vec::new();
    let mut findings = Vec::new();
    for name in names {
        let def = crate::find(name).expect("registered");
        let context = BuildContext {
            surface,
            budget,
            time_s: def.time.most_s(budget),
            seed: 7,
            limits: &limits,
        };
        let mut experiment = (def.build)(&context, &serde_json::json!({})).expect("defaults are accepted");
        for _ in 0..100 {
            let view = RunView {
                surface,
                phases: &phases,
                cores: 2,
                shared_host: true,
            };
            match experiment.next(&view) {
                Step::Run(phase) | Step::Restarted(phase) | Step::Stopped { phase, .. } => {
                    assert_eq!(phase.experiment, *name);
                    let result = perform(&phase, phases.len() as u16, &mut target);
                    phases.push(result);
                }
                Step::Done => break,
            }
        }
        let view = RunView {
            surface,
            phases: &phases,
            cores: 2,
            shared_host: true,
        };
        findings.extend(experiment.conclude(&view));
    }
    (phases, findings)
}

/// The findings' ids that are worse than PASS, sorted, once each.
pub(crate) fn complaints(findings: &[Finding]) -> Vec<&str> {
    let mut ids: Vec<&str> = findings
        .iter()
        .filter(|f| f.counted() > prony_model::Verdict::Pass)
        .map(|f| f.id.as_str())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The JSON body of a request; `None` when it is not JSON.
pub(crate) fn body_json(request: &Request) -> Option<Value> {
    let bytes = request.body.to_bytes()?;
    serde_json::from_slice(&bytes).ok()
}

fn perform(phase: &Phase, index: u16, target: &mut impl FnMut(&Request) -> Reply) -> PhaseResult {
    // What is sent under load is sent here a few times, one after another.
    let times = if matches!(phase.shape, Shape::Once { .. }) {
        1
    } else {
        20
    };
    let mut by_request =
        |scenario: usize, item: usize| target(&phase.scenarios[scenario].items[item].request);
    send(phase, index, times, &mut by_request)
}

/// The phase with every item so many times, of a target that knows which scenario it answers.
pub(crate) fn perform_times(
    phase: &Phase,
    index: u16,
    times: usize,
    target: &mut impl FnMut(usize) -> Reply,
) -> PhaseResult {
    send(phase, index, times, &mut |scenario, _| target(scenario))
}

fn send(
    phase: &Phase,
    index: u16,
    times: usize,
    target: &mut impl FnMut(usize, usize) -> Reply,
) -> PhaseResult {
    let mut samples = Vec::new();
    let mut captures = Vec::new();
    let mut at = Nanos(1);
    for (s, scenario) in phase.scenarios.iter().enumerate() {
        for (i, item) in scenario
            .items
            .iter()
            .enumerate()
            .flat_map(|one| [one; 1].repeat(times))
        {
            let reply = target(s, i);
            let sample = sample(samples.len() as u64, index, s as u16, i as u32, at, item, &reply);
            at = sample.done;
            let is_wanted = sample.outcome != Outcome::Ok || !phase.capture.is_of_failures();
            if is_wanted && captures.len() < phase.capture.responses_max as usize {
                captures.push(capture(&sample, &reply, phase.capture.body_bytes_max as usize));
            }
            samples.push(sample);
        }
    }
    PhaseResult {
        index,
        phase: phase.clone(),
        summary: summary(phase, index, &samples, at),
        samples,
        samples_cut: false,
        captures,
        streams: Vec::new(),
        readings: Vec::new(),
    }
}

pub(crate) fn summary(phase: &Phase, index: u16, samples: &[Sample], ended: Nanos) -> PhaseSummary {
    let ok = samples.iter().filter(|s| s.outcome == Outcome::Ok).count() as u64;
    PhaseSummary {
        index,
        name: phase.name.clone(),
        experiment: phase.experiment.clone(),
        shape: phase.shape.label(),
        open_loop: false,
        started: Nanos(1),
        ended,
        offered: samples.len() as u64,
        ok,
        failed: samples.len() as u64 - ok,
        own: 0,
        attempts: 0,
        retried: 0,
        offered_per_s: 0.0,
        achieved_per_s: 0.0,
        ok_per_s: 0.0,
        in_flight_mean: 1.0,
        in_flight_max: 1,
        bytes_in: 0,
        connections: 1,
        rows: Vec::new(),
        streams: Vec::new(),
        validity: Validity::default(),
        partial: false,
    }
}

fn sample(seq: u64, phase: u16, scenario: u16, item: u32, at: Nanos, sent: &Item, reply: &Reply) -> Sample {
    let done = at + Nanos(2_000_000);
    Sample {
        seq,
        intended: at,
        sent: at,
        first_byte: done,
        done,
        digest: digest(&reply.body),
        bytes_in: reply.body.len() as u32,
        item,
        connect_us: 0,
        tls_us: 0,
        attempt: 0,
        status: reply.status,
        scenario,
        step: 0,
        phase,
        worker: 0,
        outcome: outcome(&sent.expect, reply),
        flags: SampleFlags::CAPTURED,
    }
}

fn outcome(expect: &Expect, reply: &Reply) -> Outcome {
    let right_type = expect
        .content_type
        .as_ref()
        .is_none_or(|wanted| reply.headers.iter().any(|h| h.value.starts_with(wanted.as_str())));
    match reply.status {
        0 => Outcome::Reset,
        s if expect.accepts(s) && right_type => Outcome::Ok,
        s if expect.accepts(s) => Outcome::WrongBody,
        300..=399 => Outcome::Status3xx,
        429 => Outcome::Status429,
        400..=499 => Outcome::Status4xx,
        503 => Outcome::Status503,
        500..=599 => Outcome::Status5xx,
        _ => Outcome::StatusOther,
    }
}

fn capture(sample: &Sample, reply: &Reply, body_bytes_max: usize) -> Captured {
    let binary = std::str::from_utf8(&reply.body).is_err();
    let kept = &reply.body[..reply.body.len().min(body_bytes_max)];
    let head: Vec<String> = reply
        .body
        .iter()
        .take(Captured::HEAD_BYTES_MAX)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Captured {
        seq: sample.seq,
        scenario: sample.scenario,
        item: sample.item,
        status: reply.status,
        outcome: sample.outcome,
        headers: reply.headers.clone(),
        body: String::from_utf8_lossy(kept).into_owned(),
        body_bytes: reply.body.len() as u64,
        cut: kept.len() < reply.body.len(),
        binary,
        head: if binary { head.concat() } else { String::new() },
        bytes: if binary { kept.to_vec() } else { Vec::new() },
        digest: format!("{:016x}", sample.digest),
        error: String::new(),
    }
}

/// FNV-1a: any digest will do here.
fn digest(body: &[u8]) -> u64 {
    body.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}
