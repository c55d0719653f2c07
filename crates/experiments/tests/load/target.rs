//! A target in virtual time whose truth is known: a queue before slots, or a processor that all requests share.
//!
//! It plays the engine too: it turns a phase into the samples that the engine would have recorded.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

use prony_model::{
    Endpoint, Expect, Nanos, Outcome, Phase, PhaseResult, PhaseSummary, Request, Role, Sample, SampleFlags,
    SampleRequest, Shape, Surface, Validity, ValidityIssue,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1, LogNormal};

/// The truth.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// Requests in work at once; the others wait, first come first served.
    pub(crate) slots: usize,
    /// Cores that the requests in work share; infinite when each has its own.
    pub(crate) cores: f64,
    /// Mean work of a request, in ms.
    pub(crate) work_ms: f64,
    /// Its coefficient of variation (lognormal).
    pub(crate) variation: f64,
    /// Network and framework of every request, in ms.
    pub(crate) path_ms: f64,
    /// What reading one request takes, in ms: all of a burst are read before the first is worked on.
    pub(crate) intake_ms: f64,
    /// Whether the health endpoint waits like the others.
    pub(crate) health_queues: bool,
    /// Extra work of the very first request to the work endpoint, in ms.
    pub(crate) first_extra_ms: f64,
    /// Extra work of the first request with each input, in ms.
    pub(crate) new_input_ms: f64,
    /// Relative growth of the work per second of virtual time.
    pub(crate) drift_per_s: f64,
    /// Share of requests that fail.
    pub(crate) fail_share: f64,
    /// How they fail.
    pub(crate) failure: Outcome,
    /// Whether the generator broke its promise in every phase.
    pub(crate) invalid: bool,
}

impl Default for Target {
    fn default() -> Self {
        Self {
            slots: 4,
            cores: f64::INFINITY,
            work_ms: 20.0,
            variation: 0.5,
            path_ms: 0.3,
            intake_ms: 0.0,
            health_queues: false,
            first_extra_ms: 0.0,
            new_input_ms: 0.0,
            drift_per_s: 0.0,
            fail_share: 0.0,
            failure: Outcome::Status5xx,
            invalid: false,
        }
    }
}

pub(crate) const WORK: &str = "POST /work";
pub(crate) const HEALTH: &str = "GET /health";

/// The endpoints: one that works, one that does not.
pub(crate) fn surface() -> Surface {
    let endpoint = |name: &str, path: &str, role: Role, samples: Vec<Request>| Endpoint {
        name: name.into(),
        method: name.split(' ').next().unwrap_or_default().into(),
        path: path.into(),
        role,
        parameters: Vec::new(),
        body_schema: None,
        declared_statuses: vec![200],
        samples: samples
            .into_iter()
            .map(|request| SampleRequest {
                request,
                inputs: BTreeMap::new(),
            })
            .collect(),
        expect: Expect::default(),
    };
    let inputs = (0..3)
        .map(|i| Request::json("POST", "/work", &serde_json::json!({ "input": i })))
        .collect();
    Surface {
        endpoints: vec![
            endpoint(WORK, "/work", Role::Inference, inputs),
            endpoint(HEALTH, "/health", Role::Health, vec![Request::get("/health")]),
        ],
        ..Surface::default()
    }
}

/// A target in operation, with its clock and its randomness.
pub(crate) struct Simulation {
    target: Target,
    rng: ChaCha8Rng,
    now_ms: f64,
    called: bool,
    inputs: BTreeSet<u32>,
}

/// A request on its way.
#[derive(Clone, Copy, Debug)]
struct Job {
    seq: u64,
    connection: u32,
    step: u16,
    scenario: u16,
    item: u32,
    intended_ms: f64,
    left_ms: f64,
    queues: bool,
    fails: bool,
}

/// What a stretch of load sends, and when it stops.
struct Stretch {
    step: u16,
    connections: u32,
    requests: u64,
    until_ms: f64,
}

impl Simulation {
    pub(crate) fn new(target: Target, seed: u64) -> Self {
        Self {
            target,
            rng: ChaCha8Rng::seed_from_u64(seed),
            now_ms: 1.0,
            called: false,
            inputs: BTreeSet::new(),
        }
    }

