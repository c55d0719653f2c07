//! Is the first call slower than the rest? The first request to each endpoint, from the preflight or from finding out what it takes,
//! against the same endpoint's baseline. It sends nothing itself, and must not claim a cause: one observation cannot show one.

use prony_model::{Budget, EarlyCalls, Finding, Outcome, PhaseResult, Sample, Severity, Source, Verdict};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::draft::{Draft, source};
use crate::experiment::params;
use crate::machine;
use crate::timings::Timings;
use crate::wording::{digits, ms, resting_on};
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};

const NAME: &str = "first-call";

/// What waiting for a core may add to a call where programs use all of them, in ms: scheduling stalls of some hundred ms were seen.
const WAIT_MS_MAX: f64 = 1000.0;

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "First call",
    question: "Is the first call slower than the rest?",
    from_budget: Budget::Quick,
    basis: Basis::Times,
    needs: &["coverage", "baseline"],
    time: Time::None,
    build: |_, value| {
        let asked: FirstCallParams = params(value)?;
        Ok(Box::new(FirstCall { rule: asked }))
    },
    schema: || schema_for!(FirstCallParams),
    example: "[experiment.first-call]\nratio = 3\nexcess_ms = 20\nfail_ms = 500\n",
};

/// Parameters of the first-call experiment.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FirstCallParams {
    /// A first call counts as slow from so many times the steady median on.
    pub ratio: f64,
    /// And when it takes so many ms longer than the slowest steady call.
    pub excess_ms: f64,
    /// From so many ms more than the steady median on it is worth a warning. Less is told and no more: most servers make something at
    /// their first call.
    pub warn_ms: f64,
    /// From so many ms more than the steady median on it is a fault: a person notices, and a client with a short timeout gives up.
    pub fail_ms: f64,
    /// Steady calls needed to judge.
    pub steady_calls: usize,
}

impl Default for FirstCallParams {
    fn default() -> Self {
        Self {
            ratio: 3.0,
            excess_ms: 20.0,
            warn_ms: 100.0,
            fail_ms: 500.0,
            steady_calls: 20,
        }
    }
}

struct FirstCall {
    rule: FirstCallParams,
}

/// How much a slow first call matters, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// No operator would act on it.
    Small,
    Notable,
    Fault,
}

/// The first call of one endpoint beside its steady ones.
struct Pair<'a> {
    endpoint: &'a str,
    /// The first of the preflight.
    first: &'a Sample,
    /// The calls before the run, by which it was found out what the endpoint takes.
    early: Option<EarlyCalls>,
    /// What the first call took: that of the preflight, or the slowest before the run where it took longer.
    first_ms: f64,
    median_ms: f64,
    slowest_ms: f64,
    /// Median of the first calls with other inputs, which came after it; `None` when there was only one input.
    other_inputs_ms: Option<f64>,
    n: usize,
    baseline: &'a PhaseResult,
}

impl Pair<'_> {
    fn ratio(&self) -> f64 {
        self.first_ms / self.median_ms
    }

    /// Whether the slow call was one before the run.
    fn was_early(&self) -> bool {
        let own_ms = self.first.service().as_millis_f64();
        self.early.is_some_and(|early| early.slowest_ms > own_ms)
    }

    /// Whether that call was the first exchange of all, so that reaching the target may be what took so long.
    fn may_be_the_way(&self) -> bool {
        self.was_early() && self.early.is_some_and(|early| early.holds_first)
    }

    /// How much the difference matters. A call before the run is no fault however long it took: it may have sent what the endpoint does
    /// not take, and no monitor ran beside it.
    fn weight(&self, rule: &FirstCallParams) -> Weight {
        let more_ms = self.first_ms - self.median_ms;
        if more_ms >= rule.fail_ms && !self.was_early() {
            Weight::Fault
        } else if more_ms >= rule.warn_ms {
            Weight::Notable
        } else {
            Weight::Small
        }
    }

    /// Whether a time is far above the steady ones.
    fn is_slow(&self, time_ms: f64, rule: &FirstCallParams) -> bool {
        time_ms >= rule.ratio * self.median_ms && time_ms - self.slowest_ms > rule.excess_ms
    }

    /// Whether only the very first call was slow, and not the first call with every input.
    fn is_penalty(&self, rule: &FirstCallParams) -> bool {
        let alone = self
            .other_inputs_ms
            .is_none_or(|other| self.first_ms >= rule.ratio * other);
        alone && self.is_slow(self.first_ms, rule)
    }

    /// Whether no core was free meanwhile, and it took so little longer that it may have waited for one.
    fn may_have_waited(&self, preflight: &PhaseResult) -> bool {
        !self.was_early()
            && self.first_ms - self.median_ms <= WAIT_MS_MAX
            && machine::was_full(preflight, self.first.sent, self.first.done) == Some(true)
    }

    /// Whether the first call with each input was slow: later answers look cached.
    fn is_cached(&self, rule: &FirstCallParams) -> bool {
        self.other_inputs_ms
            .is_some_and(|other| self.is_slow(other, rule))
    }
}

