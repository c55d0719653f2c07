//! How many requests are served at once? The ladder against servers with so many slots.

use prony_model::{Budget, Evidence, Finding};
use serde_json::json;

use crate::drive::Drive;
use crate::effort::Effort;
use crate::measure::{Bound, Case, Kind, Measure};
use crate::slots::{Slots, log_normal, surface};

/// Mean work of a request, in ms.
const WORK_MS: f64 = 20.0;
/// Of every request, in ms.
const PATH_MS: f64 = 0.3;
/// Time that a ladder of a standard run may take, in s.
const LADDER_S: f64 = 35.0;
/// Coefficients of variation of the work.
const VARIATIONS: [f64; 3] = [0.0, 0.1, 0.5];

pub(super) const SERVED: Case = Case {
    question: "parallelism",
    criterion: "The number really served at once is within 15 % of the number of slots in at least 90 % of ladders, each of which keeps to its \
                35 s.",
    remark: "",
    run: |effort| {
        let mut measures = Vec::new();
        for slots in [1, 2, 4, 8, 16] {
            for variation in VARIATIONS {
                let ladders = ladders(effort, 100, Budget::Standard, slots, variation);
                let name = format!("{slots} slots, work varying by {:.0} %", 100.0 * variation);
                let near: Vec<bool> = ladders
                    .iter()
                    .map(|ladder| (served(&ladder.finding) / slots as f64 - 1.0).abs() <= 0.15)
                    .collect();
                measures.push(
                    Measure::rate(format!("{name}: within 15 %"), &near, Bound::AtLeast(0.9))
                        .counts(Kind::Accuracy),
                );
                let in_time: Vec<bool> = ladders.iter().map(|ladder| ladder.spent_s <= LADDER_S).collect();
                measures.push(
                    Measure::rate(format!("{name}: within its time"), &in_time, Bound::AtLeast(1.0))
                        .counts(Kind::Promise),
                );
            }
        }
        measures
    },
};

pub(super) const SERIAL: Case = Case {
    question: "parallelism",
    criterion: "A target that serves one at a time is called parallel in at most 2 % of quick ladders.",
    remark: "",
    run: |effort| {
        VARIATIONS
            .iter()
            .map(|&variation| {
                let parallel: Vec<bool> = ladders(effort, 200, Budget::Quick, 1, variation)
                    .iter()
                    .map(|ladder| ladder.finding.title.contains("truly serves"))
                    .collect();
                Measure::rate(
                    format!(
                        "one slot, work varying by {:.0} %: called parallel",
                        100.0 * variation
                    ),
                    &parallel,
                    Bound::AtMost(0.02),
                )
            })
            .collect()
    },
};

/// What a ladder said, and how long it took.
struct Laddered {
    finding: Finding,
    spent_s: f64,
}

/// So many ladders.
fn ladders(effort: Effort, runs: u64, budget: Budget, slots: usize, variation: f64) -> Vec<Laddered> {
    let surface = surface();
    let log_sd = (1.0 + variation * variation).ln().sqrt();
    effort.each(runs, |seed| {
        let server = Slots::new(slots, PATH_MS, seed, move |_, rng| {
            WORK_MS * log_normal(rng, log_sd)
        });
        let driven = Drive {
            surface: &surface,
            budget,
            seed,
            monitor: &mut |_| Vec::new(),
        }
        .run(
            &[
                ("coverage", json!({})),
                ("client-floor", json!({})),
                ("baseline", json!({})),
                ("ladder", json!({"probe_health": false})),
            ],
            server,
        );
        let of_ladder = driven.phases.iter().filter(|p| p.phase.experiment == "ladder");
        Laddered {
            finding: driven
                .finding("serial-service")
                .expect("the ladder says something")
                .clone(),
            spent_s: of_ladder
                .map(|p| (p.summary.ended - p.summary.started).as_secs_f64())
                .sum(),
        }
    })
}

fn served(finding: &Finding) -> f64 {
    let figure = finding.evidence.iter().find_map(|e| match e {
        Evidence::Figure(f) if f.label == "requests really served at once" => Some(f.value),
        _ => None,
    });
    figure.unwrap_or(f64::NAN)
}
