//! Whether the generator kept its promise. The bounds are those of the methodology; a bound counts only above a
//! minimum number of requests, so that one late send does not condemn a phase of twenty.

use prony_model::{Nanos, Outcome, Phase, Sample, Shape, Validity, ValidityIssue};
use prony_stats::order::nearest_rank;

use crate::worker::Report;

/// Late sends beyond this share make a phase invalid.
const LATE_SHARE_MAX: f64 = 0.01;
/// Fewer late sends, or late beats of the timer, than this are told as a warning only: in a short phase one of them
/// is the 99th percentile.
const LATE_MIN: usize = 5;
/// Arrivals never sent beyond this share make a phase invalid.
const SHED_SHARE_MAX: f64 = 0.001;
/// Window and bounds of the rate check.
const RATE_WINDOW: Nanos = Nanos(10_000_000_000);
const RATE_SENDS_MIN: u64 = 100;
const RATE_ERROR_MAX: f64 = 0.01;
/// Change of a quantile by our own lag: warning, invalid, and the least change that matters at all.
const SHIFT_WARN: f64 = 0.02;
const SHIFT_MAX: f64 = 0.05;
const SHIFT_LEAST: Nanos = Nanos(100_000);
const BUSY_MAX: f64 = 0.9;
/// Stolen time hits the target as well as us; what it does to our own sending shows in lag and timer, which have
/// bounds of their own. So a little of it warns, and only much of it condemns.
const STEAL_WARN: f64 = 0.02;
const STEAL_MAX: f64 = 0.1;
const TIMER_MAX: Nanos = Nanos(5_000_000);
const TIMER_MIN: usize = 20;
const LITTLE_MAX: f64 = 0.05;
const LITTLE_REQUESTS_MIN: u64 = 100;
/// CPU shares of a shorter leg say nothing.
const WALL_MIN: Nanos = Nanos(1_000_000_000);

/// When the generator would have been ready to send: lag less the time the target took to accept a connection.
fn own_lag(sample: &Sample) -> Nanos {
    sample.lag() - Nanos(u64::from(sample.connect_us) * 1000)
}

/// What the samples alone show.
pub(crate) fn judge(phase: &Phase, samples: &[Sample], started: Nanos) -> Validity {
    let mut validity = Validity::default();
    let unsent = |s: &&Sample| matches!(s.outcome, Outcome::Shed | Outcome::LocalExhausted);
    let shed = samples.iter().filter(unsent).count();
    if !samples.is_empty() {
        validity.shed_share = shed as f64 / samples.len() as f64;
    }
    if validity.shed_share > SHED_SHARE_MAX {
        let says = format!(
            "{shed} of {} arrivals were never sent ({:.2} %, bound {} %): raise in_flight_max, or the target holds too many",
            samples.len(),
            validity.shed_share * 100.0,
            SHED_SHARE_MAX * 100.0
        );
        let list = if shed >= LATE_MIN {
            &mut validity.invalid
        } else {
            &mut validity.warnings
        };
        list.push(issue("shed", says));
    }
    judge_lateness(&mut validity, phase, samples);
    if matches!(phase.shape, Shape::Open { .. } | Shape::Stages { .. }) {
        judge_rate(&mut validity, samples, started);
    }
    validity
}

