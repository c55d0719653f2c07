//! Workers that call themselves ready before they are: a request right after the first good health check takes longer than the
//! next one.

use prony_model::{Finding, Outcome, PhaseResult, Severity, Verdict};
use prony_stats::{fisher, median};

use super::{NAME, READY};
use crate::RunView;
use crate::draft::{Draft, source};
use crate::primary::no_work;
use crate::wording::{digits, ms, resting_on};

/// From so many times the next request on, the first is slow.
const RATIO: f64 = 1.25;
/// Rounds that are needed, and the level of the test (Fisher) that the first ones are the slow ones.
const ROUNDS_MIN: usize = 4;
const LEVEL: f64 = 0.03;

/// One silence, and what came after it. Times in ms.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Round {
    health: f64,
    first: f64,
    next: f64,
}

/// How much slower first requests are, and whether that is no chance.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Judged {
    ratio: f64,
    slow: usize,
    p: f64,
}

fn judge(rounds: &[Round]) -> Option<Judged> {
    if rounds.len() < ROUNDS_MIN {
        return None;
    }
    let next: Vec<f64> = rounds.iter().map(|r| r.next).collect();
    let usual = median(&mut next.clone());
    let slow = |time: &f64| *time > RATIO * usual;
    let first_slow = rounds.iter().filter(|r| slow(&r.first)).count();
    let next_slow = next.iter().filter(|t| slow(t)).count();
    let n = rounds.len() as u64;
    Some(Judged {
        ratio: median(&mut rounds.iter().map(|r| r.first / usual).collect::<Vec<_>>()),
        slow: first_slow,
        p: fisher::two_sided(first_slow as u64, n, next_slow as u64, n),
    })
}

impl Judged {
    fn is_early(&self) -> bool {
        self.ratio > RATIO && self.p < LEVEL
    }
}

/// The rounds in which all three were answered well; the very first came after no silence.
fn rounds(phase: &PhaseResult) -> Vec<Round> {
    let time = |seq: u64, item: u32| {
        phase
            .samples
            .iter()
            .find(|s| s.seq == seq && s.item == item && s.part() != 0 && s.outcome == Outcome::Ok)
            .map(|s| s.service().as_millis_f64())
    };
    phase
        .samples
        .iter()
        .filter(|s| s.is_arrival() && s.step > 0)
        .filter_map(|s| {
            Some(Round {
                health: time(s.seq, 0)?,
                first: time(s.seq, 1)?,
                next: time(s.seq, 2)?,
            })
        })
        .collect()
}

/// The finding; none when too few rounds were whole.
pub(super) fn finding(run: &RunView<'_>, idle_s: f64) -> Option<Finding> {
    let phase = run.phase(NAME, READY)?;
    let endpoint = &phase.phase.scenarios[0].name;
    let health = &no_work(run)?.name;
    let rounds = rounds(phase);
    let judged = judge(&rounds)?;
    let k = rounds.len();
    let middle = |of: fn(&Round) -> f64| median(&mut rounds.iter().map(of).collect::<Vec<_>>());
    let (checked, first, next) = (middle(|r| r.health), middle(|r| r.first), middle(|r| r.next));
    let others = phase
        .captures
        .iter()
        .filter(|c| c.item == 0 && c.status != 200 && c.status != 0)
        .count();
    let evidence = source(phase, endpoint);
    let draft = Draft::new(NAME, "ready-too-early", health)
        .advisory()
        .figure("first request over the next", judged.ratio, "ratio", k, &evidence)
        .figure(
            "first request after the health check, median",
            first,
            "ms",
            k,
            &evidence,
        )
        .figure("next request, median", next, "ms", k, &evidence)
        .figure("health check after silence, median", checked, "ms", k, &evidence)
        .figure(
            "health checks that said anything but 200",
            others as f64,
            "",
            k,
            &evidence,
        );
    let told = format!(
        "After {} of silence each time, {k} times: {health} was called and answered after {}, then {endpoint} twice. The first took {}, \
         the next {} (medians); {} of {k} first requests were slow (p = {}).",
        ms(1000.0 * idle_s),
        ms(checked),
        ms(first),
        ms(next),
        judged.slow,
        digits(judged.p)
    );
    let draft = if judged.is_early() && others == 0 {
        draft
            .verdict(Verdict::Warn, Severity::Medium)
            .title(format!(
                "{health} says 200 before a worker is ready: the request right after takes {} times as long as the next",
                digits(judged.ratio)
            ))
            .detail(format!(
                "{told} It never said that anything was starting, so a platform that goes by it cannot see a cold start."
            ))
            .advice(
                "Answer the health check with 204 or 503 until the model is loaded and has made one inference.",
                "",
            )
    } else {
        draft
            .title(format!(
                "A request right after {health} takes no longer than the next"
            ))
            .detail(told)
    };
    Some(resting_on(draft.done(), &[phase]))
}

#[cfg(test)]
mod tests {
    use super::{Round, judge};
    use crate::dzi::mix;

    fn rounds(pairs: &[(f64, f64)]) -> Vec<Round> {
        pairs
            .iter()
            .map(|&(first, next)| Round {
                health: 1.0,
                first,
                next,
            })
            .collect()
    }

    #[test]
    fn a_first_request_that_is_always_slower_shows_a_worker_that_was_not_ready() {
        let cold = rounds(&[
            (15.0, 10.0),
            (14.9, 10.2),
            (15.3, 9.9),
            (15.0, 10.1),
            (14.8, 10.0),
            (15.1, 10.0),
        ]);
        assert!(judge(&cold).unwrap().is_early());
        let warm = rounds(&[
            (10.1, 10.0),
            (10.0, 10.2),
            (9.8, 9.9),
            (30.0, 10.1),
            (10.0, 10.0),
            (10.0, 28.0),
        ]);
        assert!(!judge(&warm).unwrap().is_early(), "stalls hit both");
        assert_eq!(judge(&cold[..3]), None);
    }

    /// Normal deviates of a seed, enough for a test: sums of twelve evenly spread values.
    fn normal(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed;
        move || {
            (0..12)
                .map(|_| {
                    state = mix(state.wrapping_add(0x9e37_79b9));
                    (state >> 11) as f64 / (1_u64 << 53) as f64
                })
                .sum::<f64>()
                - 6.0
        }
    }

    /// How many of so many runs of six rounds call the target early, where the first takes `ratio` times as long and all times vary
    /// by that sigma of their logarithm.
    fn early(runs: u64, ratio: f64, sigma: f64) -> usize {
        let mut next = normal(7);
        (0..runs)
            .filter(|_| {
                let pairs: Vec<(f64, f64)> = (0..6)
                    .map(|_| {
                        (
                            10.0 * ratio * (sigma * next()).exp(),
                            10.0 * (sigma * next()).exp(),
                        )
                    })
                    .collect();
                judge(&rounds(&pairs)).is_some_and(|judged| judged.is_early())
            })
            .count()
    }

    #[test]
    fn false_alarms_are_rare_and_cold_starts_are_found() {
        for sigma in [0.05, 0.2, 0.5] {
            let alarms = early(2_000, 1.0, sigma);
            assert!(alarms <= 40, "{alarms} of 2000 at sigma {sigma}");
        }
        let found = early(500, 1.5, 0.05);
        assert!(found >= 490, "{found} of 500");
    }
}
