//! What else went on in the machine while a phase ran: how much of its cores programs used that are neither Prony nor the target,
//! what a hypervisor took, how long threads that could have run waited for a core, and what an answer cost the target. Out of the
//! readings of the monitors alone; it must not know how fast answers came, and judges nothing.

use prony_model::{Nanos, PhaseResult, Sample};

/// Rise in cores used by others, or taken by the hypervisor, from which on a stretch counts as busier.
const BUSIER_CORES: f64 = 0.25;
/// Rise of the number of our own threads that wait for a core, where the target is not seen.
const BUSIER_OWN: f64 = 0.1;
/// One in so many stretches, those with the least, is taken for the quiet level.
const QUIETEST: usize = 6;
/// Fewest readings of the target for each stretch, on average: with fewer its own bursts would look like those of others.
const READINGS_MIN: usize = 2;
/// CPU time of the target below which, on either side, its cost is not compared: readings are in steps of 10 ms.
const COST_S_MIN: f64 = 0.2;
/// A neighbour on the same core, or in the same cache, costs every program at most this factor.
const SHARED_FACTOR_MAX: f64 = 2.0;

/// A value that only grows, read now and then.
#[derive(Clone, Debug)]
struct Counter(Vec<(f64, f64)>);

impl Counter {
    /// `None` with fewer than two readings. One that falls by more than half began anew, and goes on from where it was; a smaller
    /// fall is a child whose time is in neither reading, and counts when it is exceeded.
    fn of(phase: &PhaseResult, monitor: &str, value: &str) -> Option<Self> {
        let mut points: Vec<(f64, f64)> = Vec::new();
        let mut last = None;
        for reading in phase.readings.iter().filter(|r| r.monitor == monitor) {
            if let Some(&now) = reading.values.get(value) {
                let most = last
                    .filter(|most| now > 0.5 * most)
                    .map_or(now, |most: f64| most.max(now));
                let grown = last.map_or(0.0, |last| f64::max(0.0, most - last));
                let sum = points.last().map_or(0.0, |(_, sum)| sum + grown);
                points.push((reading.at.as_secs_f64(), sum));
                last = Some(most);
            }
        }
        (points.len() >= 2).then_some(Self(points))
    }

    /// By how much it grew between two instants, in s, by straight lines between readings. A time that reaches beyond the readings by no
    /// more than its own length is taken for the like one at their end.
    fn grown(&self, from: f64, to: f64) -> Option<f64> {
        let (first, last) = (self.0.first()?.0, self.0.last()?.0);
        let shift = (first - from).max(0.0) - (to - last).max(0.0);
        let (from, to) = (from + shift, to + shift);
        let is_seen = shift.abs() <= to - from && first <= from && to <= last;
        is_seen.then(|| self.at(to) - self.at(from))
    }

    fn at(&self, instant: f64) -> f64 {
        let after = self
            .0
            .partition_point(|(at, _)| *at <= instant)
            .clamp(1, self.0.len() - 1);
        let ((t0, v0), (t1, v1)) = (self.0[after - 1], self.0[after]);
        if t1 > t0 {
            v0 + (v1 - v0) * (instant - t0) / (t1 - t0)
        } else {
            v1
        }
    }
}

/// The machine during some time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Level {
    /// Length, in s.
    pub seconds: f64,
    /// Requests that ended meanwhile.
    pub ended: f64,
    /// CPU time used by programs that are neither Prony nor the target, in s; by all but Prony, where the target is not seen.
    pub others_s: f64,
    /// CPU time that the hypervisor took, in s.
    pub stolen_s: f64,
    /// CPU time in use, in s.
    pub used_s: f64,
    /// CPU time of Prony, in s.
    pub own_cpu_s: f64,
    /// How long Prony's threads waited for a core, in s.
    pub own_wait_s: f64,
    /// CPU time of the target, in s; 0 where it is not seen.
    pub target_cpu_s: f64,
    /// How long the target's threads waited for a core, in s; 0 where it is not seen.
    pub target_wait_s: f64,
}

