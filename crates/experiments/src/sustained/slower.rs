//! Whose doing is it that answers became slower: the target's, or that of a machine which others began to use? Judges a load that is
//! known to have become slower. It must not know what the load was.

use prony_model::{Nanos, PhaseResult, Sample, Source};
use prony_stats::mean;

use super::drift::{Drift, block_means, drift, stretches};
use crate::draft::Draft;
use crate::machine::Busier;
use crate::wording::{digits, ms};

/// What to do about it.
pub(super) const ADVICE: &str = "Repeat on a machine that nobody else uses meanwhile. If these programs belong to the target (an engine behind a \
     proxy, a database), the slow-down is the target's own: name the process that does the work with `--pid`.";

/// By how much responses must be longer while the machine was busier, for that to be a reason.
const SLOWER_MIN: f64 = 1.05;
/// Factor of the target's CPU time for a request from which on it became slower itself.
const COST_FACTOR: f64 = 1.25;
/// A rise so many times as large as what waits for a core can have brought about has another cause.
const UNEXPLAINED: f64 = 2.0;
/// Part of the target's capacity that a load is taken for where that is not known.
const LOAD_USUAL: f64 = 0.8;
/// The highest part that is believed: at the capacity itself any wait explains everything.
const LOAD_MAX: f64 = 0.95;

/// Whose doing it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cause {
    /// Nothing says that the target became slower by itself.
    Machine,
    /// It was not slower while the machine was busier.
    NotThen,
    /// It became slower while the machine was as free as at first, too.
    Meanwhile(Drift),
    /// A request came to cost the target so many times its CPU time.
    Cost(f64),
    /// Threads hardly waited longer for a core.
    NoWait,
}

/// A load that became slower on a machine that became busier.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Slower {
    /// The machine.
    pub machine: Busier,
    /// Mean response while the machine was as free as at first, and while it was busier, in ms.
    means_ms: (f64, f64),
    /// By which factor the waits for a core may have lengthened the mean response; infinite where they took so much that a queue grows.
    explained: f64,
    /// Whose doing it was.
    pub cause: Cause,
}

impl Slower {
    /// Of samples of a phase in order of intended start. `None` where the machine was equally busy all the while, or nobody saw.
    pub(super) fn of(phase: &PhaseResult, samples: &[&Sample], usual: &Usual) -> Option<Self> {
        let stretches = stretches(samples)?;
        let bounds = bounds(&stretches)?;
        let machine = Busier::of(phase, &bounds, samples)?;
        let means = block_means(&stretches);
        let of = |wanted: bool| {
            let these = means
                .iter()
                .zip(&machine.stretches)
                .filter(|(_, busy)| **busy == wanted);
            mean(&these.map(|(mean, _)| *mean).collect::<Vec<_>>())
        };
        let (quiet_ms, busy_ms) = (of(false), of(true));
        let explained = if machine.sees_target {
            usual.lengthened(quiet_ms, machine.wait_rise_ms())
        } else {
            1.0 + machine.wait_rise_ms() / quiet_ms
        };
        let meanwhile = || {
            let (from, to) = longest_quiet(&machine.stretches);
            let within = |s: &&&Sample| s.intended >= bounds[from] && s.intended < bounds[to];
            let these: Vec<&Sample> = samples.iter().filter(within).copied().collect();
            drift(&these).filter(Drift::degrades)
        };
        let cause = if busy_ms < SLOWER_MIN * quiet_ms {
            Cause::NotThen
        } else if let Some(found) = meanwhile() {
            Cause::Meanwhile(found)
        } else if let Some(factor) = cost(&machine) {
            Cause::Cost(factor)
        } else if busy_ms / quiet_ms - 1.0 > UNEXPLAINED * (explained - 1.0) {
            Cause::NoWait
        } else {
            Cause::Machine
        };
        Some(Self {
            machine,
            means_ms: (quiet_ms, busy_ms),
            explained,
            cause,
        })
    }
}

/// What was known of the target before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usual {
    /// Which part of its capacity is asked for.
    pub load: Option<f64>,
    /// What a request alone takes, in ms.
    pub alone_ms: Option<f64>,
}

impl Usual {
    /// By which factor a mean response grows when the work of each request takes longer by so much: as that of a single server with
    /// exponential times, where it counts the most. Infinite when it can no longer take the load.
    fn lengthened(&self, mean_ms: f64, by_ms: f64) -> f64 {
        let load = self.load.unwrap_or(LOAD_USUAL).min(LOAD_MAX);
        let alone_ms = self.alone_ms.unwrap_or(mean_ms * (1.0 - load)).min(mean_ms);
        let longer = 1.0 + by_ms / alone_ms;
        let left = 1.0 - load * longer;
        if left > 0.0 {
            longer * (1.0 - load) / left
        } else {
            f64::INFINITY
        }
    }
}

/// By which factor a request came to cost the target more, where that matters.
fn cost(machine: &Busier) -> Option<f64> {
    machine.cost_factor().filter(|factor| *factor >= COST_FACTOR)
}

