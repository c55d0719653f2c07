//! Reads the phases of the experiment: what a warm request takes, what one takes after idleness, and what became of the requests
//! of a burst. It judges nothing.

use std::collections::{BTreeMap, BTreeSet};

use prony_model::{Captured, Outcome, OutcomeClass, PhaseResult, Sample, Shape};
use prony_stats::{fisher, mean, median, student, variance};

use super::workers::{Account, account, from_ends};
use crate::timings::Timings;
use crate::worker_id;

/// Words of a refusal's body that mean that no worker was free, as platforms write them.
const BUSY_WORDS: [&str; 5] = [
    "not available",
    "capacity",
    "overloaded",
    "try again",
    "timed out waiting",
];
/// Those that speak of workers or of their queue: with them even a 429 means that none was free.
const WORKER_WORDS: [&str; 6] = [
    "no worker",
    "no available",
    "no instance",
    "no healthy",
    "queue is full",
    "queue full",
];
/// Words of a refusal for the rate of a client.
const LIMIT_WORDS: [&str; 2] = ["too many requests", "rate limit"];

/// Times the median of warm requests from which on one counts as slow, and ms above the slowest of them.
const SLOW_RATIO: f64 = 1.5;
const SLOW_EXCESS_S: f64 = 0.02;

/// Times the usual time to connect, and seconds above that, from which on a connection was held up: a listener had to wake.
const HELD_RATIO: f64 = 3.0;
const HELD_EXCESS_S: f64 = 0.1;

/// Level of the test that slow requests are those after idleness.
const LEVEL: f64 = 0.01;

/// Requests one after another.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Warm {
    /// What each took, in s; the first of all left out.
    pub times_s: Vec<f64>,
    /// What it usually takes to connect without idleness, in s.
    pub connect_s: f64,
}

impl Warm {
    /// Of a phase of requests one after another, and of the first requests of all phases, which come after no idleness and open
    /// a connection; `None` with fewer than three good ones after the first.
    pub(super) fn of(phase: &PhaseResult, all: &[&PhaseResult]) -> Option<Self> {
        let times_s: Vec<f64> = Timings::all(phase)
            .good()
            .filter(|s| s.seq > 0)
            .map(|s| s.service().as_secs_f64())
            .collect();
        let mut connects_s: Vec<f64> = all
            .iter()
            .flat_map(|phase| {
                let is_first = |s: &Sample| match phase.phase.shape {
                    Shape::Sequential { .. } => s.seq == 0,
                    Shape::Ladder { .. } => s.step == 0,
                    _ => false,
                };
                Timings::all(phase).good().filter(move |s| is_first(s))
            })
            .map(opening_s)
            .filter(|connect_s| *connect_s > 0.0)
            .collect();
        (times_s.len() >= 3).then(|| Self {
            times_s,
            connect_s: if connects_s.is_empty() {
                0.0
            } else {
                median(&mut connects_s)
            },
        })
    }

    /// What a request took, in s: from its first byte on, since the way to a target says nothing of its workers. A connection that
    /// took far longer than usual was held up, and counts with what is more than usual.
    fn taken_s(&self, sample: &Sample) -> f64 {
        let opening_s = opening_s(sample);
        let held_s = if opening_s > HELD_RATIO * self.connect_s + HELD_EXCESS_S {
            opening_s - self.connect_s
        } else {
            0.0
        };
        sample.service().as_secs_f64() + held_s
    }

    /// The usual time, in s.
    pub(super) fn median_s(&self) -> f64 {
        median(&mut self.times_s.clone())
    }

    /// Coefficient of variation.
    pub(super) fn variation(&self) -> f64 {
        variance(&self.times_s).sqrt() / mean(&self.times_s)
    }

    /// Whether a time is far above these.
    pub(super) fn is_slow(&self, time_s: f64) -> bool {
        let slowest = self.times_s.iter().copied().fold(0.0, f64::max);
        time_s >= SLOW_RATIO * self.median_s() && time_s > slowest + SLOW_EXCESS_S
    }
}

/// Single requests, each after idleness.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Probes {
    /// What each took, in s.
    pub times_s: Vec<f64>,
    /// Those that were not answered well.
    pub failed: usize,
    /// Those of them that were refused for their rate.
    pub limited: usize,
    /// What those that were slow took longer than a warm request, in s.
    pub starts_s: Vec<f64>,
    /// Chance that as many slow ones come after idleness if idleness had no part in it (Fisher).
    pub p: f64,
}