impl Experiment for FirstCall {
    fn next(&mut self, _: &RunView<'_>) -> Step {
        Step::Done
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let Some(preflight) = run.phase("coverage", "preflight") else {
            return vec![undecided(
                "The first calls were not recorded: the coverage experiment did not run",
            )];
        };
        let pairs: Vec<Pair<'_>> = run
            .of("baseline")
            .filter_map(|b| self.pair(run, preflight, b))
            .collect();
        if pairs.is_empty() {
            return vec![undecided(
                "No endpoint has a good first call and enough steady calls to compare it with",
            )];
        }
        let mut slowest: Vec<&Pair<'_>> = pairs.iter().filter(|p| p.is_penalty(&self.rule)).collect();
        let weight = |pair: &Pair<'_>| pair.weight(&self.rule);
        slowest.sort_by(|a, b| {
            let heavier = weight(b).cmp(&weight(a));
            heavier.then(b.first_ms.total_cmp(&a.first_ms))
        });
        let (small, heavy): (Vec<_>, Vec<_>) = slowest
            .into_iter()
            .partition(|pair| weight(pair) == Weight::Small);
        let (held_up, heavy): (Vec<_>, Vec<_>) = heavy
            .into_iter()
            .partition(|pair| pair.may_be_the_way() || pair.may_have_waited(preflight));
        let mut rests_on: Vec<&PhaseResult> = pairs.iter().map(|p| p.baseline).collect();
        rests_on.push(preflight);
        let finding = match (heavy.first(), held_up.first(), small.first()) {
            (Some(worst), _, _) => {
                let of_all = weight(worst);
                let alike = heavy.iter().filter(|pair| weight(pair) == of_all).count();
                penalty(worst, of_all, alike, &pairs, preflight)
            }
            (None, Some(worst), _) => unsure(worst, &pairs, preflight),
            (None, None, Some(worst)) => small_penalty(worst, &pairs, preflight),
            (None, None, None) => no_penalty(&pairs, preflight),
        };
        let cached = pairs
            .iter()
            .filter(|p| p.is_cached(&self.rule))
            .map(|p| cached(p, preflight));
        std::iter::once(finding)
            .chain(cached)
            .map(|f| resting_on(f, &rests_on))
            .collect()
    }
}

impl FirstCall {
    fn pair<'a>(
        &self,
        run: &RunView<'_>,
        preflight: &'a PhaseResult,
        baseline: &'a PhaseResult,
    ) -> Option<Pair<'a>> {
        let endpoint = baseline.phase.name.as_str();
        let first = Timings::of(preflight, endpoint)
            .samples()
            .find(|s| !s.outcome.is_own())?;
        if first.outcome != Outcome::Ok {
            return None;
        }
        let times = Timings::of(baseline, endpoint);
        let steady = times.service_ms();
        if steady.len() < self.rule.steady_calls {
            return None;
        }
        // The same input must also be fast later: a first call may be slow because its input is large.
        let request = &preflight.phase.scenarios[first.scenario as usize]
            .items
            .get(first.item as usize)?
            .request;
        let items = &baseline.phase.scenarios[0].items;
        let mut same: Vec<f64> = times
            .good()
            .filter(|s| items.get(s.item as usize).is_some_and(|i| i.request == *request))
            .map(|s| s.service().as_millis_f64())
            .collect();
        let median_ms = prony_stats::median(&mut steady.clone());
        let median_ms = if same.is_empty() {
            median_ms
        } else {
            median_ms.max(prony_stats::median(&mut same))
        };
        let mut others: Vec<f64> = Timings::of(preflight, endpoint)
            .good()
            .filter(|s| s.item != first.item)
            .map(|s| s.service().as_millis_f64())
            .collect();
        let own_ms = first.service().as_millis_f64();
        // Where the preflight's own call is a fault, no other is needed.
        let is_fault = own_ms - median_ms >= self.rule.fail_ms;
        let early = run.surface.called.get(endpoint).copied().filter(|_| !is_fault);
        Some(Pair {
            other_inputs_ms: (!others.is_empty()).then(|| prony_stats::median(&mut others)),
            endpoint,
            first,
            early,
            first_ms: early.map_or(own_ms, |early| own_ms.max(early.slowest_ms)),
            median_ms,
            slowest_ms: steady.iter().copied().fold(0.0, f64::max),
            n: steady.len(),
            baseline,
        })
    }
}

