//! The words for what the cold-start experiment found.

use prony_model::{Finding, PhaseResult, Severity, Source, Verdict};
use prony_stats::mean;
use prony_stats::mixture::{self, Kinds};
use prony_stats::{erlang, variance};

use super::cause::{Cause, at_work_max, cause};
use super::cost::{self, Prices};
use super::fleet::{Fitted, Fleet, Pace, fit};
use super::measure::{Burst, Probes, Warm, mean_with_interval, worker_header, workers_seen};
use super::retries::{POLICIES, play};
use super::{NAME, PROBES, WARM, bursts};
use crate::RunView;
use crate::draft::{Draft, source};
use crate::wording::{digits, ms, resting_on};

/// Variation of starts when too few were seen to measure it.
const START_VARIATION: f64 = 0.15;
/// Standard error of the time of a start, over it, above which it is not told.
const START_ERROR_MAX: f64 = 0.05;
/// Distance of a fitted fleet, in times of a request, beyond which it explains nothing.
const FIT_MAX: f64 = 0.35;
/// Share of arrivals that may wait longer than a request is given, in steady traffic.
const LATE_MAX: f64 = 0.01;

/// What to do about a limit on the rate.
const LIFT: &str = "Lift the rate limit for this client, or make the bursts smaller (`sizes`) and the silence longer (`idle_s`). The \
                    experiment rate-limit tells where it lies.";

/// The findings.
pub(super) fn findings(
    run: &RunView<'_>,
    idle_s: f64,
    timeout_s: f64,
    production_per_s: Option<f64>,
    prices: Option<Prices>,
) -> Vec<Finding> {
    let Some(phase) = run.phase(NAME, WARM) else {
        return vec![undecided(
            "",
            "No cold start was looked for: no endpoint gave a good answer before",
        )];
    };
    let endpoint = phase.phase.scenarios[0].name.clone();
    let phases: Vec<&PhaseResult> = run.of(NAME).collect();
    let Some(warm) = Warm::of(phase, &phases) else {
        let why = format!("Too few good answers of {endpoint} one after another to compare a start with");
        return vec![undecided(&endpoint, &why)];
    };
    let case = Case {
        run,
        endpoint: &endpoint,
        warm: &warm,
        probes: run.phase(NAME, PROBES).map(|p| (p, Probes::of(p, &warm))),
        header: worker_header(&phases),
        idle_s,
        timeout_s,
        production_per_s,
    };
    let mut findings = vec![resting_on(case.start(phase), &phases)];
    findings.extend(case.worst_burst().map(|f| resting_on(f, &phases)));
    if let Some(prices) = prices {
        findings.push(resting_on(case.cost(prices, phase), &phases));
    }
    findings
}

fn undecided(endpoint: &str, why: &str) -> Finding {
    Draft::new(NAME, NAME, endpoint)
        .verdict(Verdict::Inconclusive, Severity::Info)
        .advisory()
        .title(why)
        .advice(
            "Give it more time (`duration_s`), or name an endpoint that answers.",
            "",
        )
        .done()
}

/// All that the findings rest on.
struct Case<'a> {
    run: &'a RunView<'a>,
    endpoint: &'a str,
    warm: &'a Warm,
    probes: Option<(&'a PhaseResult, Probes)>,
    header: Option<String>,
    idle_s: f64,
    timeout_s: f64,
    production_per_s: Option<f64>,
}

/// What a start takes: in s, with its interval, and how many were seen.
type StartTime = (f64, Option<(f64, f64)>, usize);

/// One size of burst, after idleness and at once again.
struct Pair<'a> {
    size: u32,
    phase: &'a PhaseResult,
    idle: Burst,
    again: Burst,
    cause: Cause,
    fitted: Option<Fitted>,
    patience_s: f64,
}

fn s(seconds: f64) -> String {
    ms(1000.0 * seconds)
}

