//! Workers that serve one request at a time in the order of arrival, some of which must start first: when the requests of a
//! burst begin, which fleet explains the ends that were seen, and how many workers must stay warm. All times in seconds since
//! the burst began.

/// A fleet before a burst.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fleet {
    /// Workers that are ready.
    pub warm: usize,
    /// Workers in all, ready or started by the burst.
    pub cap: usize,
    /// From the burst until a started worker is ready.
    pub start_s: f64,
    /// Time of one request.
    pub service_s: f64,
}

/// A fleet that explains what was seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fitted {
    /// The fleet.
    pub fleet: Fleet,
    /// Root mean square distance of the ends it predicts from those seen, where an end counts the less the more requests its
    /// worker had answered before: their times add up.
    pub error_s: f64,
    /// Workers that had to start and answered: what the time of a start rests on.
    pub started: usize,
}

/// Most workers that are tried.
const WORKERS_MAX: usize = 64;
/// Times of a start that are tried for each fleet before the best is refined.
const CANDIDATES: usize = 24;

/// One request of a burst as a fleet would serve it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Served {
    end_s: f64,
    /// Whether its worker had to start.
    cold: bool,
    /// Which of its worker it is, from 1.
    nth: u32,
}

impl Fleet {
    /// The requests of a burst, by their ends; those that would begin later than `patience_s` are not served.
    fn serve(&self, burst: usize, patience_s: f64) -> Vec<Served> {
        let mut workers: Vec<Served> = (0..self.cap)
            .map(|w| Served {
                end_s: if w < self.warm { 0.0 } else { self.start_s },
                cold: w >= self.warm,
                nth: 0,
            })
            .collect();
        let mut served = Vec::with_capacity(burst);
        for _ in 0..burst {
            let next = workers.iter_mut().min_by(|a, b| a.end_s.total_cmp(&b.end_s));
            let Some(next) = next.filter(|next| next.end_s <= patience_s) else {
                break;
            };
            next.end_s += self.service_s;
            next.nth += 1;
            served.push(*next);
        }
        served.sort_unstable_by(|a, b| a.end_s.total_cmp(&b.end_s));
        served
    }
}

/// Least time of a start, in times of a request: a worker that starts sooner was warm.
const START_LEAST: f64 = 0.01;

/// The fleet of about `at_once` workers whose ends come closest to those seen (ascending), by least squares, of a burst of which
/// those that had to wait for more than `patience_s` were not answered. `None` of fewer than three answers.
pub(super) fn fit(
    ends_s: &[f64],
    burst: usize,
    service_s: f64,
    patience_s: f64,
    at_once: usize,
) -> Option<Fitted> {
    if ends_s.len() < 3 || service_s <= 0.0 {
        return None;
    }
    let first_wave = ends_s.iter().filter(|end| **end < 1.6 * service_s).count();
    let stride = ends_s.len().div_ceil(CANDIDATES);
    let caps = at_once.saturating_sub(1).max(1)..=(at_once + 1).min(burst).min(WORKERS_MAX);
    let mut best: Option<Fitted> = None;
    for cap in caps {
        for warm in (0..=first_wave.min(cap)).rev() {
            let fleet = |start_s: f64| Fleet {
                warm,
                cap,
                start_s,
                service_s,
            };
            let candidates: Vec<f64> = if cap == warm {
                vec![f64::INFINITY]
            } else {
                let starts = ends_s.iter().step_by(stride).map(|end| end - service_s);
                // One that comes with the end of patience could be anything.
                let in_time = |start: &f64| *start > 0.0 && *start <= patience_s - service_s;
                starts.filter(in_time).collect()
            };
            for start_s in candidates {
                let (mut fitted, mut late_s) = compare(&fleet(start_s), ends_s, burst, patience_s);
                for _ in 0..3 {
                    let next = compare(
                        &fleet((fitted.fleet.start_s + late_s).max(START_LEAST * service_s)),
                        ends_s,
                        burst,
                        patience_s,
                    );
                    if cap == warm || next.0.error_s >= fitted.error_s {
                        break;
                    }
                    (fitted, late_s) = next;
                }
                if best.is_none_or(|b| fitted.error_s < b.error_s * b.must_gain(&fitted) - 1e-9 * service_s) {
                    best = Some(fitted);
                }
            }
        }
    }
    best
}

/// How far a fleet is from what was seen, and how much later its workers ought to have started.
fn compare(fleet: &Fleet, ends_s: &[f64], burst: usize, patience_s: f64) -> (Fitted, f64) {
    let served = fleet.serve(burst, patience_s);
    let (mut squares, mut weights) = (0.0, 0.0);
    let (mut late, mut late_weights, mut started) = (0.0, 0.0, 0);
    for (one, seen) in served.iter().zip(ends_s) {
        let weight = 1.0 / f64::from(one.nth);
        squares += weight * (one.end_s - seen).powi(2);
        weights += weight;
        if one.cold {
            late += weight * (seen - one.end_s);
            late_weights += weight;
            started += usize::from(one.nth == 1);
        }
    }
    // An answer too many or too few is as bad as one that is off by the time of a request.
    squares += served.len().abs_diff(ends_s.len()) as f64 * fleet.service_s.powi(2);
    let fitted = Fitted {
        fleet: *fleet,
        error_s: (squares / weights.max(f64::MIN_POSITIVE)).sqrt(),
        started,
    };
    (fitted, if started > 0 { late / late_weights } else { 0.0 })
}