impl Probes {
    /// Of the ladder with silence between its steps; its first request did not come after one.
    pub(super) fn of(phase: &PhaseResult, warm: &Warm) -> Self {
        let after = || {
            Timings::all(phase)
                .samples()
                .filter(|s| s.step > 0 && !s.outcome.is_own())
        };
        let times_s: Vec<f64> = after()
            .filter(|s| s.outcome == Outcome::Ok)
            .map(|s| warm.taken_s(s))
            .collect();
        let captures = captures(phase);
        let limited = after()
            .filter(|s| refusal(s, captures.get(&s.seq).copied()) == Some(Refusal::Limited))
            .count();
        let starts_s: Vec<f64> = times_s
            .iter()
            .filter(|t| warm.is_slow(**t))
            .map(|t| t - warm.median_s())
            .collect();
        let slow_warm = warm.times_s.iter().filter(|t| warm.is_slow(**t)).count();
        let p = fisher::two_sided(
            starts_s.len() as u64,
            times_s.len() as u64,
            slow_warm as u64,
            warm.times_s.len() as u64,
        );
        Self {
            failed: after().count() - times_s.len(),
            limited,
            times_s,
            starts_s,
            p,
        }
    }

    /// Whether idleness makes requests slow.
    pub(super) fn are_cold(&self) -> bool {
        self.starts_s.len() >= 2 && self.p < LEVEL
    }
}

/// A mean with its 95 % interval; none of a single value.
pub(super) fn mean_with_interval(values: &[f64]) -> (f64, Option<(f64, f64)>) {
    let centre = mean(values);
    let n = values.len() as f64;
    let half = student::quantile(0.975, (n - 1.0).max(1.0)) * (variance(values) / n).sqrt();
    (
        centre,
        (values.len() >= 2).then_some((centre - half, centre + half)),
    )
}

/// What became of the requests of one burst. Times in s since it began, without the time to connect.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Burst {
    /// Requests sent.
    pub size: usize,
    /// When each good answer ended, ascending.
    pub ends_s: Vec<f64>,
    /// When each request was refused for want of a worker.
    pub refused_s: Vec<f64>,
    /// Requests that were refused for their rate.
    pub limited: usize,
    /// Requests that got no answer in time.
    pub timed_out: usize,
    /// Requests that failed otherwise.
    pub broken: usize,
    /// Of all those without a good answer, the ones that were not refused on purpose (429, 503, the platform's own word): errors and
    /// drops.
    pub dropped: usize,
    /// What each worker did; `None` when answers do not name their worker.
    pub account: Option<Account>,
}

impl Burst {
    /// Of one step of a phase, with the workers by that header.
    pub(super) fn of(phase: &PhaseResult, step: u16, header: Option<&str>, warm: &Warm) -> Self {
        let samples: Vec<&Sample> = Timings::all(phase)
            .step(step)
            .samples()
            .filter(|s| !s.outcome.is_own())
            .collect();
        let begun = samples.iter().map(|s| s.intended).min().unwrap_or_default();
        let since = |s: &Sample| (s.intended - begun).as_secs_f64() + warm.taken_s(s);
        let captures = captures(phase);
        let named = header.map(|h| worker_id::workers(phase, h)).unwrap_or_default();
        let mut burst = Self {
            size: samples.len(),
            ..Self::default()
        };
        let mut named_ends: Vec<(&str, f64)> = Vec::new();
        for sample in samples {
            if sample.outcome == Outcome::Ok {
                burst.ends_s.push(since(sample));
                if let Some(worker) = named.get(&sample.seq) {
                    named_ends.push((*worker, since(sample)));
                }
                continue;
            }
            burst.dropped += usize::from(sample.outcome.class() != OutcomeClass::Refusal);
            match refusal(sample, captures.get(&sample.seq).copied()) {
                Some(Refusal::Busy) => burst.refused_s.push(since(sample)),
                Some(Refusal::Limited) => burst.limited += 1,
                None if sample.outcome.class() == OutcomeClass::Timeout => burst.timed_out += 1,
                None => burst.broken += 1,
            }
        }
        burst.ends_s.sort_unstable_by(f64::total_cmp);
        burst.refused_s.sort_unstable_by(f64::total_cmp);
        burst.account = account(&from_ends(&named_ends));
        burst
    }

    /// Requests without a good answer.
    pub(super) fn failed(&self) -> usize {
        self.refused_s.len() + self.limited + self.timed_out + self.broken
    }

    /// Mean time that the answered ones waited before a worker took them, in s.
    pub(super) fn wait_s(&self, service_s: f64) -> f64 {
        if self.ends_s.is_empty() {
            return 0.0;
        }
        (mean(&self.ends_s) - service_s).max(0.0)
    }

    /// How long a request waited before it was given up: as the refusals tell, else by our own time-out. `None` when nothing
    /// failed that way.
    pub(super) fn patience_s(&self, service_s: f64, timeout_s: f64) -> Option<f64> {
        if !self.refused_s.is_empty() {
            return Some(median(&mut self.refused_s.clone()));
        }
        (self.timed_out > 0).then_some((timeout_s - service_s).max(0.0))
    }
}