fn undecided(why: &str) -> Finding {
    Draft::new(NAME, "first-call-penalty", "")
        .verdict(Verdict::Inconclusive, Severity::Info)
        .advisory()
        .title(why)
        .advice(
            "Run coverage and baseline before, and give the baseline time for 20 requests per endpoint.",
            "",
        )
        .done()
}

fn no_penalty(pairs: &[Pair<'_>], preflight: &PhaseResult) -> Finding {
    Draft::new(NAME, "first-call-penalty", "")
        .title("No first call was much slower than the rest")
        .detail(format!(
            "{} The target may have been warm already: restart it and repeat to learn about a cold start.",
            compared(pairs)
        ))
        .table(
            "First call against steady calls",
            &COLUMNS,
            pairs.iter().map(row).collect(),
            &source(preflight, ""),
        )
        .done()
}

/// What is compared.
fn compared(pairs: &[Pair<'_>]) -> String {
    let early = if pairs.iter().any(|pair| pair.early.is_some()) {
        " Some endpoints were called before the preflight, to find out what they take: for these the slowest of those calls counts, \
         where it took longer."
    } else {
        ""
    };
    format!("The first request of the preflight to each endpoint is compared with its steady calls.{early}")
}

/// A first call that took longer, and not by so much that anybody would act on it.
fn small_penalty(worst: &Pair<'_>, all: &[Pair<'_>], preflight: &PhaseResult) -> Finding {
    Draft::new(NAME, "first-call-penalty", worst.endpoint)
        .advisory()
        .title(format!(
            "The first call of {} took {} in place of {}: little enough to leave it so",
            worst.endpoint,
            ms(worst.first_ms),
            ms(worst.median_ms)
        ))
        .detail(format!(
            "{} Most servers make something at their first call: a pool of threads, a cache, a library that is read.",
            compared(all)
        ))
        .figure("first call", worst.first_ms, "ms", 1, &first_source(worst, preflight))
        .figure(
            "median of the later calls",
            worst.median_ms,
            "ms",
            worst.n,
            &source(worst.baseline, worst.endpoint),
        )
        .table("First call against steady calls", &COLUMNS, all.iter().map(row).collect(), &source(preflight, ""))
        .done()
}

/// Where the time of the first call comes from.
fn first_source(pair: &Pair<'_>, preflight: &PhaseResult) -> Source {
    if pair.was_early() {
        Source {
            phase: None,
            scenario: pair.endpoint.to_owned(),
        }
    } else {
        source(preflight, pair.endpoint)
    }
}

/// A slow first call that something else than the target may explain.
fn unsure(worst: &Pair<'_>, all: &[Pair<'_>], preflight: &PhaseResult) -> Finding {
    let evidence = first_source(worst, preflight);
    let (but, why, advice) = if worst.may_be_the_way() {
        (
            "it was the first exchange of all",
            "It came before the run, by the address given, and its time also holds what is done once to reach the target, such as \
             resolving its name.",
            "Restart the target and repeat with another address of it, such as its root.",
        )
    } else {
        (
            "no core of the machine was free",
            "Other programs used all cores meanwhile, or the hypervisor took them: the call may have waited for one. So may those of \
             other endpoints that the table shows as slow.",
            "Restart the target and repeat while nothing else runs on the machine.",
        )
    };
    Draft::new(NAME, "first-call-penalty", worst.endpoint)
        .verdict(Verdict::Inconclusive, Severity::Info)
        .advisory()
        .title(format!(
            "The first call of {} took {} in place of {}, but {but}",
            worst.endpoint,
            ms(worst.first_ms),
            ms(worst.median_ms)
        ))
        .detail(why)
        .figure("first call", worst.first_ms, "ms", 1, &evidence)
        .figure(
            "median of the later calls",
            worst.median_ms,
            "ms",
            worst.n,
            &source(worst.baseline, worst.endpoint),
        )
        .table(
            "First call against steady calls",
            &COLUMNS,
            all.iter().map(row).collect(),
            &evidence,
        )
        .advice(advice, "")
        .done()
}

