//! The whole experiment: its load in simulated time, its readings from shapes, its sentence at the end.

use std::borrow::Cow;
use std::collections::BTreeMap;

use prony_engine::Scripted;
use prony_model::{Budget, Finding, Nanos, PhaseResult, Reading, Verdict};
use serde_json::json;

use super::shapes::{HARMLESS, READINGS, REQUESTS, Shape, noise};
use crate::drive::{Drive, Driven};
use crate::effort::Effort;
use crate::measure::{Bound, Case, Kind, Measure};
use crate::surface::{WORK, one_endpoint};

/// Arrivals per second: the planned run takes 1,000 seconds.
const RATE: f64 = 10.0;
/// Memory at 100 %.
const BASELINE_BYTES: f64 = 400.0 * 1024.0 * 1024.0;

pub(in crate::cases) const CONCLUSIONS: Case = Case {
    question: "leak",
    criterion: "The same through the experiment: what does not leak is called a leak in at most 5 % of runs, a leak of 0.5 % is found \
                in 95 % and one of 1 % in 99 %; none of these is called none; and one of 1 % that reaches its limit within days \
                fails.",
    remark: "",
    run: |effort| {
        let mut measures: Vec<Measure> = HARMLESS
            .iter()
            .map(|(name, shape)| {
                let called: Vec<bool> = findings(effort, *shape).iter().map(says_leak).collect();
                Measure::rate(format!("{name}: called a leak"), &called, Bound::AtMost(0.05))
            })
            .collect();
        let half = findings(effort, |_, x| 0.5 * x / 1_000.0);
        let whole = findings(effort, |_, x| x / 1_000.0);
        let count = |of: &[Finding], holds: fn(&Finding) -> bool| of.iter().map(holds).collect::<Vec<bool>>();
        measures.push(Measure::rate(
            "leak of 0.5 %: found",
            &count(&half, says_leak),
            Bound::AtLeast(0.95),
        ));
        measures.push(Measure::rate(
            "leak of 1 %: found",
            &count(&whole, says_leak),
            Bound::AtLeast(0.99),
        ));
        measures.push(Measure::rate(
            "leak of 1 %: fails",
            &count(&whole, |f| f.verdict == Verdict::Fail),
            Bound::AtLeast(0.99),
        ));
        let passed: Vec<bool> = half
            .iter()
            .chain(&whole)
            .map(|f| f.verdict == Verdict::Pass)
            .collect();
        measures.push(Measure::rate("leaks: passed", &passed, Bound::AtMost(0.0)).counts(Kind::FalsePass));
        measures
    },
};

pub(in crate::cases) const RESTARTS: Case = Case {
    question: "leak",
    criterion: "A restart within the run fails, whatever memory does; without readings or with too few requests the answer is \
                INCONCLUSIVE; and it keeps to its time.",
    remark: "",
    run: |effort| {
        let leak: Shape = |_, x| x / 1_000.0;
        let restarted = effort.each(20, |seed| {
            let finding = finding(
                seed,
                leak,
                &Setting {
                    restarts: true,
                    ..SETTING
                },
            );
            finding.verdict == Verdict::Fail && finding.title.contains("started anew")
        });
        let unseen = effort.each(20, |seed| {
            finding(
                seed,
                leak,
                &Setting {
                    seen: false,
                    ..SETTING
                },
            )
            .verdict
                == Verdict::Inconclusive
        });
        let short = effort.each(20, |seed| {
            let setting = Setting {
                duration_s: 400.0,
                ..SETTING
            };
            finding(seed, leak, &setting).verdict == Verdict::Inconclusive
        });
        // Little is clear of a leak that is just what matters: it mostly takes all the time that there is.
        let kept = effort.each(20, |seed| {
            let phases = driven(seed, |_, x| 0.1 * x / 1_000.0, &SETTING).phases;
            let ended = phases.last().map_or(0.0, |p| p.summary.ended.as_secs_f64());
            ended <= 1.01 * SETTING.duration_s
        });
        vec![
            Measure::rate("keeps to its time", &kept, Bound::AtLeast(1.0)).counts(Kind::Promise),
            Measure::rate("a restart: fails", &restarted, Bound::AtLeast(1.0)),
            Measure::rate("nothing read: inconclusive", &unseen, Bound::AtLeast(1.0)),
            Measure::rate("3,600 requests: inconclusive", &short, Bound::AtLeast(1.0)),
        ]
    },
};

/// How a run is made.
#[derive(Clone, Copy)]
struct Setting {
    duration_s: f64,
    restarts: bool,
    seen: bool,
}

/// Time for four times the planned run, and a silence.
const SETTING: Setting = Setting {
    duration_s: 4_445.0,
    restarts: false,
    seen: true,
};

fn says_leak(finding: &Finding) -> bool {
    finding.title.starts_with(&format!("{WORK} leaks "))
}

fn findings(effort: Effort, shape: Shape) -> Vec<Finding> {
    effort.each(200, |seed| finding(seed, shape, &SETTING))
}

fn driven(seed: u64, shape: Shape, setting: &Setting) -> Driven {
    let noise = noise(seed, 0.8, READINGS * 6);
    let mut before = 0.0;
    let mut monitor = |phase: &PhaseResult| {
        let read = readings(phase, before, setting, &|k, x| {
            BASELINE_BYTES * (1.0 + (shape(seed, x) + 0.3 * noise[k % noise.len()]) / 100.0)
        });
        before += phase.samples.len() as f64;
        read
    };
    let drive = Drive {
        surface: &one_endpoint(),
        budget: Budget::Thorough,
        seed,
        monitor: &mut monitor,
    };
    let params = json!({ "rate": RATE, "duration_s": setting.duration_s, "limit_mib": 1_600.0 });
    drive.run(&[("leak", params)], Quick)
}

/// What the experiment says.
fn finding(seed: u64, shape: Shape, setting: &Setting) -> Finding {
    driven(seed, shape, setting)
        .finding("memory-growth")
        .cloned()
        .expect("the experiment has one finding")
}

/// Readings as often as the planned run needs, with the level after the requests answered until then.
fn readings(
    phase: &PhaseResult,
    before: f64,
    setting: &Setting,
    level: &dyn Fn(usize, f64) -> f64,
) -> Vec<Reading> {
    if !setting.seen {
        return Vec::new();
    }
    let every = Nanos::from_secs_f64(REQUESTS / RATE / READINGS as f64);
    let (from, to) = (phase.summary.started, phase.summary.ended);
    let mut all = Vec::new();
    let mut at = from;
    while at <= to {
        let done = before + phase.samples.iter().filter(|s| s.done <= at).count() as f64;
        let index = (at.0 / every.0) as usize;
        let started = if setting.restarts && done > 0.5 * REQUESTS {
            900.0
        } else {
            5.0
        };
        for (monitor, value, is) in [
            ("memory", "pss_bytes", level(index, done)),
            ("process", "started_s", started),
        ] {
            all.push(Reading {
                at,
                monitor: monitor.to_owned(),
                values: BTreeMap::from([(value.to_owned(), is)]),
            });
        }
        at += every;
    }
    all
}

/// Answers in a millisecond.
struct Quick;

impl Scripted for Quick {
    fn take(&mut self, now: Nanos, _: &[u8]) -> (Cow<'static, [u8]>, Nanos) {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        (Cow::Borrowed(answer), now + Nanos(1_000_000))
    }
}
