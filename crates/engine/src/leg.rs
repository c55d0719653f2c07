//! A phase as legs: stretches that all workers start together and finish before the next begins. Pure.

use std::sync::Arc;

use prony_model::{Arrivals, Nanos, Phase, Shape, Stage};

use crate::EngineError;
use crate::schedule::Schedule;
use crate::trace::Trace;

/// One leg.
#[derive(Clone, Debug)]
pub(crate) struct Leg {
    pub(crate) step: u16,
    pub(crate) kind: LegKind,
    /// Least time from the start of the previous leg to the start of this one.
    pub(crate) after_start: Nanos,
    /// Least time from the end of the previous leg to the start of this one.
    pub(crate) after_end: Nanos,
}

/// How a leg issues requests.
#[derive(Clone, Debug)]
pub(crate) enum LegKind {
    /// Users who each wait for their answer.
    Loop {
        users: u32,
        requests: Option<u64>,
        duration: Option<Nanos>,
        think: Nanos,
    },
    /// A schedule that waits for nobody.
    Timed {
        schedule: Box<Schedule>,
        in_flight_max: u32,
    },
    /// So many at once, on connections opened beforehand.
    Burst { size: u32 },
}

impl Leg {
    fn new(step: usize, kind: LegKind) -> Self {
        Self {
            step: step as u16,
            kind,
            after_start: Nanos::ZERO,
            after_end: Nanos::ZERO,
        }
    }

    /// Whether its threads sleep until a request is due or an answer comes, and are late only if the machine lets them wait. A
    /// closed loop of several users is not among them: it takes what processor time there is, and must share it.
    pub(crate) fn wakes_on_time(&self) -> bool {
        matches!(
            self.kind,
            LegKind::Timed { .. } | LegKind::Burst { .. } | LegKind::Loop { users: 1, .. }
        )
    }

    /// The same with so many users for each.
    pub(crate) fn times(mut self, streams: u32) -> Self {
        if let LegKind::Loop { users, .. } = &mut self.kind {
            *users = users.saturating_mul(streams);
        }
        self
    }

    /// How many workers can share it, where so many users share a connection.
    pub(crate) fn workers(&self, threads: u32, streams: u32) -> u32 {
        let most = match &self.kind {
            LegKind::Loop { users, requests, .. } => users
                .div_ceil(streams)
                .min(requests.map_or(u32::MAX, |n| u32::try_from(n).unwrap_or(u32::MAX))),
            LegKind::Burst { size } => size.div_ceil(streams),
            // Each may have at least one in flight, or it would send nothing.
            LegKind::Timed { in_flight_max, .. } => *in_flight_max,
        };
        threads.min(most).max(1)
    }
}

/// The legs of a phase. `seed` is the phase's own; `trace` is that of a replay.
pub(crate) fn legs(
    phase: &Phase,
    trace: Option<Arc<Trace>>,
    rate_max: f64,
    seed: u64,
) -> Result<Vec<Leg>, EngineError> {
    let wrong = |why: &str| EngineError::Phase {
        phase: phase.name.clone(),
        why: why.to_owned(),
    };
    let legs = match &phase.shape {
        Shape::Sequential { requests, duration_s } => vec![alone(*requests, *duration_s)],
        Shape::Once { duration_s } => {
            vec![alone(
                phase.scenarios.iter().map(|s| s.arrivals() as u64).sum(),
                *duration_s,
            )]
        }
        Shape::Closed {
            connections,
            requests,
            duration_s,
            think_ms,
        } => {
            if requests.is_none() && duration_s.is_none() {
                return Err(wrong("a closed loop needs an end: requests or duration_s"));
            }
            vec![Leg::new(
                0,
                users(*connections, *requests, *duration_s, *think_ms),
            )]
        }
        Shape::Burst {
            size,
            count,
            interval_s,
        } => {
            let leg = Leg {
                after_start: Nanos::from_secs_f64(*interval_s),
                ..Leg::new(0, LegKind::Burst { size: *size })
            };
            vec![leg; *count as usize]
        }
        Shape::Ladder {
            connections,
            requests_each,
            duration_s,
            idle_s,
        } => {
            if requests_each.is_none() && duration_s.is_none() {
                return Err(wrong(
                    "a ladder needs an end of its steps: requests_each or duration_s",
                ));
            }
            let step = |(step, &n): (usize, &u32)| {
                let requests = requests_each.map(|each| each.saturating_mul(u64::from(n)));
                Leg {
                    after_end: Nanos::from_secs_f64(*idle_s),
                    ..Leg::new(step, users(n, requests, *duration_s, 0.0))
                }
            };
            connections.iter().enumerate().map(step).collect()
        }
        _ => vec![timed(phase, trace, rate_max, seed)?],
    };
    let idle = |leg: &Leg| {
        matches!(
            leg.kind,
            LegKind::Loop { users: 0, .. } | LegKind::Burst { size: 0 }
        )
    };
    if legs.iter().any(idle) {
        return Err(wrong("it needs at least one connection"));
    }
    if legs.is_empty() {
        return Err(wrong("it sends nothing: give it at least one burst or step"));
    }
    Ok(legs)
}

