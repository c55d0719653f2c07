//! The experiment against platforms drawn at random: the cause it names, the times it measures, the plan it makes.

use prony_model::{Budget, Evidence, Finding, Verdict};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use super::platform::{Platform, Setting, Truth};
use crate::drive::{Drive, Driven};
use crate::measure::{Bound, Case, Kind, Measure};
use crate::surface::one_endpoint;

/// Requests of the burst.
const BURST: u32 = 24;
/// Share of the failures of a burst that its cause must have, for the draw to have one.
const CLEAR: f64 = 0.75;

pub(in crate::cases) const CAUSES: Case = Case {
    question: "cold-start",
    criterion: "Of 100 platforms drawn at random (start, request, warm workers, cap, patience; times vary by 5 %), a quarter of them \
                for each cause, the cause of the failures is named rightly in at least 95 %; the time of a request is within 10 %, and \
                that of a start where it can be seen; where a start or the cap is the cause, at most 1 % of the requests of 100 such \
                bursts give up with as many warm workers as the finding says.",
    remark: "",
    run: |effort| {
        let drawn = effort.each(100, judge);
        let right: Vec<bool> = drawn.iter().map(|d| d.named == Some(d.truth)).collect();
        let mut measures = vec![Measure::rate("cause named rightly", &right, Bound::AtLeast(0.95))];
        for (truth, name) in [
            (Truth::Cold, "start"),
            (Truth::Cap, "cap"),
            (Truth::Imbalance, "imbalance"),
            (Truth::Execution, "the work itself"),
        ] {
            let of: Vec<bool> = drawn
                .iter()
                .filter(|d| d.truth == truth)
                .map(|d| d.named == Some(truth))
                .collect();
            measures.push(Measure::rate(
                format!("cause {name}: named"),
                &of,
                Bound::AtLeast(0.80),
            ));
        }
        let within = |off: fn(&Judged) -> Option<f64>| -> Vec<bool> {
            drawn
                .iter()
                .filter_map(off)
                .map(|off| off.abs() <= 0.10)
                .collect()
        };
        measures.push(
            Measure::rate(
                "time of a request within 10 %",
                &within(|d| d.service_off),
                Bound::AtLeast(0.95),
            )
            .counts(Kind::Accuracy),
        );
        measures.push(
            Measure::rate(
                "time of a start within 10 %",
                &within(|d| d.start_off),
                Bound::AtLeast(0.95),
            )
            .counts(Kind::Accuracy),
        );
        // No number of workers mends requests that are dealt out at random.
        let kept: Vec<bool> = drawn
            .iter()
            .filter(|d| matches!(d.truth, Truth::Cold | Truth::Cap))
            .filter_map(|d| d.late)
            .map(|late| late <= 0.01)
            .collect();
        measures.push(
            Measure::rate(
                "as many warm workers as advised: at most 1 % give up",
                &kept,
                Bound::AtLeast(1.0),
            )
            .counts(Kind::Accuracy),
        );
        measures
    },
};

/// One platform and what was said of it.
struct Judged {
    truth: Truth,
    named: Option<Truth>,
    service_off: Option<f64>,
    start_off: Option<f64>,
    /// Share that gives up with the advised number of warm workers.
    late: Option<f64>,
}

fn judge(seed: u64) -> Judged {
    let wanted = [Truth::Cold, Truth::Cap, Truth::Imbalance, Truth::Execution][(seed % 4) as usize];
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    loop {
        let setting = draw(wanted, &mut rng);
        let platform_seed = rng.random();
        let (driven, failures) = drive(setting, seed, platform_seed);
        let of_burst = failures.iter().filter(|t| **t == wanted).count() as f64;
        if failures.is_empty() || of_burst < CLEAR * failures.len() as f64 {
            continue;
        }
        let Some(finding) = driven.finding("burst-after-idleness") else {
            continue;
        };
        let figure = |label: &str| figure(finding, label);
        let off = |label: &str, truth: f64| figure(label).map(|ms| ms / 1_000.0 / truth - 1.0);
        return Judged {
            truth: wanted,
            named: named(finding),
            service_off: off("warm request, median", setting.service_s),
            start_off: off("start of a worker", setting.start_s),
            late: figure("warm workers needed").map(|needed| late(setting, needed as usize, seed)),
        };
    }
}