impl Level {
    fn with(&self, other: &Self) -> Self {
        Self {
            seconds: self.seconds + other.seconds,
            ended: self.ended + other.ended,
            others_s: self.others_s + other.others_s,
            stolen_s: self.stolen_s + other.stolen_s,
            used_s: self.used_s + other.used_s,
            own_cpu_s: self.own_cpu_s + other.own_cpu_s,
            own_wait_s: self.own_wait_s + other.own_wait_s,
            target_cpu_s: self.target_cpu_s + other.target_cpu_s,
            target_wait_s: self.target_wait_s + other.target_wait_s,
        }
    }

    /// Cores in use by others.
    pub(crate) fn others(&self) -> f64 {
        self.others_s / self.seconds
    }

    /// Cores taken by the hypervisor.
    pub(crate) fn stolen(&self) -> f64 {
        self.stolen_s / self.seconds
    }

    /// What a time of CPU really took, for each part of it that was not stolen.
    fn kept(&self) -> f64 {
        let all = self.used_s + self.stolen_s;
        if all > 0.0 { self.used_s / all } else { 1.0 }
    }

    /// CPU time of the target for each request, in ms, less what was stolen within.
    pub(crate) fn target_cost_ms(&self) -> f64 {
        1000.0 * self.target_cpu_s * self.kept() / self.ended
    }

    /// How long the target's threads waited for each request, in ms, for a core or for what the hypervisor took.
    pub(crate) fn target_wait_ms(&self) -> f64 {
        1000.0 * (self.target_wait_s + self.target_cpu_s * (1.0 - self.kept())) / self.ended
    }

    fn own_cost_ms(&self) -> f64 {
        1000.0 * self.own_cpu_s * self.kept() / self.ended
    }

    /// The same of Prony's own threads.
    pub(crate) fn own_wait_ms(&self) -> f64 {
        1000.0 * (self.own_wait_s + self.own_cpu_s * (1.0 - self.kept())) / self.ended
    }
}

/// A machine that was busier in some stretches of a phase than in others.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Busier {
    /// Which stretches were.
    pub stretches: Vec<bool>,
    /// The machine in the others.
    pub quiet: Level,
    /// The machine in these.
    pub busy: Level,
    /// Whether the target's process is seen.
    pub sees_target: bool,
}

impl Busier {
    /// The machine over the stretches of a phase between these instants, of which there is one more; `None` where it was never
    /// busier, always so, or not read, or too seldom.
    pub(crate) fn of(phase: &PhaseResult, bounds: &[Nanos], samples: &[&Sample]) -> Option<Self> {
        let machine = Machine::of(phase)?;
        let seen = machine.target.as_ref().map(|(cpu, _)| cpu.0.len());
        if seen.is_some_and(|readings| readings < READINGS_MIN * bounds.len()) {
            return None;
        }
        let mut done: Vec<Nanos> = samples.iter().map(|s| s.done).collect();
        done.sort_unstable();
        let levels: Option<Vec<Level>> = bounds
            .windows(2)
            .map(|pair| {
                let (from, to) = (pair[0], pair[1]);
                let ended = done.partition_point(|d| *d < to) - done.partition_point(|d| *d < from);
                Some(Level {
                    ended: ended as f64,
                    ..machine.between(from.as_secs_f64(), to.as_secs_f64())?
                })
            })
            .collect();
        let levels = levels?;
        let busy: Vec<f64> = levels.iter().map(|level| machine.busyness(level)).collect();
        let mut sorted = busy.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let quietest = &sorted[..(sorted.len() / QUIETEST).max(1)];
        let least = if machine.target.is_some() {
            BUSIER_CORES
        } else {
            BUSIER_OWN
        };
        let bound = prony_stats::mean(quietest) + least;
        let stretches: Vec<bool> = busy.iter().map(|b| *b > bound).collect();
        let sum = |wanted: bool| {
            let of = levels
                .iter()
                .zip(&stretches)
                .filter(|(_, is_busy)| **is_busy == wanted);
            of.fold(Level::default(), |sum, (level, _)| sum.with(level))
        };
        let (quiet, busy) = (sum(false), sum(true));
        (quiet.ended > 0.0 && busy.ended > 0.0).then_some(Self {
            stretches,
            quiet,
            busy,
            sees_target: machine.target.is_some(),
        })
    }