/// The one leg of a shape whose arrivals have their times from a schedule.
fn timed(phase: &Phase, trace: Option<Arc<Trace>>, rate_max: f64, seed: u64) -> Result<Leg, EngineError> {
    let wrong = |why: &str| EngineError::Phase {
        phase: phase.name.clone(),
        why: why.to_owned(),
    };
    let rates = |from: f64, stages: &[Stage], arrivals: &Arrivals| {
        if arrivals.is_sound() {
            Ok(Schedule::new(from, stages, *arrivals, rate_max, seed))
        } else {
            Err(wrong("the burstiness of its arrivals must be above 0"))
        }
    };
    let (schedule, in_flight_max) = match &phase.shape {
        Shape::Open {
            rate,
            arrivals,
            duration_s,
            in_flight_max,
        } => (
            rates(*rate, &[stage(*rate, *duration_s)], arrivals)?,
            in_flight_max,
        ),
        Shape::Stages {
            stages,
            arrivals,
            in_flight_max,
        } => {
            let from = stages.first().map_or(0.0, |s| s.rate);
            (rates(from, stages, arrivals)?, in_flight_max)
        }
        Shape::Ramp {
            from,
            to,
            duration_s,
            arrivals,
            in_flight_max,
        } => {
            let ramp = Stage {
                jump: false,
                ..stage(*to, *duration_s)
            };
            (rates(*from, &[ramp], arrivals)?, in_flight_max)
        }
        Shape::Spike {
            base,
            peak,
            at_s,
            spike_s,
            duration_s,
            arrivals,
            in_flight_max,
        } => {
            let stages = [
                stage(*base, *at_s),
                stage(*peak, *spike_s),
                stage(*base, duration_s - at_s - spike_s),
            ];
            (rates(*base, &stages, arrivals)?, in_flight_max)
        }
        Shape::Replay { in_flight_max, .. } => {
            let trace = trace.ok_or_else(|| wrong("its trace was not read"))?;
            (Schedule::replay(trace), in_flight_max)
        }
        _ => return Err(wrong("its arrivals follow no schedule")),
    };
    let kind = LegKind::Timed {
        schedule: Box::new(schedule),
        in_flight_max: *in_flight_max,
    };
    Ok(Leg::new(0, kind))
}

/// A stage at one rate throughout.
fn stage(rate: f64, duration_s: f64) -> Stage {
    Stage {
        rate,
        duration_s,
        jump: true,
    }
}

fn alone(requests: u64, duration_s: Option<f64>) -> Leg {
    Leg::new(0, users(1, Some(requests), duration_s, 0.0))
}

fn users(users: u32, requests: Option<u64>, duration_s: Option<f64>, think_ms: f64) -> LegKind {
    let (duration, think) = (
        duration_s.map(Nanos::from_secs_f64),
        Nanos::from_millis_f64(think_ms),
    );
    LegKind::Loop {
        users,
        requests,
        duration,
        think,
    }
}

#[cfg(test)]
mod tests {
    use prony_model::{Arrivals, Capture, Limits, Phase, Shape};

    use super::legs;

    #[test]
    fn no_worker_of_a_schedule_is_left_without_room_for_a_request() {
        let workers = |in_flight_max| {
            let phase = Phase {
                name: "p".to_owned(),
                experiment: "e".to_owned(),
                scenarios: Vec::new(),
                shape: Shape::Open {
                    rate: 100.0,
                    arrivals: Arrivals::Constant,
                    duration_s: 1.0,
                    in_flight_max,
                },
                limits: Limits::default(),
                capture: Capture::NONE,
            };
            legs(&phase, None, 0.0, 1).unwrap()[0].workers(8, 1)
        };
        assert_eq!([0, 1, 4, 8, 1000].map(workers), [1, 1, 4, 8, 8]);
    }
}
