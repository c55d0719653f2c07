//! The cache experiment against servers whose cache is known: what a word costs, blocks, what a hit saves and how often one
//! is met.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use prony_engine::Scripted;
use prony_model::{
    Budget, Endpoint, Evidence, Expect, Figure, Finding, Nanos, Request, Role, SampleRequest, Surface,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde_json::{Value, json};

use crate::drive::Drive;
use crate::measure::{Bound, Case, Kind, Measure};

/// A server that takes a prompt.
#[derive(Clone, Copy)]
struct Truth {
    /// Time of a prompt of no length, and of each word of it.
    base_ms: f64,
    word_us: f64,
    /// Words of a block, of which only whole ones are cached; 0 caches nothing.
    block: usize,
    /// Share of the time of cached words that a hit saves.
    saves: f64,
    /// How often a prompt that could hit does.
    hits: f64,
    /// Standard deviation of the logarithm of the ratio of two times.
    noise: f64,
    /// Whether answers tell how many tokens were cached.
    tells: bool,
}

const PLAIN: Truth = Truth {
    base_ms: 20.0,
    word_us: 100.0,
    block: 16,
    saves: 1.0,
    hits: 1.0,
    noise: 0.1,
    tells: false,
};

struct Server {
    truth: Truth,
    seen: HashSet<u64>,
    rng: ChaCha8Rng,
}

impl Server {
    fn new(truth: Truth, seed: u64) -> Self {
        Self {
            truth,
            seen: HashSet::new(),
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// Words of the prompt whose blocks are all known, from the first on; it knows them all afterwards.
    fn cached(&mut self, words: &[&str]) -> usize {
        if self.truth.block == 0 {
            return 0;
        }
        let mut hasher = DefaultHasher::new();
        let (mut known, mut all) = (0, true);
        for block in words.chunks_exact(self.truth.block) {
            block.hash(&mut hasher);
            all &= !self.seen.insert(hasher.finish());
            known += if all { block.len() } else { 0 };
        }
        if self.rng.random::<f64>() < self.truth.hits {
            known
        } else {
            0
        }
    }
}

impl Scripted for Server {
    fn take(&mut self, now: Nanos, request: &[u8]) -> (Cow<'static, [u8]>, Nanos) {
        let body = request
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .map_or(&[][..], |at| &request[at + 4..]);
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let prompt = body["prompt"].as_str().unwrap_or_default().to_owned();
        let words: Vec<&str> = prompt.split(' ').collect();
        let cached = self.cached(&words);
        let worked = words.len() as f64 - self.truth.saves * cached as f64;
        let normal: f64 = StandardNormal.sample(&mut self.rng);
        let noise = (normal * self.truth.noise / 2.0_f64.sqrt()).exp();
        let time_ms = (self.truth.base_ms + worked * self.truth.word_us / 1000.0) * noise;
        let answer = if self.truth.tells {
            json!({"usage": {"prompt_tokens": words.len(), "prompt_tokens_details": {"cached_tokens": cached}}})
        } else {
            json!({"text": format!("{:x}", self.rng.random::<u64>())})
        };
        (reply(&answer), now + Nanos::from_millis_f64(time_ms))
    }
}

fn reply(answer: &Value) -> Cow<'static, [u8]> {
    let body = answer.to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Cow::Owned((head + &body).into_bytes())
}

fn surface() -> Surface {
    let endpoint = Endpoint {
        name: "POST /generate".to_owned(),
        method: "POST".to_owned(),
        path: "/generate".to_owned(),
        role: Role::Inference,
        parameters: Vec::new(),
        body_schema: None,
        declared_statuses: Vec::new(),
        samples: vec![SampleRequest {
            request: Request::json("POST", "/generate", &json!({"prompt": "Name three rivers."})),
            inputs: BTreeMap::new(),
        }],
        expect: Expect::default(),
    };
    Surface {
        endpoints: vec![endpoint],
        ..Surface::default()
    }
}

fn finding(truth: Truth, seed: u64, lengths: &[u32], repeats: u32) -> Finding {
    let driven = Drive {
        surface: &surface(),
        budget: Budget::Thorough,
        seed,
        monitor: &mut |_| Vec::new(),
    }
    .run(
        &[(
            "cache",
            json!({"lengths": lengths, "repeats": repeats, "duration_s": 3600}),
        )],
        Server::new(truth, seed),
    );
    driven.finding("cache-effect").expect("it concludes").clone()
}

fn figure<'a>(finding: &'a Finding, label: &str) -> Option<&'a Figure> {
    finding.evidence.iter().find_map(|e| match e {
        Evidence::Figure(figure) if figure.label.starts_with(label) => Some(figure),
        _ => None,
    })
}