/// What the target took to accept a connection for the request, in s.
fn opening_s(sample: &Sample) -> f64 {
    (sample.lag() - sample.own_lag()).as_secs_f64()
}

/// The responses that were kept, by the request.
fn captures(phase: &PhaseResult) -> BTreeMap<u64, &Captured> {
    phase.captures.iter().map(|c| (c.seq, c)).collect()
}

/// Why a target refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// It has no worker for it.
    Busy,
    /// Its client asks too often.
    Limited,
}

/// Why the target refuses a request, where it says so: by its status, or by the words of an error.
fn refusal(sample: &Sample, capture: Option<&Captured>) -> Option<Refusal> {
    let text = capture.map_or_else(String::new, |c| c.body.to_ascii_lowercase());
    let says = |words: &[&str]| sample.status >= 400 && words.iter().any(|words| text.contains(words));
    match sample.outcome {
        Outcome::Ok => None,
        _ if says(&WORKER_WORDS) => Some(Refusal::Busy),
        Outcome::Status429 | Outcome::GrpcResourceExhausted => Some(Refusal::Limited),
        outcome if outcome.class() == OutcomeClass::Refusal => Some(Refusal::Busy),
        _ if says(&LIMIT_WORDS) => Some(Refusal::Limited),
        _ => says(&BUSY_WORDS).then_some(Refusal::Busy),
    }
}

/// The header that names workers, over all of the experiment's phases.
pub(super) fn worker_header(phases: &[&PhaseResult]) -> Option<String> {
    worker_id::header(phases)
}

/// Distinct workers that answered in these phases.
pub(super) fn workers_seen(phases: &[&PhaseResult], header: &str) -> usize {
    let all: BTreeSet<&str> = phases
        .iter()
        .flat_map(|p| worker_id::workers(p, header).into_values())
        .collect();
    all.len()
}

#[cfg(test)]
mod tests {
    use prony_model::{
        Capture, Captured, Limits, Nanos, Outcome, Phase, PhaseResult, Sample, SampleFlags, Scenario, Shape,
    };

    use super::{Burst, Probes, Warm};
    use crate::cold_start::cause::{Cause, cause};
    use crate::fake::summary;

    const SERVICE_MS: f64 = 5.0;

    /// A request of a step that took so long to connect, and then its usual time.
    fn request(step: u16, connect_ms: f64, outcome: Outcome) -> Sample {
        let intended = Nanos::from_secs_f64(1.0 + 10.0 * f64::from(step));
        let sent = intended + Nanos::from_millis_f64(connect_ms);
        Sample {
            step,
            intended,
            sent,
            done: sent + Nanos::from_millis_f64(SERVICE_MS),
            connect_us: (1_000.0 * connect_ms) as u32,
            flags: SampleFlags::NEW_CONNECTION,
            outcome,
            status: match outcome {
                Outcome::Ok => 200,
                Outcome::Status503 => 503,
                _ => 429,
            },
            ..Sample::default()
        }
    }

    fn recorded(shape: Shape, mut samples: Vec<Sample>, body: &str) -> PhaseResult {
        for (seq, sample) in samples.iter_mut().enumerate() {
            sample.seq = seq as u64;
        }
        let phase = Phase {
            name: "phase".to_owned(),
            experiment: super::super::NAME.to_owned(),
            scenarios: vec![Scenario::new("POST /work", Vec::new())],
            shape,
            limits: Limits::default(),
            capture: Capture::NONE,
        };
        let captures = samples
            .iter()
            .map(|s| Captured {
                seq: s.seq,
                scenario: 0,
                item: 0,
                status: s.status,
                outcome: s.outcome,
                headers: Vec::new(),
                body: body.to_owned(),
                body_bytes: body.len() as u64,
                cut: false,
                binary: false,
                bytes: Vec::new(),
                head: String::new(),
                digest: String::new(),
                error: String::new(),
            })
            .collect();
        PhaseResult {
            index: 0,
            summary: summary(&phase, 0, &samples, Nanos::from_secs_f64(100.0)),
            phase,
            samples,
            samples_cut: false,
            captures,
            streams: Vec::new(),
            readings: Vec::new(),
        }
    }

    fn ladder(connections: Vec<u32>, samples: Vec<Sample>, body: &str) -> PhaseResult {
        let shape = Shape::Ladder {
            connections,
            requests_each: Some(1),
            duration_s: None,
            idle_s: 5.0,
        };
        recorded(shape, samples, body)
    }