/// Not a fault: but the steady times are those of repeated inputs.
fn cached(pair: &Pair<'_>, preflight: &PhaseResult) -> Finding {
    let other = pair.other_inputs_ms.unwrap_or(pair.first_ms);
    let evidence = source(preflight, pair.endpoint);
    Draft::new(NAME, "repeated-inputs-faster", pair.endpoint)
        .advisory()
        .title(format!(
            "{} answers an input {} times faster when it has seen it before",
            pair.endpoint,
            digits(other / pair.median_ms)
        ))
        .detail(format!(
            "The first call with each input took about {}, later calls with the same inputs {}. This looks like a cache. The \
             times measured under load are those of repeated inputs; new inputs take longer.",
            ms(other),
            ms(pair.median_ms)
        ))
        .figure("first call with another input, median", other, "ms", 1, &evidence)
        .figure(
            "median of the later calls",
            pair.median_ms,
            "ms",
            pair.n,
            &source(pair.baseline, pair.endpoint),
        )
        .done()
}

/// A first call that took much longer; so did those of so many endpoints, by the like.
fn penalty(
    worst: &Pair<'_>,
    weight: Weight,
    alike: usize,
    all: &[Pair<'_>],
    preflight: &PhaseResult,
) -> Finding {
    let others = match alike {
        1 => String::new(),
        n => format!("; {} other endpoints show the same", n - 1),
    };
    let early = worst.early.filter(|_| worst.was_early());
    let which = early.map_or_else(
        || "The time to connect is not in it.".to_owned(),
        |early| {
            format!(
                "It was one of {} calls before the run, by which it was found out what the endpoint takes; the fastest exchange of \
                 that time is taken off for connecting and the way.",
                early.calls
            )
        },
    );
    let first_of_all = if worst.first.seq == 0 && early.is_none() {
        " It was also the first measured request to any endpoint."
    } else {
        ""
    };
    let endpoint = if alike == 1 { worst.endpoint } else { "" };
    let evidence = first_source(worst, preflight);
    let draft = Draft::new(NAME, "first-call-penalty", endpoint);
    let draft = if weight == Weight::Fault {
        draft.verdict(Verdict::Fail, Severity::Medium)
    } else {
        draft.verdict(Verdict::Warn, Severity::Low).advisory()
    };
    draft
        .title(format!(
            "The first call of {} took {}, {} times the usual {}{others}",
            worst.endpoint,
            ms(worst.first_ms),
            digits(worst.ratio()),
            ms(worst.median_ms)
        ))
        .detail(format!(
            "{which} The slowest of {} later calls took {}; were the first one like the others, it would \
             be the slowest with a chance of 1 in {}.{first_of_all} One first call cannot show the cause: it is consistent with a \
             model or a library that is loaded at first use. Restart the target and repeat to confirm.",
            worst.n,
            ms(worst.slowest_ms),
            worst.n + 1
        ))
        .figure("first call", worst.first_ms, "ms", 1, &evidence)
        .figure("median of the later calls", worst.median_ms, "ms", worst.n, &source(worst.baseline, worst.endpoint))
        .figure("first over median", worst.ratio(), "ratio", worst.n + 1, &evidence)
        .table("First call against steady calls", &COLUMNS, all.iter().map(row).collect(), &source(preflight, ""))
        .advice(
            "Load models and warm up before the server says that it is ready; keep the first call out of averages.",
            &format!("{} / {} = {}", ms(worst.first_ms), ms(worst.median_ms), digits(worst.ratio())),
        )
        .done()
}

const COLUMNS: [&str; 7] = [
    "Endpoint",
    "Calls before the run",
    "First, ms",
    "Steady median, ms",
    "Steady slowest, ms",
    "Steady calls",
    "Ratio",
];

fn row(pair: &Pair<'_>) -> Vec<String> {
    vec![
        pair.endpoint.to_owned(),
        pair.early.map_or(0, |early| early.calls).to_string(),
        digits(pair.first_ms),
        digits(pair.median_ms),
        digits(pair.slowest_ms),
        pair.n.to_string(),
        digits(pair.ratio()),
    ]
}