    /// Performs a phase as the engine would.
    pub(crate) fn perform(&mut self, index: u16, phase: &Phase) -> PhaseResult {
        let started = self.now_ms;
        let mut recording = Recording {
            samples: Vec::new(),
            counts: vec![0; phase.scenarios.len()],
            seq: 0,
            phase: index,
        };
        let end = |duration: Option<f64>| started + duration.map_or(f64::INFINITY, |s| s * 1000.0);
        match &phase.shape {
            Shape::Once { .. } => {
                for (s, scenario) in phase.scenarios.iter().enumerate() {
                    for _ in &scenario.items {
                        let job = self.job(&mut recording, phase, s, 0, 0, self.now_ms);
                        self.serve(vec![job], &mut recording, |_, _, _| None);
                    }
                }
            }
            Shape::Sequential { requests, duration_s } => {
                let stretch = Stretch {
                    step: 0,
                    connections: 1,
                    requests: *requests,
                    until_ms: end(*duration_s),
                };
                self.closed(phase, &mut recording, &stretch);
            }
            Shape::Closed {
                connections,
                requests,
                duration_s,
                ..
            } => {
                let requests = requests.unwrap_or(u64::MAX);
                let stretch = Stretch {
                    step: 0,
                    connections: *connections,
                    requests,
                    until_ms: end(*duration_s),
                };
                self.closed(phase, &mut recording, &stretch);
            }
            Shape::Ladder {
                connections,
                requests_each,
                duration_s,
                idle_s,
            } => {
                for (step, &n) in connections.iter().enumerate() {
                    let until_ms = self.now_ms + duration_s.map_or(f64::INFINITY, |s| s * 1000.0);
                    let requests = requests_each.map_or(u64::MAX, |each| each * u64::from(n));
                    let stretch = Stretch {
                        step: step as u16,
                        connections: n,
                        requests,
                        until_ms,
                    };
                    self.closed(phase, &mut recording, &stretch);
                    self.now_ms += idle_s * 1000.0;
                }
            }
            Shape::Burst { size, count, .. } => {
                for _ in 0..*count {
                    let stretch = Stretch {
                        step: 0,
                        connections: *size,
                        requests: u64::from(*size),
                        until_ms: f64::INFINITY,
                    };
                    self.closed(phase, &mut recording, &stretch);
                }
            }
            Shape::Open { rate, duration_s, .. } => self.open(phase, &mut recording, *rate, *duration_s),
            other => unreachable!("no load experiment uses {}", other.label()),
        }
        let mut samples = recording.samples;
        samples.sort_by_key(|s| (s.intended, s.seq));
        PhaseResult {
            index,
            phase: phase.clone(),
            summary: self.summary(index, phase, &samples, started),
            samples,
            samples_cut: false,
            captures: Vec::new(),
            streams: Vec::new(),
            readings: Vec::new(),
        }
    }

    fn closed(&mut self, phase: &Phase, recording: &mut Recording, stretch: &Stretch) {
        let mut left = stretch.requests;
        let mut first = Vec::new();
        for connection in 0..stretch.connections.min(left as u32) {
            left -= 1;
            first.push(self.job(recording, phase, 0, connection, stretch.step, self.now_ms));
        }
        let others = first.len().saturating_sub(1) as f64;
        if let Some(job) = first.first_mut() {
            job.left_ms += others * self.target.intake_ms;
        }
        self.serve(first, recording, |simulation, recording, ended| {
            if left == 0 || simulation.now_ms >= stretch.until_ms {
                return None;
            }
            left -= 1;
            Some(simulation.job(
                recording,
                phase,
                0,
                ended.connection,
                stretch.step,
                simulation.now_ms,
            ))
        });
    }

    fn open(&mut self, phase: &Phase, recording: &mut Recording, rate: f64, duration_s: f64) {
        let weights: Vec<f64> = phase.scenarios.iter().map(|s| s.weight).collect();
        let all: f64 = weights.iter().sum();
        let end = self.now_ms + duration_s * 1000.0;
        let mut at = self.now_ms;
        let mut jobs = Vec::new();
        loop {
            let gap: f64 = Exp1.sample(&mut self.rng);
            at += gap * 1000.0 / rate;
            if at >= end {
                break;
            }
            let mut pick = self.rng.random_range(0.0..all);
            let scenario = weights.iter().position(|w| {
                pick -= w;
                pick < 0.0
            });
            jobs.push(self.job(recording, phase, scenario.unwrap_or(0), jobs.len() as u32, 0, at));
        }
        self.serve(jobs, recording, |_, _, _| None);
        self.now_ms = self.now_ms.max(end);
    }

    fn job(
        &mut self,
        recording: &mut Recording,
        phase: &Phase,
        scenario: usize,
        connection: u32,
        step: u16,
        intended_ms: f64,
    ) -> Job {
        let target = self.target;
        let works = phase.scenarios[scenario].name == WORK;
        let sigma = (1.0 + target.variation * target.variation).ln().sqrt();
        let spread = LogNormal::new(-sigma * sigma / 2.0, sigma)
            .expect("finite")
            .sample(&mut self.rng);
        let growth = 1.0 + target.drift_per_s * intended_ms / 1000.0;
        let mut left_ms = if works {
            target.work_ms * spread * growth
        } else {
            0.001
        };
        if works && !std::mem::replace(&mut self.called, true) {
            left_ms += target.first_extra_ms;
        }
        let item = recording.counts[scenario] % phase.scenarios[scenario].items.len() as u32;
        recording.counts[scenario] += 1;
        if works && self.inputs.insert(item) {
            left_ms += target.new_input_ms;
        }
        recording.seq += 1;
        Job {
            seq: recording.seq - 1,
            connection,
            step,
            scenario: scenario as u16,
            item,
            intended_ms,
            left_ms,
            queues: works || target.health_queues,
            fails: works && self.rng.random_bool(target.fail_share),
        }
    }