impl Case<'_> {
    /// What a start takes, from single requests after idleness.
    fn start(&self, warm_phase: &PhaseResult) -> Finding {
        let usual = self.warm.median_s();
        let draft = Draft::new(NAME, NAME, self.endpoint).advisory().figure(
            "warm request, median",
            1000.0 * usual,
            "ms",
            self.warm.times_s.len(),
            &source(warm_phase, self.endpoint),
        );
        let Some((phase, probes)) = &self.probes else {
            return draft
                .verdict(Verdict::Inconclusive, Severity::Info)
                .title(format!("No request to {} was sent after idleness", self.endpoint))
                .done();
        };
        let k = probes.times_s.len();
        let evidence = source(phase, self.endpoint);
        if k == 0 && 2 * probes.limited > probes.failed {
            return draft
                .verdict(Verdict::Inconclusive, Severity::Low)
                .title(format!(
                    "{} of {} requests to {} after {} of silence were refused for their rate (429), so nothing is said of a start",
                    probes.limited,
                    probes.failed,
                    self.endpoint,
                    s(self.idle_s)
                ))
                .advice(LIFT, "")
                .done();
        }
        if k == 0 {
            return draft
                .verdict(Verdict::Fail, Severity::High)
                .title(format!(
                    "None of {} requests to {} after {} of silence was answered well",
                    probes.failed,
                    self.endpoint,
                    s(self.idle_s)
                ))
                .figure(
                    "requests after idleness that failed",
                    probes.failed as f64,
                    "",
                    probes.failed,
                    &evidence,
                )
                .done();
        }
        // The largest of k values lies above the quantile p of their distribution with a probability of 95 % where p^k = 5 %.
        let bound = 100.0 * 0.05_f64.powf(1.0 / k as f64);
        let slowest = probes.times_s.iter().copied().fold(0.0, f64::max);
        let draft = draft
            .figure(
                "request after idleness, mean",
                1000.0 * mean(&probes.times_s),
                "ms",
                k,
                &evidence,
            )
            .figure(
                "request after idleness, slowest",
                1000.0 * slowest,
                "ms",
                k,
                &evidence,
            );
        let detail = format!(
            "{k} single requests, each after {} of silence, beside {} without; the slowest of {k} is an upper bound (95 %) of no \
             more than the p{bound:.0}. The time to connect (usually {}) does not count, unless it is far longer.",
            s(self.idle_s),
            self.warm.times_s.len(),
            s(self.warm.connect_s)
        );
        if probes.are_cold() {
            self.cold(draft, probes, &detail, &evidence)
        } else {
            self.no_slower(draft, probes, &detail)
        }
    }

    /// Requests after idleness wait for a start.
    fn cold(&self, draft: Draft, probes: &Probes, detail: &str, evidence: &Source) -> Finding {
        let k = probes.times_s.len();
        let (start, interval) = mean_with_interval(&probes.starts_s);
        let told = interval.map_or_else(String::new, |(low, high)| {
            format!(" (95 % CI {} to {})", s(low.max(0.0)), s(high))
        });
        let n = probes.starts_s.len();
        draft
            .verdict(Verdict::Warn, Severity::Medium)
            .title(format!(
                "A cold start of {} takes {}{told}: {n} of {k} requests after {} of silence had to wait for one",
                self.endpoint,
                s(start),
                s(self.idle_s)
            ))
            .detail(format!(
                "{detail} Slow requests are those after idleness: p = {}. {}",
                digits(probes.p),
                self.kinds(probes)
            ))
            .measured(
                "cold start",
                1000.0 * start,
                "ms",
                interval.map(|(low, high)| (1000.0 * low, 1000.0 * high)),
                n,
                evidence,
            )
            .advice(
                "Keep a worker warm (a minimum of one, or a request more often than the platform's idle time-out), or load the \
                 model into the image.",
                "",
            )
            .done()
    }

    /// They do not, as far as was tried.
    fn no_slower(&self, draft: Draft, probes: &Probes, detail: &str) -> Finding {
        let k = probes.times_s.len();
        let slowest = probes.times_s.iter().copied().fold(0.0, f64::max);
        let why = match probes.starts_s.len() {
            0 => "No request was slow.".to_owned(),
            n => format!(
                "{n} were slow, which chance explains (p = {}): two kinds of request, not a start.",
                digits(probes.p)
            ),
        };
        draft
            .title(format!(
                "{} is no slower after {} of silence; the slowest of {k} requests took {}",
                self.endpoint,
                s(self.idle_s),
                s(slowest)
            ))
            .detail(format!(
                "{detail} {why} A platform that stops its workers later than that was not tried: set `idle_s` to its idle \
                 time-out and a fifth more."
            ))
            .done()
    }

    /// Whether the times of all single requests are of two kinds, by their mixture.
    fn kinds(&self, probes: &Probes) -> String {
        let logs: Vec<f64> = self
            .warm
            .times_s
            .iter()
            .chain(&probes.times_s)
            .map(|t| t.max(1e-9).ln())
            .collect();
        match mixture::kinds(&logs) {
            Some(Kinds::Two) => "Their times are of two kinds (mixture of two log-normals).".to_owned(),
            Some(Kinds::SuspectedTwo) => {
                format!(
                    "Their times look like two kinds; {} are too few to be sure.",
                    logs.len()
                )
            }
            Some(Kinds::One) => "Their times alone do not show two kinds.".to_owned(),
            None => format!(
                "{} requests are too few to tell two kinds by their times alone (30).",
                logs.len()
            ),
        }
    }

    /// What workers cost by these prices.
    fn cost(&self, prices: Prices, warm_phase: &PhaseResult) -> Finding {
        let pairs = self.pairs();
        let worst = pairs.last();
        let start = worst.and_then(|pair| self.start_time(pair)).or_else(|| {
            let (_, probes) = self.probes.as_ref()?;
            let (start_s, interval) = mean_with_interval(&probes.starts_s);
            probes
                .are_cold()
                .then_some((start_s, interval, probes.starts_s.len()))
        });
        let times = cost::Times {
            service_s: mean(&self.warm.times_s),
            services: self.warm.times_s.len(),
            start_s: start.map(|(start_s, _, n)| (start_s, n)),
            idle_s: self.idle_s,
            warm_for: worst
                .filter(|pair| self.plans(pair))
                .map(|pair| (self.warm_needed(pair).0, pair.size as usize)),
        };
        cost::finding(self.endpoint, prices, times, &source(warm_phase, self.endpoint))
    }

    /// The burst with most failures; the largest when none failed.
    fn worst_burst(&self) -> Option<Finding> {
        let pairs = self.pairs();
        Some(self.burst(pairs.last()?, &pairs))
    }

    /// The bursts, that with most failures last, where those for a rate weigh least; the largest when none failed.
    fn pairs(&self) -> Vec<Pair<'_>> {
        let mut pairs: Vec<Pair<'_>> = bursts(self.run)
            .into_iter()
            .map(|(size, idle, again)| self.pair(size, idle, again))
            .collect();
        pairs.sort_by_key(|pair| {
            let failed = pair.idle.failed();
            (failed - pair.idle.limited, failed, pair.size)
        });
        pairs
    }

    fn pair<'p>(&self, size: u32, phase: &'p PhaseResult, again: &PhaseResult) -> Pair<'p> {
        let header = self.header.as_deref();
        let idle = Burst::of(phase, 1, header, self.warm);
        let again = Burst::of(again, 0, header, self.warm);
        let service_s = self.warm.median_s();
        let given_up = idle
            .patience_s(service_s, self.timeout_s)
            .or_else(|| again.patience_s(service_s, self.timeout_s));
        let patience_s = given_up.unwrap_or_else(|| (self.timeout_s - service_s).max(service_s));
        let at_once = at_work_max(&idle, service_s).max(at_work_max(&again, service_s));
        let fitted = fit(
            &idle.ends_s,
            idle.size,
            service_s,
            patience_s,
            at_once.round() as usize,
        )
        .filter(|fitted| fitted.error_s <= FIT_MAX * service_s);
        Pair {
            size,
            cause: cause(&idle, &again, (service_s, self.warm.variation()), self.timeout_s),
            phase,
            idle,
            again,
            fitted,
            patience_s,
        }
    }

    fn burst(&self, pair: &Pair<'_>, pairs: &[Pair<'_>]) -> Finding {
        let service_s = self.warm.median_s();
        let evidence = source(pair.phase, self.endpoint);
        let failed = pair.idle.failed();
        let (verdict, severity) = judged(&pair.idle, pair.cause, self.waits_longer(pair));
        let mut draft = Draft::new(NAME, "burst-after-idleness", self.endpoint)
            .verdict(verdict, severity)
            .title(self.title(pair))
            .detail(self.detail(pair))
            .figure(
                "requests without a good answer",
                failed as f64,
                "requests",
                pair.idle.size,
                &evidence,
            )
            .figure(
                "the same, at once again",
                pair.again.failed() as f64,
                "requests",
                pair.again.size,
                &evidence,
            )
            .figure(
                "warm request, median",
                1000.0 * service_s,
                "ms",
                self.warm.times_s.len(),
                &evidence,
            )
            .figure(
                "at work at once, most",
                at_work_max(&pair.idle, service_s).max(at_work_max(&pair.again, service_s)),
                "requests",
                pair.idle.ends_s.len(),
                &evidence,
            );
        if let Some((start_s, interval, n)) = self.start_time(pair) {
            let ends = interval.map(|(low, high)| (1000.0 * low, 1000.0 * high));
            draft = draft.measured("start of a worker", 1000.0 * start_s, "ms", ends, n, &evidence);
        }
        draft = draft.table(
            "Bursts",
            &COLUMNS,
            pairs.iter().map(|p| row(p, service_s)).collect(),
            &evidence,
        );
        let draft = match pair.cause {
            _ if self.plans(pair) => self.plan(draft, pair, &evidence),
            Cause::Limited => draft.advisory().advice(LIFT, ""),
            Cause::Imbalance => draft.advice(
                "Deal requests out to the worker that is free, from one queue, and not in turn or at random.",
                "",
            ),
            _ => draft,
        };
        draft.done()
    }

    /// Whether the burst after idleness waited longer than the same at once again.
    fn waits_longer(&self, pair: &Pair<'_>) -> bool {
        let service_s = self.warm.median_s();
        let slower = pair.idle.wait_s(service_s) - pair.again.wait_s(service_s);
        self.warm.is_slow(service_s + slower)
    }

    /// Whether warm workers, or more of them, would help.
    fn plans(&self, pair: &Pair<'_>) -> bool {
        match pair.cause {
            Cause::Cold => pair.idle.failed() > 0 || self.waits_longer(pair),
            Cause::Cap => pair.idle.failed() > 0,
            Cause::Imbalance | Cause::Execution | Cause::Limited => false,
        }
    }

    /// Time of a start: from single requests after idleness where they show one, else from the burst.
    fn start_time(&self, pair: &Pair<'_>) -> Option<StartTime> {
        if let Some((_, probes)) = &self.probes
            && probes.are_cold()
        {
            let (start, interval) = mean_with_interval(&probes.starts_s);
            return Some((start, interval, probes.starts_s.len()));
        }
        let fitted = pair
            .fitted
            .filter(|_| matches!(pair.cause, Cause::Cold | Cause::Cap))?;
        let is_sure = fitted.started > 0 && fitted.start_error(self.warm.variation()) <= START_ERROR_MAX;
        is_sure.then_some((fitted.fleet.start_s, None, fitted.started))
    }

    /// Workers that ever ran: as they name themselves, else as many as were at work at once.
    fn workers(&self, pair: &Pair<'_>) -> usize {
        let named = self
            .header
            .as_deref()
            .map_or(0, |h| workers_seen(&[pair.phase], h));
        let at_once = at_work_max(&pair.idle, self.warm.median_s())
            .max(at_work_max(&pair.again, self.warm.median_s()))
            .round() as usize;
        if named > 0 { named } else { at_once.max(1) }
    }

    fn title(&self, pair: &Pair<'_>) -> String {
        let (size, failed) = (pair.size, pair.idle.failed());
        let start = self
            .start_time(pair)
            .map_or_else(String::new, |(start_s, interval, _)| {
                let ends = interval.map_or_else(String::new, |(low, high)| {
                    format!(", 95 % CI {} to {}", s(low.max(0.0)), s(high))
                });
                format!(" (start {}{ends})", s(start_s))
            });
        let came = if pair.idle.dropped == 0 {
            "were refused after"
        } else {
            "got no good answer within"
        };
        let gave_up = format!(
            "{failed} of {size} requests to {} at once after idleness {came} {}",
            self.endpoint,
            s(pair.patience_s)
        );
        let workers = self.workers(pair);
        match (failed, pair.cause) {
            (_, Cause::Limited) => format!(
                "{} of {} requests to {} in bursts of {size} were refused for their rate (429), so nothing is said of its workers",
                pair.idle.limited + pair.again.limited,
                pair.idle.size + pair.again.size,
                self.endpoint
            ),
            (0, Cause::Cold) => format!(
                "A burst of {size} to {} waits {} longer after idleness, because workers must start{start}",
                self.endpoint,
                s(pair.idle.wait_s(self.warm.median_s()) - pair.again.wait_s(self.warm.median_s()))
            ),
            (0, Cause::Imbalance) => format!(
                "Of a burst of {size} to {}, requests waited while workers stood idle",
                self.endpoint
            ),
            (0, _) => format!(
                "A burst of {size} to {} after idleness is answered whole, and like one without",
                self.endpoint
            ),
            (_, Cause::Cold) => format!("{gave_up}, because workers had not started yet{start}"),
            (_, Cause::Cap) => format!(
                "{gave_up}, because only {workers} worker{} ever ran (cap), not because they started slowly{start}",
                if workers == 1 { "" } else { "s" }
            ),
            (_, Cause::Imbalance) => format!("{gave_up}, while other workers stood idle (imbalance)"),
            (_, Cause::Execution) => {
                format!("{gave_up}, though none waited for a worker: the work itself takes that long")
            }
        }
    }

    fn detail(&self, pair: &Pair<'_>) -> String {
        let mut said = vec![format!(
            "A burst of {} after {} of silence, and the same at once again: {} and {} failed; answered requests waited {} and {} \
             on average before a worker took them, a warm request takes {}.",
            pair.size,
            s(self.idle_s),
            pair.idle.failed(),
            pair.again.failed(),
            s(pair.idle.wait_s(self.warm.median_s())),
            s(pair.again.wait_s(self.warm.median_s())),
            s(self.warm.median_s())
        )];
        said.push(match pair.cause {
            Cause::Cold => "What is gone the second time was the start of workers.".to_owned(),
            Cause::Cap => {
                "The second time is no better: no more workers came while requests waited.".to_owned()
            }
            Cause::Imbalance => "Fewer were at work than before, while requests still waited.".to_owned(),
            Cause::Execution => "Nothing waited for a worker.".to_owned(),
            Cause::Limited => "A limit on the rate of requests stood before the workers.".to_owned(),
        });
        match (&self.header, &pair.idle.account) {
            (Some(header), Some(account)) => said.push(format!(
                "Answers name their worker ({header}): {} worked in the burst, {} at once on average; the first request on a worker \
                 took {}, the others {} (median).",
                account.workers,
                digits(account.at_work_mean),
                s(account.first_s),
                account.later_s.map_or_else(|| "nothing that was seen".to_owned(), s)
            )),
            _ => said.push(
                "Answers do not name their worker; workers are counted by how many were at work at once.".to_owned(),
            ),
        }
        if let Some(Fitted { fleet, error_s, .. }) = pair.fitted {
            let starting = fleet.cap - fleet.warm;
            let starts = if starting > 0 {
                format!(" and {starting} that took {} to start", s(fleet.start_s))
            } else {
                String::new()
            };
            said.push(format!(
                "The ends of the answers fit {} warm workers{starts} (root mean square error {}).",
                fleet.warm,
                s(error_s)
            ));
        }
        said.extend(self.steady(pair));
        said.join(" ")
    }

    /// Workers that steady traffic needs (Erlang C).
    fn steady(&self, pair: &Pair<'_>) -> Option<String> {
        let per_s = self.production_per_s?;
        let service_s = self.warm.median_s();
        let workers = erlang::servers_needed(per_s, service_s, pair.patience_s, LATE_MAX)?;
        Some(format!(
            "Steady traffic of {} requests per second needs {workers} workers for at most 1 % to wait longer than {}; a lone \
             worker that stops after {} of silence would be cold for {} % of them.",
            digits(per_s),
            s(pair.patience_s),
            s(self.idle_s),
            digits(100.0 * (-per_s * self.idle_s).exp())
        ))
    }

    /// How many workers must stay warm, and what retries would do.
    fn plan(&self, draft: Draft, pair: &Pair<'_>, evidence: &Source) -> Draft {
        let service_s = self.warm.median_s();
        let (warm, pace) = self.warm_needed(pair);
        let cap = self.workers(pair);
        let start = self.start_time(pair);
        let burst = pair.size as usize;
        let formula = format!(
            "smallest m with m (T / S + 1) + ({cap} - m) ((T - C) / S + 1) >= {burst}, quotients rounded down; T = {}, S = {}, C = \
             {}, each on the safe side",
            s(pair.patience_s),
            s(pace.service_s),
            start.map_or_else(|| "unknown".to_owned(), |(start_s, ..)| s(start_s))
        );
        let advice = if warm > cap {
            format!("Raise the cap to {warm} workers and keep {warm} warm for bursts of {burst}.")
        } else {
            format!("Keep {warm} workers warm for bursts of {burst}.")
        };
        let fleet = pair.fitted.map_or(
            Fleet {
                warm: 0,
                cap,
                start_s: start.map_or(pair.patience_s, |(start_s, ..)| start_s),
                service_s,
            },
            |fitted| Fleet {
                cap: cap.max(fitted.fleet.warm),
                ..fitted.fleet
            },
        );
        let deadline_s = 3.0 * (pair.patience_s + service_s);
        let rows = POLICIES
            .iter()
            .map(|(policy, name)| {
                let outcome = play(&fleet, burst, pair.patience_s, deadline_s, *policy);
                vec![
                    (*name).to_owned(),
                    format!("{} %", digits(100.0 * outcome.answered)),
                    digits(outcome.amplification),
                ]
            })
            .collect();
        draft
            .figure("warm workers needed", warm as f64, "", burst, evidence)
            .table(
                &format!("Retries played through, up to {}", s(deadline_s)),
                &["Policy", "Answered in time", "Attempts per request"],
                rows,
                evidence,
            )
            .advice(&advice, &formula)
    }

    /// Workers that must stay warm for such a burst, and the pace that this follows from.
    fn warm_needed(&self, pair: &Pair<'_>) -> (usize, Pace) {
        let start = self.start_time(pair);
        let pace = Pace {
            service_s: mean(&self.warm.times_s),
            service_variation: self.warm.variation(),
            services: self.warm.times_s.len(),
            start_s: start.map_or(f64::INFINITY, |(start_s, ..)| start_s),
            start_variation: self.start_variation(),
        };
        let warm = pace.warm_needed(pair.size as usize, self.workers(pair), pair.patience_s);
        (warm, pace)
    }

    fn start_variation(&self) -> f64 {
        match &self.probes {
            Some((_, probes)) if probes.are_cold() && probes.starts_s.len() >= 5 => {
                variance(&probes.starts_s).sqrt() / mean(&probes.starts_s)
            }
            _ => START_VARIATION,
        }
    }
}