fn judge_lateness(validity: &mut Validity, phase: &Phase, samples: &[Sample]) {
    let sent: Vec<&Sample> = samples
        .iter()
        .filter(|s| !matches!(s.outcome, Outcome::Shed | Outcome::LocalExhausted))
        .collect();
    let mut lags: Vec<Nanos> = sent.iter().map(|s| own_lag(s)).collect();
    lags.sort_unstable();
    validity.lag_p99 = at(&lags, 0.99);
    let mut responses: Vec<Nanos> = sent
        .iter()
        .filter(|s| s.outcome == Outcome::Ok)
        .map(|s| s.response())
        .collect();
    responses.sort_unstable();
    let median = at(&responses, 0.5);
    // Requests of one burst are written one after the other: 20 microseconds each.
    let unavoidable = match phase.shape {
        Shape::Burst { size, .. } => Nanos(u64::from(size) * 20_000),
        _ => Nanos::ZERO,
    };
    let bound = Nanos(1_000_000).max(Nanos(median.0 / 10)) + unavoidable;
    let late = lags.iter().filter(|lag| **lag > bound).count();
    if !lags.is_empty() {
        validity.late_share = late as f64 / lags.len() as f64;
    }
    if validity.late_share > LATE_SHARE_MAX {
        let says = format!(
            "{late} of {} requests were sent more than {bound} late ({:.1} %, bound {} %)",
            lags.len(),
            validity.late_share * 100.0,
            LATE_SHARE_MAX * 100.0
        );
        let list = if late >= LATE_MIN {
            &mut validity.invalid
        } else {
            &mut validity.warnings
        };
        list.push(issue("late-sends", says));
    }
    let mut without: Vec<Nanos> = sent
        .iter()
        .filter(|s| s.outcome == Outcome::Ok)
        .map(|s| s.response() - own_lag(s))
        .collect();
    without.sort_unstable();
    for (p, n_min) in [(0.5, 20), (0.95, 59), (0.99, 299)] {
        let (with, without) = (at(&responses, p), at(&without, p));
        let moved = with - without;
        let share = if with.0 > 0 {
            moved.0 as f64 / with.0 as f64
        } else {
            0.0
        };
        if responses.len() >= n_min && moved > SHIFT_LEAST && share > SHIFT_WARN {
            let says = format!(
                "our own lag moved p{} from {without} to {with} ({:.1} %, bound {} %)",
                p * 100.0,
                share * 100.0,
                SHIFT_MAX * 100.0
            );
            let list = if share > SHIFT_MAX {
                &mut validity.invalid
            } else {
                &mut validity.warnings
            };
            list.push(issue("late-sends", says));
        }
    }
}

fn judge_rate(validity: &mut Validity, samples: &[Sample], started: Nanos) {
    let window = |at: Nanos| ((at - started).0 / RATE_WINDOW.0) as usize;
    let Some(last) = samples.iter().map(|s| window(s.intended)).max() else {
        return;
    };
    let (mut wanted, mut sent) = (vec![0_u64; last + 1], vec![0_u64; last + 1]);
    for sample in samples {
        wanted[window(sample.intended)] += 1;
        if let Some(count) = sent.get_mut(window(sample.intended + own_lag(sample))) {
            *count += 1;
        }
    }
    let errors = wanted.iter().zip(&sent).filter(|(w, _)| **w >= RATE_SENDS_MIN);
    let worst = errors
        .map(|(w, s)| (w.abs_diff(*s), *w))
        .max_by(|a, b| (a.0 as f64 / a.1 as f64).total_cmp(&(b.0 as f64 / b.1 as f64)));
    if let Some((difference, wanted)) = worst {
        validity.rate_error = difference as f64 / wanted as f64;
        if validity.rate_error > RATE_ERROR_MAX && difference as usize >= LATE_MIN {
            let says = format!(
                "{difference} of {wanted} arrivals of one 10 s window were sent in another ({:.1} %, bound {} %)",
                validity.rate_error * 100.0,
                RATE_ERROR_MAX * 100.0
            );
            validity.invalid.push(issue("rate", says));
        }
    }
}