    fn warm() -> PhaseResult {
        let shape = Shape::Sequential {
            requests: 12,
            duration_s: None,
        };
        let mut samples = vec![request(0, 60.0, Outcome::Ok)];
        samples.extend((1..12).map(|_| request(0, 0.0, Outcome::Ok)));
        recorded(shape, samples, "")
    }

    /// Probes that take so long to connect after idleness, and the first before it.
    fn probes(connect_ms: f64) -> PhaseResult {
        let mut samples = vec![request(0, 62.0, Outcome::Ok)];
        samples.extend((1..6).map(|step| request(step, connect_ms, Outcome::Ok)));
        ladder(vec![1; 6], samples, "")
    }

    /// A burst of 8 after idleness whose requests take so long to connect.
    fn after_idle(connect_ms: impl Fn(f64) -> f64) -> PhaseResult {
        let mut samples = vec![request(0, 61.0, Outcome::Ok)];
        samples.extend((0..8).map(|k| request(1, connect_ms(f64::from(k)), Outcome::Ok)));
        ladder(vec![1, 8], samples, "")
    }

    fn at_once(outcome: Outcome, body: &str) -> PhaseResult {
        let shape = Shape::Burst {
            size: 8,
            count: 1,
            interval_s: 0.0,
        };
        recorded(shape, vec![request(0, 0.0, outcome); 8], body)
    }

    #[test]
    fn a_far_way_to_a_target_is_no_cold_start() {
        let (one_by_one, far) = (warm(), probes(65.0));
        let warm = Warm::of(&one_by_one, &[&one_by_one, &far]).unwrap();
        assert!((warm.connect_s - 0.061).abs() < 1e-9, "{warm:?}");
        let found = Probes::of(&far, &warm);
        assert!(!found.are_cold() && found.starts_s.is_empty(), "{found:?}");
        // Eight handshakes at once take longer each.
        let idle = Burst::of(&after_idle(|k| 60.0 + 10.0 * k), 1, None, &warm);
        let again = Burst::of(&at_once(Outcome::Ok, ""), 0, None, &warm);
        assert!(
            (idle.wait_s(0.005) - again.wait_s(0.005)).abs() < 1e-9,
            "{idle:?}"
        );
        assert_eq!(cause(&idle, &again, (0.005, 0.05), 30.0), Cause::Execution);
    }

    #[test]
    fn a_listener_that_has_to_wake_is_one() {
        let (one_by_one, held) = (warm(), probes(2_060.0));
        let warm = Warm::of(&one_by_one, &[&one_by_one, &held]).unwrap();
        let found = Probes::of(&held, &warm);
        assert!(found.are_cold() && found.starts_s.len() == 5, "{found:?}");
        assert!(found.starts_s.iter().all(|s| (s - 2.0).abs() < 0.01), "{found:?}");
        let idle = Burst::of(&after_idle(|_| 2_060.0), 1, None, &warm);
        let again = Burst::of(&at_once(Outcome::Ok, ""), 0, None, &warm);
        assert_eq!(cause(&idle, &again, (0.005, 0.05), 30.0), Cause::Cold);
    }

    #[test]
    fn a_limit_on_the_rate_is_no_want_of_workers() {
        let one_by_one = warm();
        let warm = Warm::of(&one_by_one, &[&one_by_one]).unwrap();
        let of = |outcome, body| Burst::of(&at_once(outcome, body), 0, None, &warm);
        let limited = of(Outcome::Status429, "Rate limit exceeded, try again in 20 s");
        assert_eq!((limited.limited, limited.refused_s.len()), (8, 0));
        assert_eq!(limited.failed(), 8);
        let answered = of(Outcome::Ok, "");
        for (idle, again) in [(&limited, &limited), (&answered, &limited)] {
            assert_eq!(cause(idle, again, (0.005, 0.05), 30.0), Cause::Limited);
        }
        for (outcome, body) in [
            (Outcome::Status503, ""),
            (
                Outcome::Status429,
                "The request was aborted because there was no available instance.",
            ),
        ] {
            let busy = of(outcome, body);
            assert_eq!((busy.limited, busy.refused_s.len()), (0, 8), "{outcome:?}");
            assert_eq!(busy.dropped, 0, "{outcome:?}: refused on purpose");
        }
        for (outcome, body) in [
            (Outcome::Status5xx, ""),
            (Outcome::Status4xx, "no worker available"),
            (Outcome::HeadersTimeout, ""),
        ] {
            let lost = of(outcome, body);
            assert_eq!((lost.failed(), lost.dropped), (8, 8), "{outcome:?}");
        }
        let refused = ladder(
            vec![1; 4],
            (0..4)
                .map(|step| request(step, 60.0, Outcome::Status429))
                .collect(),
            "",
        );
        let found = Probes::of(&refused, &warm);
        assert_eq!((found.failed, found.limited), (3, 3));
    }
}