impl Slower {
    /// The figures it rests on.
    pub(super) fn evidence(&self, mut draft: Draft, source: &Source) -> Draft {
        let Busier {
            stretches,
            quiet,
            busy,
            ..
        } = &self.machine;
        let (quiet_ms, busy_ms) = self.means_ms;
        let busier = stretches.iter().filter(|busy| **busy).count();
        draft = draft
            .figure(
                "stretches on a busier machine",
                busier as f64,
                "",
                stretches.len(),
                source,
            )
            .figure(
                "mean response on a freer machine",
                quiet_ms,
                "ms",
                quiet.ended as usize,
                source,
            )
            .figure(
                "mean response on a busier machine",
                busy_ms,
                "ms",
                busy.ended as usize,
                source,
            );
        for (level, when) in [(quiet, "freer"), (busy, "busier")] {
            let mut figures = vec![("cores taken by the hypervisor", level.stolen(), "cores")];
            if self.machine.sees_target {
                figures.extend([
                    ("cores used by other programs", level.others(), "cores"),
                    (
                        "wait of the target's threads for a core per request",
                        level.target_wait_ms(),
                        "ms",
                    ),
                    ("CPU time of the target per request", level.target_cost_ms(), "ms"),
                ]);
            } else {
                figures.push((
                    "wait of Prony's threads for a core per request",
                    level.own_wait_ms(),
                    "ms",
                ));
            }
            for (label, value, unit) in figures {
                let label = format!("{label}, {when} machine");
                draft = draft.figure(&label, value, unit, level.ended as usize, source);
            }
        }
        draft
    }

    /// What happened, and why it is the machine's doing or not.
    pub(super) fn says(&self) -> String {
        let Busier { quiet, busy, .. } = &self.machine;
        let what = if self.machine.sees_target {
            format!(
                "programs that are neither Prony nor the target used {} cores instead of {}, and the hypervisor {} instead of {}",
                digits(busy.others()),
                digits(quiet.others()),
                digits(busy.stolen()),
                digits(quiet.stolen())
            )
        } else {
            format!(
                "Prony's own threads waited {} for a core for each request instead of {}, and the hypervisor took {} cores instead of {} (the \
                 target's process is not seen)",
                ms(busy.own_wait_ms()),
                ms(quiet.own_wait_ms()),
                digits(busy.stolen()),
                digits(quiet.stolen())
            )
        };
        let (quiet_ms, busy_ms) = self.means_ms;
        format!(
            "In {} of {} stretches {what}; there the mean response was {}, in the others {}. {}",
            self.machine.stretches.iter().filter(|busy| **busy).count(),
            self.machine.stretches.len(),
            ms(busy_ms),
            ms(quiet_ms),
            self.why()
        )
    }

    fn why(&self) -> String {
        let Busier { quiet, busy, .. } = &self.machine;
        let whose = if self.machine.sees_target {
            "the target's"
        } else {
            "our own"
        };
        let waited = ms(self.machine.wait_rise_ms());
        let costs = || {
            format!(
                "{} of CPU time instead of {}",
                ms(busy.target_cost_ms()),
                ms(quiet.target_cost_ms())
            )
        };
        match self.cause {
            Cause::NotThen => {
                "So it was not slower while the machine was busier: that does not explain the change."
                    .to_owned()
            }
            Cause::Meanwhile(found) => format!(
                "It became slower without that, too: by {} % of its mean (95 % interval {} % to {} %) while the machine was as free as at \
                 first.",
                digits(100.0 * found.change),
                digits(100.0 * found.interval.0),
                digits(100.0 * found.interval.1)
            ),
            Cause::Cost(factor) => format!(
                "But a request came to cost the target {}, {} times what the machine explains: that is its own doing.",
                costs(),
                digits(factor)
            ),
            Cause::NoWait => format!(
                "But {whose} threads waited only {waited} longer for a core for each request, which makes a mean response longer by a factor of \
                 {} at most.",
                digits(self.explained)
            ),
            Cause::Machine => format!(
                "For each request {whose} threads waited {waited} longer for a core, which is enough to explain the change{}. Nothing says \
                 that the target became slower by itself.",
                match self.machine.cost_factor() {
                    Some(_) => format!("; it cost the target {}", costs()),
                    None => String::new(),
                }
            ),
        }
    }
}

/// When each stretch begins, and when the last one ends; `None` where one has no length.
fn bounds(stretches: &[Vec<&Sample>]) -> Option<Vec<Nanos>> {
    let mut bounds: Vec<Nanos> = stretches.iter().map(|s| s[0].intended).collect();
    bounds.push(stretches.last()?.last()?.intended);
    bounds.windows(2).all(|pair| pair[0] < pair[1]).then_some(bounds)
}

/// The longest row of stretches in which the machine was as free as at first, as the bounds of its beginning and its end. One just before
/// a busy stretch is left out: the change may have come within it.
fn longest_quiet(busy: &[bool]) -> (usize, usize) {
    let mut longest = (0, 0);
    let mut from = 0;
    for (i, is_busy) in busy.iter().copied().chain([true]).enumerate() {
        if is_busy {
            let to = if i < busy.len() {
                i.saturating_sub(1).max(from)
            } else {
                i
            };
            if to - from > longest.1 - longest.0 {
                longest = (from, to);
            }
            from = i + 1;
        }
    }
    longest
}