/// Adds what the workers know about themselves. `steal_share` is the host's over the phase.
pub(crate) fn add_reports(validity: &mut Validity, phase: &Phase, reports: &[Report], steal_share: f64) {
    let busy = |r: &Report| {
        if r.wall.0 > 0 {
            r.cpu.0 as f64 / r.wall.0 as f64
        } else {
            0.0
        }
    };
    let long = || reports.iter().filter(|r| r.wall >= WALL_MIN);
    validity.worker_busy_max = reports.iter().map(busy).fold(0.0, f64::max);
    if long().map(busy).any(|b| b > BUSY_MAX) {
        let share = format!(
            "a worker thread was {:.0} % busy (bound {} %)",
            long().map(busy).fold(0.0, f64::max) * 100.0,
            BUSY_MAX * 100.0
        );
        if matches!(phase.shape, Shape::Open { .. } | Shape::Stages { .. }) {
            validity.invalid.push(issue("worker-busy", share));
        } else {
            let says = format!(
                "{share}: the generator was the limit, so the throughput is a lower bound; use more threads"
            );
            validity.warnings.push(issue("worker-busy", says));
        }
    }
    validity.steal_share = steal_share;
    if steal_share > STEAL_WARN && long().next().is_some() {
        let says = format!(
            "the hypervisor took {:.1} % of the CPU time (warning above {} %, bound {} %)",
            steal_share * 100.0,
            STEAL_WARN * 100.0,
            STEAL_MAX * 100.0
        );
        let list = if steal_share > STEAL_MAX {
            &mut validity.invalid
        } else {
            &mut validity.warnings
        };
        list.push(issue("steal", says));
    }
    let mut timer: Vec<Nanos> = reports
        .iter()
        .flat_map(|r| r.timer_late.iter().copied())
        .collect();
    timer.sort_unstable();
    validity.timer_p99 = at(&timer, 0.99);
    if timer.len() >= TIMER_MIN && validity.timer_p99 > TIMER_MAX {
        let says = format!(
            "the timer fired {} late at p99 (bound {TIMER_MAX})",
            validity.timer_p99
        );
        let late = timer.iter().filter(|beat| **beat > TIMER_MAX).count();
        let list = if late >= LATE_MIN {
            &mut validity.invalid
        } else {
            &mut validity.warnings
        };
        list.push(issue("timer", says));
    }
    validity.dropped = reports.iter().map(|r| r.dropped).sum();
    if validity.dropped > 0 {
        let says = format!("{} samples found no room and are missing", validity.dropped);
        validity.invalid.push(issue("dropped", says));
    }
}

/// Little's law as a check of our own books: the time integral of requests in flight, counted as they started and
/// ended, against the sum of their spans.
pub(crate) fn add_little(validity: &mut Validity, counted: u128, spans: u128, requests: u64) {
    if spans == 0 {
        return;
    }
    validity.little_error = (counted as f64 - spans as f64).abs() / spans as f64;
    if requests >= LITTLE_REQUESTS_MIN && validity.little_error > LITTLE_MAX {
        let says = format!(
            "requests in flight and rate x time disagree by {:.1} % (bound {} %): the records contradict each other",
            validity.little_error * 100.0,
            LITTLE_MAX * 100.0
        );
        validity.invalid.push(issue("little", says));
    }
}

pub(crate) fn issue(name: &str, says: String) -> ValidityIssue {
    ValidityIssue {
        name: name.to_owned(),
        says,
    }
}

fn at(sorted: &[Nanos], p: f64) -> Nanos {
    match nearest_rank(p, sorted.len() as u64) {
        0 => Nanos::ZERO,
        rank => sorted[rank as usize - 1],
    }
}

#[cfg(test)]
mod tests {
    use super::{add_little, add_reports, judge};
    use crate::worker::Report;
    use prony_model::{
        Arrivals, Capture, Limits, Nanos, Outcome, Phase, Sample, SampleFlags, Shape, Validity,
    };

    const OPEN: Shape = Shape::Open {
        rate: 100.0,
        arrivals: Arrivals::Constant,
        duration_s: 10.0,
        in_flight_max: 9,
    };
    const CLOSED: Shape = Shape::Closed {
        connections: 1,
        requests: None,
        duration_s: Some(1.0),
        think_ms: 0.0,
    };

    fn phase(shape: Shape) -> Phase {
        Phase {
            name: "p".into(),
            experiment: "e".into(),
            scenarios: Vec::new(),
            shape,
            limits: Limits::default(),
            capture: Capture::NONE,
        }
    }

    /// `n` answers of 2 ms every 10 ms, the first `late` of them sent `lag_us` late.
    fn samples(n: u64, late: u64, lag_us: u64) -> Vec<Sample> {
        let sample = |seq: u64| {
            let intended = Nanos(seq * 10_000_000);
            let sent = intended + Nanos(if seq < late { lag_us * 1000 } else { 5000 });
            Sample {
                seq,
                intended,
                sent,
                first_byte: sent + Nanos(1_000_000),
                done: sent + Nanos(2_000_000),
                digest: 0,
                bytes_in: 0,
                item: 0,
                connect_us: 0,
                tls_us: 0,
                attempt: 0,
                status: 200,
                scenario: 0,
                step: 0,
                phase: 0,
                worker: 0,
                outcome: Outcome::Ok,
                flags: SampleFlags::default(),
            }
        };
        (0..n).map(sample).collect()
    }