    /// By which factor the target's CPU time for a request rose by its own doing: what Prony's own rose by meanwhile, for as long as
    /// it is small enough to come from sharing a core, is the machine's. `None` where it uses too little to tell.
    pub(crate) fn cost_factor(&self) -> Option<f64> {
        let enough = |level: &Level| level.target_cpu_s >= COST_S_MIN;
        if !(enough(&self.quiet) && enough(&self.busy)) {
            return None;
        }
        let ours = self.busy.own_cost_ms() / self.quiet.own_cost_ms();
        let shared = if ours.is_finite() {
            ours.clamp(1.0, SHARED_FACTOR_MAX)
        } else {
            1.0
        };
        Some(self.busy.target_cost_ms() / self.quiet.target_cost_ms() / shared)
    }

    /// How much longer threads waited for a core for each request, in ms: the target's, or ours where it is not seen.
    pub(crate) fn wait_rise_ms(&self) -> f64 {
        let rise = if self.sees_target {
            self.busy.target_wait_ms() - self.quiet.target_wait_ms()
        } else {
            self.busy.own_wait_ms() - self.quiet.own_wait_ms()
        };
        rise.max(0.0)
    }
}

/// Whether no core was free while something took its time, since programs other than Prony, and than the target where its readings
/// reach so far, and the hypervisor used them. `None` where that was not read.
pub(crate) fn was_full(phase: &PhaseResult, from: Nanos, to: Nanos) -> Option<bool> {
    let machine = Machine::of(phase)?;
    let (from, to) = (from.as_secs_f64(), to.as_secs_f64());
    let unseen = || Machine {
        target: None,
        ..machine.clone()
    };
    let level = machine.between(from, to).or_else(|| unseen().between(from, to))?;
    Some(level.others() + level.stolen() >= machine.cores - BUSIER_CORES)
}

/// The readings of a phase.
#[derive(Clone)]
struct Machine {
    cores: f64,
    used: Counter,
    stolen: Counter,
    own_cpu: Counter,
    own_wait: Option<Counter>,
    /// CPU time and waits.
    target: Option<(Counter, Counter)>,
}

impl Machine {
    fn of(phase: &PhaseResult) -> Option<Self> {
        let cores = phase
            .readings
            .iter()
            .find_map(|r| r.values.get("cores").filter(|_| r.monitor == "host"))?;
        let counter = |monitor: &str, value: &str| Counter::of(phase, monitor, value);
        Some(Self {
            cores: *cores,
            used: counter("host", "cpu_s")?,
            stolen: counter("host", "steal_s")?,
            own_cpu: counter("generator", "cpu_s")?,
            own_wait: counter("generator", "run_queue_wait_s"),
            target: counter("process", "cpu_s").zip(counter("process", "run_queue_wait_s")),
        })
    }

    fn between(&self, from: f64, to: f64) -> Option<Level> {
        let own_wait_s = match &self.own_wait {
            Some(wait) => wait.grown(from, to)?,
            None => 0.0,
        };
        let (target_cpu_s, target_wait_s) = match &self.target {
            Some((cpu, wait)) => (cpu.grown(from, to)?, wait.grown(from, to)?),
            None => (0.0, 0.0),
        };
        let used_s = self.cores * self.used.grown(from, to)?;
        let own_cpu_s = self.own_cpu.grown(from, to)?;
        Some(Level {
            seconds: to - from,
            ended: 0.0,
            others_s: (used_s - own_cpu_s - target_cpu_s).max(0.0),
            stolen_s: self.cores * self.stolen.grown(from, to)?,
            used_s,
            own_cpu_s,
            own_wait_s,
            target_cpu_s,
            target_wait_s,
        })
    }

    /// By what a stretch is called busier. Where the target is not seen, cores in use may be its own: only our own waits tell.
    fn busyness(&self, level: &Level) -> f64 {
        if self.target.is_some() {
            level.others() + level.stolen()
        } else {
            level.own_wait_s / level.seconds + level.stolen()
        }
    }
}