/// Whether a figure is there and lies within an absolute distance of the truth.
fn near(finding: &Finding, label: &str, truth: f64, distance: f64) -> bool {
    figure(finding, label).is_some_and(|f| (f.value - truth).abs() <= distance)
}

pub(super) const EFFECT: Case = Case {
    question: "cache",
    criterion: "The speed-up is right within 5 %, the share of the prompt's time that a hit saves within 0.05, and the length \
                from which on it helps within one block, each in at least 95 % of runs; and no less often than promised the \
                interval of the speed-up holds the truth.",
    remark: "",
    run: |effort| {
        let lengths = [64, 256, 1024, 4096];
        let truth = (PLAIN.base_ms + 409.6) / PLAIN.base_ms;
        let runs = effort.each(200, |seed| {
            let found = finding(PLAIN, seed, &lengths, 0);
            let label = "time to first byte, new over repeated";
            let held = figure(&found, label)
                .and_then(|f| f.ci)
                .is_some_and(|(low, high)| low <= truth && truth <= high);
            (near(&found, label, truth, 0.05 * truth), held)
        });
        let (right, held): (Vec<bool>, Vec<bool>) = runs.into_iter().unzip();
        let mut measures = vec![
            Measure::rate("speed-up of 21.5 within 5 %", &right, Bound::AtLeast(0.95)).counts(Kind::Accuracy),
            Measure::rate("intervals that hold the speed-up", &held, Bound::AtLeast(0.92))
                .counts(Kind::Coverage),
        ];
        for saves in [0.4, 0.7] {
            let truth = Truth { saves, ..PLAIN };
            let right = effort.each(200, |seed| {
                near(
                    &finding(truth, seed, &lengths, 0),
                    "growth saved",
                    100.0 * saves,
                    5.0,
                )
            });
            let what = format!("saved share of {saves} within 0.05");
            measures.push(Measure::rate(what, &right, Bound::AtLeast(0.95)).counts(Kind::Accuracy));
        }
        for block in [16_u32, 128, 528] {
            let truth = Truth {
                block: block as usize,
                ..PLAIN
            };
            let right = effort.each(100, |seed| {
                let found = finding(truth, seed, &lengths, 0);
                near(
                    &found,
                    "shortest prompt that gains",
                    f64::from(block),
                    f64::from(block),
                )
            });
            let what = format!("blocks of {block} words: shortest prompt that gains within one block");
            measures.push(Measure::rate(what, &right, Bound::AtLeast(0.95)).counts(Kind::Accuracy));
        }
        measures
    },
};

pub(super) const HIT_RATE: Case = Case {
    question: "cache",
    criterion: "How often a repeated prompt meets the cache, from 400 of them, within 0.05 in at least 90 % of runs: by the \
                answers' own count, and without it by their times.",
    remark: "",
    run: |effort| {
        let mut measures = Vec::new();
        for (hits, tells) in [(0.61, false), (0.3, false), (1.0, false), (0.61, true)] {
            let truth = Truth { hits, tells, ..PLAIN };
            let right = effort.each(200, |seed| {
                near(
                    &finding(truth, seed, &[64, 2048], 400),
                    "repeated prompts that met",
                    100.0 * hits,
                    5.0,
                )
            });
            let by = if tells {
                "counted by the server"
            } else {
                "by times"
            };
            measures.push(
                Measure::rate(format!("hit rate of {hits}, {by}"), &right, Bound::AtLeast(0.9))
                    .counts(Kind::Accuracy),
            );
        }
        measures
    },
};

pub(super) const NO_CACHE: Case = Case {
    question: "cache",
    criterion: "Without a cache, a speed-up is claimed in at most 5 % of runs, and at a noise of 0.1 thirty pairs show in at \
                least 90 % that there is none.",
    remark: "",
    run: |effort| {
        let mut measures = Vec::new();
        for (noise, shown_least) in [(0.1, Some(0.9)), (0.3, None)] {
            let truth = Truth {
                block: 0,
                noise,
                ..PLAIN
            };
            let runs = effort.each(200, |seed| {
                let found = finding(truth, seed, &[64, 256, 1024], 0);
                let pairs = figure(&found, "time to first byte, new over repeated").map_or(0, |f| f.n);
                let claimed = found.title.contains("cuts the time");
                (
                    claimed,
                    found.title.starts_with("No cache was seen") && pairs == 30,
                )
            });
            let (claimed, shown): (Vec<bool>, Vec<bool>) = runs.into_iter().unzip();
            let what = format!("noise {noise}: speed-up claimed");
            measures.push(Measure::rate(what, &claimed, Bound::AtMost(0.05)));
            if let Some(least) = shown_least {
                let what = format!("noise {noise}: shown to be without effect by thirty pairs");
                measures.push(Measure::rate(what, &shown, Bound::AtLeast(least)));
            }
        }
        measures
    },
};