/// A platform that may fail for that cause; times of a client that waits for half a minute.
fn draw(wanted: Truth, rng: &mut ChaCha8Rng) -> Setting {
    let service_s: f64 = rng.random_range(0.3..2.0);
    let patience_s: f64 = rng.random_range(6.0..20.0);
    let each = (patience_s / service_s).floor() as usize + 1;
    let base = Setting {
        start_s: rng.random_range(0.3..0.95) * patience_s,
        service_s,
        variation: 0.05,
        warm: 0,
        cap: rng.random_range(1..=16),
        patience_s,
        idle_s: 60.0,
        at_random: false,
        endless_every: 0,
    };
    match wanted {
        Truth::Cold => Setting {
            warm: rng.random_range(0..=2).min(base.cap),
            cap: (BURST as usize).div_ceil(each) + rng.random_range(1..=3),
            ..base
        },
        Truth::Cap => Setting {
            warm: rng.random_range(0..=base.cap),
            start_s: rng.random_range(0.1..0.6) * patience_s,
            ..base
        },
        Truth::Imbalance => Setting {
            warm: rng.random_range(3..=6),
            cap: 6,
            service_s: rng.random_range(0.15..0.4) * patience_s,
            at_random: true,
            ..base
        },
        Truth::Execution => Setting {
            warm: BURST as usize,
            cap: BURST as usize,
            endless_every: rng.random_range(3..=8),
            ..base
        },
    }
}

/// The experiment against the platform, and the causes of the failures of its burst after idleness.
fn drive(setting: Setting, seed: u64, platform_seed: u64) -> (Driven, Vec<Truth>) {
    let (platform, failures) = Platform::new(setting, platform_seed);
    let counted = std::cell::Cell::new((0, 0));
    let surface = one_endpoint();
    let drive = Drive {
        surface: &surface,
        budget: Budget::Thorough,
        seed,
        monitor: &mut |phase| {
            // The failures so far, when the burst after idleness is over and before.
            let so_far = failures.lock().map_or(0, |f| f.len());
            let (_, end) = counted.get();
            if phase.phase.name.ends_with("after idleness") && phase.phase.name.starts_with("burst") {
                counted.set((end, so_far));
            } else if !phase.phase.name.starts_with("burst") {
                counted.set((0, so_far));
            }
            Vec::new()
        },
    };
    let params =
        json!({ "idle_s": 1.2 * setting.idle_s, "probes": 10, "sizes": [BURST], "duration_s": 3_600.0 });
    let driven = drive.run(&[("cold-start", params)], platform);
    let (from, to) = counted.get();
    let of_burst = failures
        .lock()
        .map_or_else(|_| Vec::new(), |f| f[from..to].to_vec());
    (driven, of_burst)
}

/// Share of the requests of 100 bursts after idleness that give up when so many workers stay warm.
fn late(setting: Setting, needed: usize, seed: u64) -> f64 {
    let setting = Setting {
        warm: needed,
        cap: setting.cap.max(needed),
        ..setting
    };
    let given_up: usize = (0..100_u64)
        .map(|k| {
            let (mut platform, failures) = Platform::new(setting, seed.wrapping_mul(1_000).wrapping_add(k));
            let at = prony_model::Nanos::from_secs_f64(10.0 * setting.idle_s);
            for _ in 0..BURST {
                let _ = prony_engine::Scripted::take(&mut platform, at, b"");
            }
            failures.lock().map_or(0, |f| f.len())
        })
        .sum();
    given_up as f64 / (100.0 * f64::from(BURST))
}

/// The cause that the finding names.
fn named(finding: &Finding) -> Option<Truth> {
    if finding.verdict != Verdict::Fail {
        return None;
    }
    [
        ("had not started yet", Truth::Cold),
        ("(cap)", Truth::Cap),
        ("(imbalance)", Truth::Imbalance),
        ("the work itself", Truth::Execution),
    ]
    .into_iter()
    .find(|(words, _)| finding.title.contains(words))
    .map(|(_, truth)| truth)
}

fn figure(finding: &Finding, label: &str) -> Option<f64> {
    finding.evidence.iter().find_map(|e| match e {
        Evidence::Figure(figure) if figure.label == label => Some(figure.value),
        _ => None,
    })
}