impl Fitted {
    /// To which part of its error another fleet must come down to explain more: workers that start are two numbers more than
    /// workers that are all ready.
    fn must_gain(&self, other: &Self) -> f64 {
        match (self.started, other.started) {
            (0, 1..) => 0.7,
            _ => 1.0,
        }
    }

    /// Standard error of the time of a start over that time, where the time of a request varies by `variation`: each worker that
    /// started tells it once, with the noise of its first request.
    pub(super) fn start_error(&self, variation: f64) -> f64 {
        let noise = self.error_s.max(variation * self.fleet.service_s);
        noise / (self.started.max(1) as f64).sqrt() / self.fleet.start_s
    }
}

/// What a request and a start take, and how surely.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pace {
    /// Mean time of a request.
    pub service_s: f64,
    /// Coefficient of variation of it.
    pub service_variation: f64,
    /// Times of a request that the mean rests on.
    pub services: usize,
    /// Mean time of a start.
    pub start_s: f64,
    /// Coefficient of variation of it.
    pub start_variation: f64,
}

/// Standard errors by which a plan stays on the safe side: fewer than 1 % of lanes are slower.
const SAFE: f64 = 3.0;

impl Pace {
    /// Requests that one worker surely begins within `time_s` of being ready: 1 and one more for each that is over.
    fn begun(&self, time_s: f64) -> usize {
        if time_s < 0.0 {
            return 0;
        }
        // The mean and the variation may both be larger than a few times show.
        let few = 2.0 / (self.services.max(1) as f64).sqrt();
        let variation = self.service_variation * (1.0 + few);
        let mean = self.service_s * (1.0 + few * self.service_variation);
        (1..100_000)
            .take_while(|&k| {
                let k = f64::from(k);
                k * mean * (1.0 + SAFE * variation / k.sqrt()) <= time_s
            })
            .count()
            + 1
    }

    /// Fewest warm workers of a fleet of `cap` with which a burst begins within `patience_s`: the smallest m with
    /// m (T / S + 1) + (cap - m) ((T - C) / S + 1) >= b, each quotient rounded down. More than the cap when even that many
    /// warm ones do not suffice.
    pub(super) fn warm_needed(&self, burst: usize, cap: usize, patience_s: f64) -> usize {
        let warm = self.begun(patience_s);
        let started = self.begun(patience_s - self.start_s * (1.0 + SAFE * self.start_variation));
        (0..=burst)
            .find(|&m| m * warm + cap.saturating_sub(m) * started >= burst)
            .unwrap_or(burst)
    }
}

#[cfg(test)]
mod tests {
    use super::{Fleet, Pace, fit};

    fn ends(fleet: &Fleet, burst: usize, patience_s: f64) -> Vec<f64> {
        fleet
            .serve(burst, patience_s)
            .iter()
            .map(|one| one.end_s)
            .collect()
    }

    #[test]
    fn a_fleet_is_found_again() {
        for (warm, cap, start_s, service_s, burst, patience_s) in [
            (2, 5, 7.0, 3.0, 20, 60.0),
            (0, 4, 11.0, 2.0, 15, 30.0),
            (3, 3, f64::INFINITY, 4.0, 12, f64::INFINITY),
            (1, 8, 5.5, 10.0, 16, 25.0),
        ] {
            let fleet = Fleet {
                warm,
                cap,
                start_s,
                service_s,
            };
            let found = fit(
                &ends(&fleet, burst, patience_s),
                burst,
                service_s,
                patience_s,
                cap,
            )
            .unwrap();
            assert_eq!((found.fleet.warm, found.fleet.cap), (warm, cap), "{found:?}");
            assert!(found.error_s < 1e-6, "{found:?}");
            assert!(
                warm == cap || (found.fleet.start_s - start_s).abs() < 1e-6,
                "{found:?}"
            );
        }
        assert_eq!(fit(&[1.0, 2.0], 2, 1.0, 9.0, 2), None);
    }

    #[test]
    fn the_published_burst_needs_two_or_three_warm_workers() {
        // 15 at once, two minutes of patience: five are begun by a warm worker at 30 s each, thirteen at 10 s.
        let pace = |service_s: f64| Pace {
            service_s,
            service_variation: 0.0,
            services: 24,
            start_s: 600.0,
            start_variation: 0.0,
        };
        assert_eq!(pace(30.0).begun(120.0), 5);
        assert_eq!(pace(10.0).begun(120.0), 13);
        assert_eq!(pace(30.0).warm_needed(15, 0, 120.0), 3);
        assert_eq!(pace(10.0).warm_needed(15, 0, 120.0), 2);
        let quick_start = Pace {
            start_s: 20.0,
            ..pace(10.0)
        };
        assert_eq!(
            quick_start.warm_needed(15, 3, 120.0),
            0,
            "the cold ones are in time"
        );
        assert_eq!(quick_start.begun(-1.0), 0);
    }
}