    fn names(issues: &[prony_model::ValidityIssue]) -> Vec<&str> {
        issues.iter().map(|i| i.name.as_str()).collect()
    }

    #[test]
    fn a_punctual_phase_is_valid() {
        let validity = judge(&phase(OPEN), &samples(1000, 0, 0), Nanos::ZERO);
        assert!(
            validity.is_valid() && validity.warnings.is_empty(),
            "{validity:?}"
        );
        assert_eq!(validity.lag_p99, Nanos(5000));
    }

    #[test]
    fn late_sends_condemn_only_in_numbers() {
        let invalid = judge(&phase(OPEN), &samples(1000, 20, 3000), Nanos::ZERO);
        // Twice: by their share, and because they moved the 99th percentile.
        assert_eq!(names(&invalid.invalid), ["late-sends", "late-sends"]);
        assert!(invalid.invalid[0].says.contains("20 of 1000"), "{invalid:?}");
        let one = judge(&phase(OPEN), &samples(20, 1, 3000), Nanos::ZERO);
        assert!(one.is_valid(), "{one:?}");
        assert_eq!(names(&one.warnings), ["late-sends"]);
        let few = judge(&phase(OPEN), &samples(1000, 9, 3000), Nanos::ZERO);
        assert!(few.is_valid() && few.warnings.is_empty(), "{few:?}");
    }

    #[test]
    fn the_targets_slow_accept_is_not_our_lag() {
        let mut all = samples(1000, 100, 30_000);
        for sample in &mut all[..100] {
            sample.connect_us = 30_000;
        }
        assert!(judge(&phase(OPEN), &all, Nanos::ZERO).is_valid());
    }

    #[test]
    fn a_moved_quantile_is_told() {
        // 0.6 ms late is below the bound for single sends, yet it is most of what a median shows.
        let validity = judge(&phase(CLOSED), &samples(200, 200, 600), Nanos::ZERO);
        assert!(!validity.is_valid(), "{validity:?}");
        assert!(validity.invalid[0].says.contains("p50"), "{validity:?}");
    }

    #[test]
    fn shed_and_rate() {
        let mut all = samples(1000, 0, 0);
        for sample in &mut all[..6] {
            sample.outcome = Outcome::Shed;
        }
        assert_eq!(names(&judge(&phase(OPEN), &all, Nanos::ZERO).invalid), ["shed"]);
        // 3,000 arrivals over 30 s; those of the first window go out in the second.
        let mut all = samples(3000, 0, 0);
        for sample in &mut all[..1000] {
            sample.sent = Nanos(15_000_000_000);
            sample.done = Nanos(15_002_000_000);
        }
        let validity = judge(&phase(OPEN), &all, Nanos::ZERO);
        assert!(names(&validity.invalid).contains(&"rate"), "{validity:?}");
        assert!((validity.rate_error - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_busy_worker_limits_a_closed_loop_and_spoils_an_open_one() {
        let report = Report {
            cpu: Nanos(1_950_000_000),
            wall: Nanos(2_000_000_000),
            ..Report::default()
        };
        let judged = |shape, report: &Report| {
            let mut validity = Validity::default();
            add_reports(&mut validity, &phase(shape), std::slice::from_ref(report), 0.0);
            validity
        };
        assert_eq!(names(&judged(OPEN, &report).invalid), ["worker-busy"]);
        let closed = judged(CLOSED, &report);
        assert!(closed.is_valid() && closed.warnings[0].says.contains("the generator was the limit"));
        let brief = Report {
            cpu: Nanos(950_000),
            wall: Nanos(1_000_000),
            ..Report::default()
        };
        assert!(judged(OPEN, &brief).is_valid());
        let dropped = Report {
            dropped: 3,
            timer_late: vec![Nanos(9_000_000); 30],
            ..Report::default()
        };
        assert_eq!(names(&judged(OPEN, &dropped).invalid), ["timer", "dropped"]);
    }

    #[test]
    fn books_that_contradict_each_other() {
        let mut validity = Validity::default();
        add_little(&mut validity, 1000, 1001, 500);
        assert!(validity.is_valid() && validity.little_error > 0.0);
        add_little(&mut validity, 1000, 1100, 500);
        assert_eq!(names(&validity.invalid), ["little"]);
    }
}
