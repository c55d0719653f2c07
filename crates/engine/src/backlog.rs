//! Whether the requests in flight of an open loop go on growing: then the target takes less than arrives, and more load only
//! makes the queue longer. It is told numbers and times; it sends nothing and ends nothing.

use prony_model::{Nanos, Phase, Shape};
use prony_stats::growth::{self, Verdict};
use prony_stats::median;

/// Points that a planned length is cut into, and bounds of what is between two of them.
const POINTS: f64 = 200.0;
const APART_MIN: Nanos = Nanos(50_000_000);
const APART_MAX: Nanos = Nanos(1_000_000_000);
/// First answers that tell how long one takes before a queue is there.
const FIRST_ANSWERS: usize = 20;
/// So many times as long the target may take to fill: until then the number in flight grows in health as well.
const FILL_TIMES: f64 = 4.0;
/// Points of the first look; each look comes at so many times the points of the one before, so that there are few.
const FIRST_LOOK: usize = 40;
const NEXT_LOOK: f64 = 1.5;
/// Share of what arrives that must stay behind for it to matter.
const STAYS_MIN: f64 = 0.05;

/// The number in flight over time.
#[derive(Clone, Debug)]
pub(crate) struct Backlog {
    rate: f64,
    apart: Nanos,
    first: Vec<f64>,
    began: Option<Nanos>,
    filled: Option<Nanos>,
    next: Nanos,
    at_s: Vec<f64>,
    in_flight: Vec<f64>,
    next_look: usize,
    found: Option<Found>,
}

/// A backlog that grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Found {
    /// Requests that stay behind, per second, and the 95 % interval.
    per_s: (f64, f64, f64),
    /// Arrivals per second.
    rate: f64,
    /// In flight at the end.
    in_flight: f64,
    /// Seconds that were looked at.
    seconds: f64,
}

impl Backlog {
    /// For a phase that is to end when it is saturated; `None` where that was not asked for, or arrivals have no one rate.
    pub(crate) fn of(phase: &Phase) -> Option<Self> {
        let Shape::Open { rate, duration_s, .. } = phase.shape else {
            return None;
        };
        let apart = Nanos::from_secs_f64(duration_s / POINTS).clamp(APART_MIN, APART_MAX);
        phase.limits.stop_saturated.then(|| Self {
            rate,
            apart,
            first: Vec::new(),
            began: None,
            filled: None,
            next: Nanos::ZERO,
            at_s: Vec::new(),
            in_flight: Vec::new(),
            next_look: FIRST_LOOK,
            found: None,
        })
    }

    /// What was found.
    pub(crate) fn found(&self) -> Option<Found> {
        self.found
    }

    /// Takes in how many are in flight at a time, and the responses of answers since; whether it is known now, for the first
    /// time, that the backlog grows for good.
    pub(crate) fn grows(&mut self, at: Nanos, in_flight: u32, responses: &[Nanos]) -> bool {
        if at == Nanos::ZERO || self.found.is_some() {
            return false;
        }
        let began = *self.began.get_or_insert(at);
        let Some(filled) = self.filled else {
            let missing = FIRST_ANSWERS - self.first.len();
            self.first
                .extend(responses.iter().take(missing).map(|r| r.as_secs_f64()));
            if self.first.len() == FIRST_ANSWERS {
                let fill_s = FILL_TIMES * median(&mut self.first);
                self.filled = Some(began + Nanos::from_secs_f64(fill_s));
            }
            return false;
        };
        if at < filled.max(self.next) {
            return false;
        }
        self.next = at + self.apart;
        self.at_s.push((at - began).as_secs_f64());
        self.in_flight.push(f64::from(in_flight));
        if self.at_s.len() < self.next_look {
            return false;
        }
        self.next_look = (NEXT_LOOK * self.next_look as f64) as usize;
        self.look();
        self.found.is_some()
    }

    fn look(&mut self) {
        let matters = STAYS_MIN * self.rate;
        let Some(growth) = growth::judge(&self.at_s, &self.in_flight, matters) else {
            return;
        };
        if growth.verdict == Verdict::Leak {
            let (Some(first), Some(last)) = (self.at_s.first(), self.at_s.last()) else {
                return;
            };
            self.found = Some(Found {
                per_s: (growth.line.slope, growth.line.low, growth.line.high),
                rate: self.rate,
                in_flight: self.in_flight.last().copied().unwrap_or(0.0),
                seconds: last - first,
            });
        }
    }
}

impl Found {
    /// In words.
    pub(crate) fn says(&self) -> String {
        let (per_s, low, high) = self.per_s;
        format!(
            "the backlog goes on growing: of {:.1} requests that arrive in a second {per_s:.1} stay behind (95 % interval {low:.1} to \
             {high:.1}, over {:.0} s); {:.0} were in flight when the phase was ended",
            self.rate, self.seconds, self.in_flight
        )
    }
}

#[cfg(test)]
mod tests {
    use prony_model::{Arrivals, Capture, Limits, Nanos, Phase, Shape};

    use super::Backlog;

    fn phase(stop_saturated: bool) -> Phase {
        Phase {
            name: "p".into(),
            experiment: "test".into(),
            scenarios: Vec::new(),
            shape: Shape::Open {
                rate: 100.0,
                arrivals: Arrivals::Poisson,
                duration_s: 20.0,
                in_flight_max: 1000,
            },
            limits: Limits {
                stop_saturated,
                ..Limits::default()
            },
            capture: Capture::NONE,
        }
    }

    /// Seconds after which it is found that the number in flight grows, told every 20 ms for a minute.
    fn found(of: impl Fn(f64) -> f64) -> Option<f64> {
        let mut backlog = Backlog::of(&phase(true)).unwrap();
        (1..3000_u64)
            .find(|k| {
                let at_s = *k as f64 * 0.02;
                let response = Nanos::from_millis_f64(200.0);
                backlog.grows(Nanos(k * 20_000_000), of(at_s) as u32, &[response])
            })
            .map(|k| k as f64 * 0.02)
    }

    #[test]
    fn what_grows_for_good_is_found_and_filling_is_not() {
        // 20 of 100 a second stay behind; the noise is that of whole numbers.
        let after = found(|s| 20.0 + 20.0 * s).unwrap();
        assert!(after < 10.0, "{after}");
        assert_eq!(found(|_| 20.0), None);
        assert_eq!(found(|s| 20.0 * (1.0 - (-s / 0.5).exp())), None, "it fills");
        assert_eq!(found(|s| 20.0 + 2.0 * s), None, "2 of 100 do not matter");
        assert!(Backlog::of(&phase(false)).is_none());
    }
}
