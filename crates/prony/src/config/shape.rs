//! Whether a load shape can end and can begin. It must not know files.

use prony_model::{Arrivals, Shape};

/// The key that is wrong (relative to the shape), what is wrong, and what to do.
pub(super) struct ShapeProblem {
    /// Key inside the shape's table; empty for the table itself.
    pub key: &'static str,
    /// What is wrong.
    pub what: String,
    /// What to do next.
    pub next: &'static str,
}

/// Name of the shape's table, as in `shape.NAME`.
pub(super) fn table(shape: &Shape) -> &'static str {
    match shape {
        Shape::Sequential { .. } => "sequential",
        Shape::Once { .. } => "once",
        Shape::Closed { .. } => "closed",
        Shape::Open { .. } => "open",
        Shape::Burst { .. } => "burst",
        Shape::Ladder { .. } => "ladder",
        Shape::Stages { .. } => "stages",
        Shape::Ramp { .. } => "ramp",
        Shape::Spike { .. } => "spike",
        Shape::Replay { .. } => "replay",
    }
}

/// The first thing that is wrong with a shape.
pub(super) fn problem(shape: &Shape) -> Option<ShapeProblem> {
    const END: &str = "give a number of requests, `duration_s`, or both: whichever comes first ends it";
    match shape {
        Shape::Sequential { requests, duration_s } => {
            at_least_one("requests", *requests).or_else(|| duration(*duration_s))
        }
        Shape::Once { duration_s } => duration(*duration_s),
        Shape::Closed {
            connections,
            requests,
            duration_s,
            think_ms,
        } => at_least_one("connections", u64::from(*connections))
            .or_else(|| no_end(requests.is_none() && duration_s.is_none(), END))
            .or_else(|| requests.and_then(|n| at_least_one("requests", n)))
            .or_else(|| duration(*duration_s))
            .or_else(|| not_negative("think_ms", *think_ms)),
        Shape::Burst {
            size,
            count,
            interval_s,
        } => at_least_one("size", u64::from(*size))
            .or_else(|| at_least_one("count", u64::from(*count)))
            .or_else(|| not_negative("interval_s", *interval_s)),
        Shape::Ladder {
            connections,
            requests_each,
            duration_s,
            idle_s,
        } => {
            let smallest = connections.iter().min().map_or(0, |&c| u64::from(c));
            at_least_one("connections", smallest)
                .or_else(|| no_end(requests_each.is_none() && duration_s.is_none(), END))
                .or_else(|| requests_each.and_then(|n| at_least_one("requests_each", n)))
                .or_else(|| duration(*duration_s))
                .or_else(|| not_negative("idle_s", *idle_s))
        }
        _ => open_loop(shape),
    }
}

/// The first thing that is wrong with a shape whose arrivals follow a schedule.
fn open_loop(shape: &Shape) -> Option<ShapeProblem> {
    match shape {
        Shape::Open {
            rate,
            arrivals,
            duration_s,
            in_flight_max,
        } => positive("rate", *rate)
            .or_else(|| positive("duration_s", *duration_s))
            .or_else(|| spacing(*arrivals))
            .or_else(|| at_least_one("in_flight_max", u64::from(*in_flight_max))),
        Shape::Ramp {
            from,
            to,
            duration_s,
            arrivals,
            in_flight_max,
        } => not_negative("from", *from)
            .or_else(|| not_negative("to", *to))
            .or_else(|| positive("to", from + to))
            .or_else(|| positive("duration_s", *duration_s))
            .or_else(|| spacing(*arrivals))
            .or_else(|| at_least_one("in_flight_max", u64::from(*in_flight_max))),
        Shape::Spike {
            base,
            peak,
            at_s,
            spike_s,
            duration_s,
            arrivals,
            in_flight_max,
        } => not_negative("base", *base)
            .or_else(|| positive("peak", *peak))
            .or_else(|| not_negative("at_s", *at_s))
            .or_else(|| positive("spike_s", *spike_s))
            .or_else(|| positive("duration_s", *duration_s))
            .or_else(|| {
                (at_s + spike_s > *duration_s).then(|| ShapeProblem {
                    key: "duration_s",
                    what: format!("the spike ends at {} s, after the phase", at_s + spike_s),
                    next: "make `duration_s` at least `at_s` + `spike_s`",
                })
            })
            .or_else(|| spacing(*arrivals))
            .or_else(|| at_least_one("in_flight_max", u64::from(*in_flight_max))),
        // Its file is looked at where files are.
        Shape::Replay {
            speed, in_flight_max, ..
        } => positive("speed", *speed).or_else(|| at_least_one("in_flight_max", u64::from(*in_flight_max))),
        Shape::Stages {
            stages,
            arrivals,
            in_flight_max,
        } => {
            let wrong = |key, what: &str, next| {
                Some(ShapeProblem {
                    key,
                    what: what.to_owned(),
                    next,
                })
            };
            if stages.is_empty() {
                return wrong(
                    "stages",
                    "there are no stages",
                    "add `{ rate = 10, duration_s = 5 }`",
                );
            }
            if stages.iter().any(|s| !(s.rate >= 0.0 && s.rate.is_finite())) {
                return wrong(
                    "stages",
                    "a stage's rate is no number of 0 or more",
                    "0 means silence",
                );
            }
            if stages
                .iter()
                .any(|s| !(s.duration_s > 0.0 && s.duration_s.is_finite()))
            {
                return wrong(
                    "stages",
                    "a stage's `duration_s` is not above 0",
                    "give each stage a length in seconds",
                );
            }
            spacing(*arrivals).or_else(|| at_least_one("in_flight_max", u64::from(*in_flight_max)))
        }
        _ => None,
    }
}

fn spacing(arrivals: Arrivals) -> Option<ShapeProblem> {
    (!arrivals.is_sound()).then(|| ShapeProblem {
        key: "arrivals",
        what: "`burstiness` is not above 0".to_owned(),
        next: "1 is Poisson, less is burstier, more is more even",
    })
}

fn no_end(is_endless: bool, next: &'static str) -> Option<ShapeProblem> {
    is_endless.then(|| ShapeProblem {
        key: "",
        what: "this load shape has no end".to_owned(),
        next,
    })
}

fn at_least_one(key: &'static str, value: u64) -> Option<ShapeProblem> {
    (value == 0).then(|| ShapeProblem {
        key,
        what: format!("`{key}` is 0"),
        next: "write 1 or more",
    })
}

fn positive(key: &'static str, value: f64) -> Option<ShapeProblem> {
    let fine = value > 0.0 && value.is_finite();
    (!fine).then(|| ShapeProblem {
        key,
        what: format!("`{key}` is not above 0"),
        next: "write a number above 0",
    })
}

fn not_negative(key: &'static str, value: f64) -> Option<ShapeProblem> {
    let fine = value >= 0.0 && value.is_finite();
    (!fine).then(|| ShapeProblem {
        key,
        what: format!("`{key}` is below 0"),
        next: "write 0 or more",
    })
}

fn duration(duration_s: Option<f64>) -> Option<ShapeProblem> {
    duration_s.and_then(|s| positive("duration_s", s))
}