    /// Serves jobs until none is left; `follow` says what an ended job is followed by.
    fn serve(
        &mut self,
        jobs: Vec<Job>,
        recording: &mut Recording,
        mut follow: impl FnMut(&mut Self, &mut Recording, &Job) -> Option<Job>,
    ) {
        let target = self.target;
        let half = target.path_ms / 2.0;
        let mut coming: BinaryHeap<Reverse<(Nanos, u64)>> = BinaryHeap::new();
        let mut sent: BTreeMap<u64, Job> = BTreeMap::new();
        let mut waiting: VecDeque<Job> = VecDeque::new();
        let mut active: Vec<Job> = Vec::new();
        let arrive = |coming: &mut BinaryHeap<_>, sent: &mut BTreeMap<u64, Job>, job: Job| {
            coming.push(Reverse((Nanos::from_millis_f64(job.intended_ms + half), job.seq)));
            sent.insert(job.seq, job);
        };
        for job in jobs {
            arrive(&mut coming, &mut sent, job);
        }
        let mut clock = self.now_ms;
        loop {
            while active.len() < target.slots {
                let Some(job) = waiting.pop_front() else { break };
                active.push(job);
            }
            let speed = (target.cores / active.len().max(1) as f64).min(1.0);
            let next_end = active
                .iter()
                .map(|j| clock + j.left_ms / speed)
                .fold(f64::INFINITY, f64::min);
            let next_arrival = coming
                .peek()
                .map_or(f64::INFINITY, |Reverse((at, _))| at.as_millis_f64());
            if next_end.is_infinite() && next_arrival.is_infinite() {
                break;
            }
            let until = next_end.min(next_arrival).max(clock);
            for job in &mut active {
                job.left_ms -= (until - clock) * speed;
            }
            clock = until;
            let mut ended: Vec<Job> = Vec::new();
            if next_arrival <= next_end {
                let Reverse((_, seq)) = coming.pop().expect("peeked");
                let job = sent.remove(&seq).expect("sent");
                if job.queues {
                    waiting.push_back(job);
                } else {
                    ended.push(job);
                }
            } else {
                active.retain(|j| {
                    let done = j.left_ms <= 1e-9;
                    if done {
                        ended.push(*j);
                    }
                    !done
                });
            }
            for job in ended {
                self.now_ms = clock + half;
                recording.samples.push(self.sample(&job, recording.phase));
                if let Some(next) = follow(self, recording, &job) {
                    arrive(&mut coming, &mut sent, next);
                }
            }
        }
    }

    fn sample(&self, job: &Job, phase: u16) -> Sample {
        let intended = Nanos::from_millis_f64(job.intended_ms);
        let done = Nanos::from_millis_f64(self.now_ms);
        let outcome = if job.fails {
            self.target.failure
        } else {
            Outcome::Ok
        };
        Sample {
            seq: job.seq,
            intended,
            sent: intended,
            first_byte: done,
            done,
            digest: 0,
            bytes_in: 100,
            item: job.item,
            connect_us: 0,
            tls_us: 0,
            attempt: 0,
            status: if job.fails { 500 } else { 200 },
            scenario: job.scenario,
            step: job.step,
            phase,
            worker: 0,
            outcome,
            flags: SampleFlags::default(),
        }
    }

    fn summary(&self, index: u16, phase: &Phase, samples: &[Sample], started_ms: f64) -> PhaseSummary {
        let ok = samples.iter().filter(|s| s.outcome == Outcome::Ok).count() as u64;
        let invalid = if self.target.invalid {
            vec![ValidityIssue {
                name: "late-sends".into(),
                says: "12 % of the sends were late (bound 1 %)".into(),
            }]
        } else {
            Vec::new()
        };
        PhaseSummary {
            index,
            name: phase.name.clone(),
            experiment: phase.experiment.clone(),
            shape: phase.shape.label(),
            open_loop: phase.shape.is_open(),
            started: Nanos::from_millis_f64(started_ms),
            ended: Nanos::from_millis_f64(self.now_ms),
            offered: samples.len() as u64,
            ok,
            failed: samples.len() as u64 - ok,
            own: 0,
            attempts: 0,
            retried: 0,
            offered_per_s: 0.0,
            achieved_per_s: 0.0,
            ok_per_s: 0.0,
            in_flight_mean: 0.0,
            in_flight_max: 0,
            bytes_in: 0,
            connections: 1,
            rows: Vec::new(),
            streams: Vec::new(),
            validity: Validity {
                invalid,
                ..Validity::default()
            },
            partial: false,
        }
    }
}

struct Recording {
    samples: Vec<Sample>,
    counts: Vec<u32>,
    seq: u64,
    phase: u16,
}