/// Verdict and severity of a burst after idleness: refusals on purpose are a warning, errors and drops fail, as in other bursts.
fn judged(idle: &Burst, cause: Cause, waits_longer: bool) -> (Verdict, Severity) {
    match cause {
        Cause::Limited => (Verdict::Inconclusive, Severity::Low),
        _ if idle.dropped > 0 => (Verdict::Fail, Severity::High),
        _ if idle.failed() > 0 => (Verdict::Warn, Severity::Medium),
        Cause::Cold if waits_longer => (Verdict::Warn, Severity::Medium),
        Cause::Imbalance => (Verdict::Warn, Severity::Medium),
        _ => (Verdict::Pass, Severity::Info),
    }
}

const COLUMNS: [&str; 6] = [
    "Burst of",
    "Failed after idleness",
    "Failed at once again",
    "Mean wait after idleness, s",
    "Mean wait at once again, s",
    "Cause",
];

fn row(pair: &Pair<'_>, service_s: f64) -> Vec<String> {
    vec![
        pair.size.to_string(),
        pair.idle.failed().to_string(),
        pair.again.failed().to_string(),
        digits(pair.idle.wait_s(service_s)),
        digits(pair.again.wait_s(service_s)),
        match pair.cause {
            Cause::Cold => "start of workers",
            Cause::Cap => "too few workers",
            Cause::Imbalance => "imbalance",
            Cause::Execution => "the work itself",
            Cause::Limited => "a rate limit",
        }
        .to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use prony_model::Verdict;

    use super::judged;
    use crate::cold_start::cause::Cause;
    use crate::cold_start::measure::Burst;

    #[test]
    fn a_bounded_queue_that_refuses_is_warned_of_and_drops_fail() {
        let verdict = |refused: usize, dropped: usize, cause: Cause| {
            let burst = Burst {
                size: 16,
                refused_s: vec![0.002; refused],
                broken: dropped,
                dropped,
                ..Burst::default()
            };
            judged(&burst, cause, false).0
        };
        for cause in [Cause::Cold, Cause::Cap, Cause::Execution] {
            assert_eq!(verdict(8, 0, cause), Verdict::Warn, "{cause:?}");
            assert_eq!(verdict(8, 1, cause), Verdict::Fail, "{cause:?}");
            assert_eq!(verdict(0, 0, cause), Verdict::Pass, "{cause:?}");
        }
        assert_eq!(verdict(8, 1, Cause::Limited), Verdict::Inconclusive);
    }
}
