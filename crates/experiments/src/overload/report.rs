//! The words for how a target takes too much load.

use prony_model::{Finding, PhaseResult, Severity, Source, Verdict};
use prony_stats::{binomial, order};

use super::class::{Class, Classified, classify};
use super::outage::{Outage, outages};
use super::recovery::{Recovery, recovery};
use super::resend::Resent;
use super::surge::{AFTER, Refusals, Retention, Surge, TWICE};
use super::{Course, NAME, RESEND, SURGE, SURGE_AGAIN};
use crate::RunView;
use crate::draft::{Draft, source};
use crate::ladder::throughput_max;
use crate::wording::{OUTCOME_COLUMNS, digits, ms, resting_on};

/// Recovery up to so many seconds is quick.
const QUICK_S: f64 = 30.0;
/// Refusals that are 429 or 503, at least.
const CLEAN_MIN: f64 = 0.99;
/// Accepted requests that are answered in time, at least.
const IN_TIME_MIN: f64 = 0.95;
/// Timeouts as a share of requests: from here a warning, and a failure.
const TIMEOUTS_WARN: f64 = 0.01;
const TIMEOUTS_FAIL: f64 = 0.05;
/// Refusals with `Retry-After`, at least, and those served that come back when it says.
const TOLD_MIN: f64 = 0.95;
const TRUE_MIN: f64 = 0.90;
/// Refusals whose values must differ.
const VALUES_OF: usize = 20;

/// Nothing could be planned.
pub(super) fn nothing() -> Finding {
    Draft::new(NAME, NAME, "")
        .verdict(Verdict::Inconclusive, Severity::Low)
        .advisory()
        .title("No overload was tried: nothing says what the target can take")
        .detail("The rates follow from the capacity, or else from the ladder; neither has a good answer.")
        .advice("Run the capacity experiment or the ladder before, or give a rate and an objective (`rate`, `slo_ms`).", "")
        .done()
}

/// All findings.
pub(super) fn findings(run: &RunView<'_>, course: &Course) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, id) in [(SURGE, NAME), (SURGE_AGAIN, "overload-with-retries")] {
        let Some(phase) = run.phase(NAME, name) else {
            continue;
        };
        let Some(surge) = Surge::of(phase, course.capacity, course.objective) else {
            continue;
        };
        findings.push(resting_on(class(run, course, &surge, id), &[phase]));
        if name == SURGE {
            findings.extend(shed(course, &surge).map(|f| resting_on(f, &[phase])));
        }
    }
    if let Some(phase) = run.phase(NAME, RESEND) {
        findings.extend(retry_after(phase, &course.endpoint).map(|f| resting_on(f, &[phase])));
    }
    if findings.is_empty() {
        findings.push(nothing());
    }
    findings
}

fn class(run: &RunView<'_>, course: &Course, surge: &Surge<'_>, id: &str) -> Finding {
    let endpoint = &course.endpoint;
    let evidence = source(surge.phase, endpoint);
    let retention = surge.retention();
    let recovery = recovery(surge);
    let outages = outages(surge);
    let before = surge.let_down_before();
    let overloaded_before = before.interval().0 > course.objective.allowed();
    let classified = classify(retention.as_ref(), recovery.as_ref(), &outages);
    let mut detail = vec![script(course, surge), course.objective.origin()];
    let mut draft = Draft::new(NAME, id, endpoint);
    if let Some(r) = &retention {
        draft = draft
            .measured(
                "goodput kept at twice the capacity",
                100.0 * r.ratio,
                "%",
                Some((100.0 * r.interval.0, 100.0 * r.interval.1)),
                r.n,
                &evidence,
            )
            .figure(
                "good answers in time at twice the capacity",
                r.per_s,
                "1/s",
                r.n,
                &evidence,
            );
    }
    if let Some(r) = &recovery {
        if let Some(after_s) = r.after_s {
            draft = draft.figure("back to normal after", after_s, "s", r.n, &evidence);
        }
        draft = draft.figure("p95 before the surge", r.before_ms, "ms", r.n, &evidence);
        detail.push(format!(
            "Back to normal means three windows of {} in a row, at {} per second, whose p95 is not surely more than a tenth above \
             that before the surge, and in which not more fail.",
            ms(1000.0 * r.window_s),
            digits(surge.stages[usize::from(AFTER)].rate)
        ));
    }
    let (draft, arithmetic) = if id == NAME {
        retries(draft, run, course, surge, &evidence)
    } else {
        amplification(draft, course, surge, &evidence)
    };
    detail.push(arithmetic);
    let draft = if overloaded_before && outages.is_empty() {
        draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .title(format!(
                "{endpoint} does not keep {} at 0.8 of the rate taken for its capacity, so an overload says nothing",
                course.objective.label()
            ))
            .advice("Confirm the capacity first (experiment capacity), with the same objective.", "")
    } else {
        judged(
            draft,
            course,
            &classified,
            retention.as_ref(),
            recovery.as_ref(),
            &outages,
            surge,
        )
    };
    draft
        .detail(detail.join(" "))
        .table("The surge, by stage", &COLUMNS, rows(surge), &evidence)
        .done()
}

fn judged(
    draft: Draft,
    course: &Course,
    classified: &Classified,
    retention: Option<&Retention>,
    recovery: Option<&Recovery>,
    outages: &[Outage],
    surge: &Surge<'_>,
) -> Draft {
    let endpoint = &course.endpoint;
    let kept = retention.map_or_else(String::new, |r| {
        format!(
            "{} % of its goodput (95 % interval {} to {})",
            digits(100.0 * r.ratio),
            digits(100.0 * r.interval.0),
            digits(100.0 * r.interval.1)
        )
    });
    let back = recovery.and_then(|r| r.after_s).map_or_else(String::new, |s| {
        if s > 0.0 {
            format!("is back to normal {} after the surge", ms(1000.0 * s))
        } else {
            "is back to normal at once".to_owned()
        }
    });
    let bounded = "Bound the queue so that what is accepted is answered in time, refuse the rest at once with 503 and Retry-After, and \
                   drop requests whose client has gone.";
    match classified {
        Classified::As(Class::Graceful) => {
            let slow = recovery.and_then(|r| r.after_s).is_some_and(|s| s > QUICK_S);
            let refuses = refuses(&surge.refusals());
            draft
                .verdict(
                    if slow { Verdict::Warn } else { Verdict::Pass },
                    if slow { Severity::Low } else { Severity::Info },
                )
                .title(format!(
                    "At 2 times its capacity {endpoint} still serves {kept}{refuses}, and {back}: graceful"
                ))
        }
        Classified::As(Class::Degraded) => draft
            .verdict(Verdict::Warn, Severity::Medium)
            .title(format!(
                "At 2 times its capacity {endpoint} serves only {kept}, and {back}: degraded"
            ))
            .advice(bounded, ""),
        Classified::As(Class::Collapse) => draft
            .verdict(Verdict::Fail, Severity::High)
            .title(format!(
                "At 2 times its capacity {endpoint} serves only {kept}, and {back}: congestion collapse"
            ))
            .advice(bounded, ""),
        Classified::As(Class::Metastable) => draft
            .verdict(Verdict::Fail, Severity::Critical)
            .title(format!(
                "{endpoint} is not back to normal {} after the surge, although the load is back at 0.8 of its capacity: metastable",
                recovery.map_or_else(String::new, |r| ms(1000.0 * r.watched_s))
            ))
            .advice(
                &format!("{bounded} Give clients a retry budget of 10 % of their requests and at most 3 attempts."),
                "something keeps the target busy after the trigger has gone: a backlog, retries or work that grows with the queue",
            ),
        Classified::As(Class::CrashRestart) => {
            let total_s: f64 = outages.iter().map(|o| o.seconds).sum();
            let away: usize = outages.iter().map(|o| o.turned_away).sum();
            let end = if outages.iter().all(|o| o.ended) {
                "it crashes and restarts, or looks to its clients as if it did"
            } else {
                "it had not come back at the end"
            };
            let times = match outages.len() {
                1 => String::new(),
                n => format!(" in {n} stretches"),
            };
            draft
                .verdict(Verdict::Fail, Severity::Critical)
                .title(format!(
                    "Under overload {endpoint} gave no good answer for {}{times} and turned {away} requests away: {end}",
                    ms(1000.0 * total_s)
                ))
                .advice(&format!("Find what ended it (memory, a liveness probe, a limit). {bounded}"), "")
        }
        Classified::Between(best, worst) => draft
            .verdict(Verdict::Inconclusive, Severity::Medium)
            .title(format!(
                "At 2 times its capacity {endpoint} serves {kept}, and {back}: between {} and {}",
                word(*best),
                word(*worst)
            ))
            .advice("Give the experiment more time (`duration_s`).", ""),
        Classified::TooLittle => draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .advisory()
            .title(format!("Too little load reached {endpoint} to call it an overload"))
            .advice(
                "Give the experiment more time (`duration_s`), and allow at least three times the capacity (`rate_max`, --max-rate).",
                "",
            ),
        Classified::UnknownEnd => draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .advisory()
            .title(format!(
                "At 2 times its capacity {endpoint} serves {kept}; too little was seen afterwards to say whether it is back to normal"
            ))
            .advice("Give the experiment more time (`duration_s`).", ""),
    }
}

fn word(class: Class) -> &'static str {
    match class {
        Class::Graceful => "graceful",
        Class::Degraded => "degraded",
        Class::Collapse => "congestion collapse",
        Class::Metastable => "metastable",
        Class::CrashRestart => "crashing",
    }
}

fn refuses(refusals: &Refusals) -> String {
    if refusals.refused_ms.is_empty() {
        return String::new();
    }
    let median = prony_stats::median(&mut refusals.refused_ms.clone());
    format!(", refuses {} requests in {}", refusals.refused, ms(median))
}

fn script(course: &Course, surge: &Surge<'_>) -> String {
    let stages: Vec<String> = surge
        .stages
        .iter()
        .map(|s| format!("{} per second for {}", digits(s.rate), ms(1000.0 * s.duration_s)))
        .collect();
    format!(
        "Open loop, Poisson arrivals: {}. The capacity is taken as {} per second ({}). Goodput counts good answers within the \
         objective.",
        stages.join(", then "),
        digits(course.capacity),
        course.origin
    )
}

/// What retries would do, from a surge without them.
fn retries(
    draft: Draft,
    run: &RunView<'_>,
    course: &Course,
    surge: &Surge<'_>,
    evidence: &Source,
) -> (Draft, String) {
    let twice = surge.arrivals(TWICE);
    let failed = twice.iter().filter(|s| s.outcome.is_failure()).count();
    let attempts = f64::from(course.retry.attempts.max(1));
    let throughput = throughput_max(run, &course.endpoint)
        .unwrap_or(course.capacity)
        .max(course.capacity);
    let vulnerable = throughput / attempts;
    let predicted = amplified(failed as f64 / twice.len().max(1) as f64, attempts);
    let draft = draft
        .figure(
            "load from which retries can keep it down",
            vulnerable,
            "1/s",
            twice.len(),
            evidence,
        )
        .figure(
            "requests for each when clients retry, computed",
            predicted,
            "ratio",
            twice.len(),
            evidence,
        );
    let says = format!(
        "Clients with up to {attempts:.0} attempts would send {} requests for each at 2 times the capacity, (1 - p^{attempts:.0}) / (1 - p) \
         with a failing share p of {} %; above {} per second ({} / {attempts:.0}) a short surge can be kept alive by retries alone. Clients \
         should retry at most 10 % of their requests and 3 times, and drop requests themselves with probability max(0, (requests - 2 x \
         accepted) / (requests + 1)).",
        digits(predicted),
        digits(100.0 * failed as f64 / twice.len().max(1) as f64),
        digits(vulnerable),
        digits(throughput)
    );
    (draft, says)
}

/// What retries did.
fn amplification(draft: Draft, course: &Course, surge: &Surge<'_>, evidence: &Source) -> (Draft, String) {
    let sent = |step: u16| {
        surge
            .phase
            .samples
            .iter()
            .filter(|s| s.is_request() && s.step == step && !s.outcome.is_own())
            .count() as f64
    };
    let arrivals = surge.arrivals(TWICE).len();
    let measured = sent(TWICE) / arrivals.max(1) as f64;
    let after = sent(AFTER) / surge.arrivals(AFTER).len().max(1) as f64;
    let draft = draft
        .figure(
            "requests for each at twice the capacity, measured",
            measured,
            "ratio",
            arrivals,
            evidence,
        )
        .figure(
            "requests for each after the surge, measured",
            after,
            "ratio",
            surge.arrivals(AFTER).len(),
            evidence,
        );
    let says = format!(
        "Clients sent up to {} attempts: {} requests for each at 2 times the capacity, and {} after the surge.",
        course.retry.attempts,
        digits(measured),
        digits(after)
    );
    (draft, says)
}

/// Requests for each, when a share `p` of all attempts fails and clients make up to `attempts`.
fn amplified(p: f64, attempts: f64) -> f64 {
    if p >= 1.0 {
        attempts
    } else {
        (1.0 - p.powf(attempts)) / (1.0 - p)
    }
}

/// How well requests were turned away, when any were.
fn shed(course: &Course, surge: &Surge<'_>) -> Option<Finding> {
    let endpoint = &course.endpoint;
    let refusals = surge.refusals();
    if refusals.failed == 0 {
        return None;
    }
    let evidence = source(surge.phase, endpoint);
    let n = refusals.failed + refusals.good;
    let interval = |k: usize, n: usize| binomial::clopper_pearson(k as u64, n as u64, 0.95);
    let share = |k: usize, n: usize| 100.0 * k as f64 / n.max(1) as f64;
    let percent = |(low, high): (f64, f64)| Some((100.0 * low, 100.0 * high));
    let clean = interval(refusals.refused, refusals.failed);
    let in_time = interval(refusals.in_time, refusals.good);
    let timed_out = interval(refusals.timed_out, n);
    let bound_ms = (0.1 * course.objective.limit_ms).clamp(10.0, 1000.0);
    let to_refuse = order::estimate(&refusals.refused_ms, 0.95, 0.95);
    let slow = to_refuse
        .and_then(|e| e.interval)
        .is_some_and(|(low, _)| low > bound_ms);
    let mut wrong: Vec<String> = Vec::new();
    if clean.1 < CLEAN_MIN {
        wrong.push(format!(
            "only {} % of what failed was refused with 429 or 503",
            digits(share(refusals.refused, refusals.failed))
        ));
    }
    if slow {
        wrong.push(format!(
            "a refusal takes {} (p95; at most {} would do)",
            ms(to_refuse.map_or(0.0, |e| e.value)),
            ms(bound_ms)
        ));
    }
    if in_time.1 < IN_TIME_MIN {
        wrong.push(format!(
            "only {} % of what was answered came in time",
            digits(share(refusals.in_time, refusals.good))
        ));
    }
    if timed_out.0 > TIMEOUTS_WARN {
        wrong.push(format!(
            "{} % of all requests timed out, so work was done for nobody",
            digits(share(refusals.timed_out, n))
        ));
    }
    let (verdict, severity) = if timed_out.0 > TIMEOUTS_FAIL {
        (Verdict::Fail, Severity::High)
    } else if wrong.is_empty() {
        (Verdict::Pass, Severity::Info)
    } else {
        (Verdict::Warn, Severity::Medium)
    };
    let mut draft = Draft::new(NAME, "shed-quality", endpoint)
        .verdict(verdict, severity)
        .measured(
            "failed requests refused with 429 or 503",
            share(refusals.refused, refusals.failed),
            "%",
            percent(clean),
            refusals.failed,
            &evidence,
        )
        .measured(
            "answers in time, of those answered",
            share(refusals.in_time, refusals.good),
            "%",
            percent(in_time),
            refusals.good,
            &evidence,
        )
        .measured(
            "requests that timed out",
            share(refusals.timed_out, n),
            "%",
            percent(timed_out),
            n,
            &evidence,
        )
        .table(
            "Outcomes in the surge",
            &OUTCOME_COLUMNS,
            refusals.tally.rows(),
            &evidence,
        );
    if let Some(e) = to_refuse {
        draft = draft.measured(
            "time to refuse, p95",
            e.value,
            "ms",
            e.interval,
            refusals.refused,
            &evidence,
        );
    }
    let draft = draft.detail(format!(
        "Of {n} requests between 1.5 and 3 times the capacity {} failed. Good shedding refuses at once, with 429 or 503, and serves in \
         time what it accepts. A client gave up after {}.",
        refusals.failed,
        ms(surge.phase.phase.limits.timeout_ms as f64)
    ));
    let draft = if wrong.is_empty() {
        draft.title(format!(
            "{endpoint} turns away what it cannot serve at once and plainly"
        ))
    } else {
        draft
            .title(format!("{endpoint} does not turn away well what it cannot serve: {}", wrong.join("; ")))
            .advice(
                "Decide at the door: count what is in flight, refuse beyond the limit with 503 and Retry-After before any work is done.",
                "",
            )
    };
    Some(draft.done())
}

/// Whether refusals say when to come back, and whether that is true.
fn retry_after(phase: &PhaseResult, endpoint: &str) -> Option<Finding> {
    let resent = Resent::of(phase)?;
    let evidence = source(phase, endpoint);
    let (told, told_ci) = resent.told_share();
    let (served, served_ci) = resent.served_share();
    let percent = |(low, high): (f64, f64)| Some((100.0 * low, 100.0 * high));
    let values = resent
        .values
        .iter()
        .take(5)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    let draft = Draft::new(NAME, "retry-after", endpoint)
        .advisory()
        .measured(
            "refusals with Retry-After",
            100.0 * told,
            "%",
            percent(told_ci),
            resent.refused,
            &evidence,
        )
        .figure(
            "different values of Retry-After",
            resent.values.len() as f64,
            "",
            resent.told,
            &evidence,
        );
    let draft = if resent.again > 0 {
        draft.measured(
            "served when sent again as told",
            100.0 * served,
            "%",
            percent(served_ci),
            resent.again,
            &evidence,
        )
    } else {
        draft
    };
    let draft = if resent.told > 0 {
        draft.quote("Values of Retry-After", &values, &evidence)
    } else {
        draft
    };
    let draft = draft.detail(format!(
        "Of {} refusals whose headers were kept {} said when to come back, with {} different values. {} refused requests were sent \
         again after that time, beside 0.8 of the capacity, and {} of them were served.",
        resent.refused,
        resent.told,
        resent.values.len(),
        resent.again,
        resent.served
    ));
    let advice = "Send Retry-After with every 429 and 503, in seconds after which there will be room, and spread the values, or the \
                  refused come back together.";
    let draft = if resent.refused == 0 {
        draft
            .verdict(Verdict::Inconclusive, Severity::Info)
            .title(format!(
                "No refusal of {endpoint} was kept, so nothing is said of Retry-After"
            ))
    } else if told_ci.1 < TOLD_MIN {
        draft
            .verdict(Verdict::Warn, Severity::Low)
            .title(format!(
                "{endpoint} refuses without saying when to come back: {} of {} refusals have Retry-After",
                resent.told, resent.refused
            ))
            .advice(advice, "")
    } else if resent.again > 0 && served_ci.1 < TRUE_MIN {
        draft
            .verdict(Verdict::Warn, Severity::Medium)
            .title(format!(
                "Retry-After of {endpoint} is not true: only {} % of those who came back as told were served",
                digits(100.0 * served)
            ))
            .advice(advice, "")
    } else if resent.told >= VALUES_OF && resent.values.len() == 1 {
        draft
            .verdict(Verdict::Warn, Severity::Low)
            .title(format!(
                "Retry-After of {endpoint} is always {values}: all who were refused come back together"
            ))
            .advice(advice, "")
    } else if resent.again == 0 {
        draft
            .verdict(Verdict::Inconclusive, Severity::Info)
            .title(format!(
                "Retry-After of {endpoint} asks for more time than there was to see whether it is true"
            ))
            .advice("Give the experiment more time (`duration_s`).", "")
    } else {
        draft.title(format!(
            "Retry-After of {endpoint} is there and true: {} % of those who came back as told were served",
            digits(100.0 * served)
        ))
    };
    Some(draft.done())
}

const COLUMNS: [&str; 6] = [
    "Rate, 1/s",
    "For, s",
    "Arrivals",
    "Good and in time",
    "Good but late",
    "Failed",
];

fn rows(surge: &Surge<'_>) -> Vec<Vec<String>> {
    surge
        .stages
        .iter()
        .enumerate()
        .map(|(step, stage)| {
            let arrivals = surge.arrivals(step as u16);
            let failed = arrivals.iter().filter(|s| s.outcome.is_failure()).count();
            let in_time = arrivals.iter().filter(|s| surge.objective.is_kept(s)).count();
            vec![
                digits(stage.rate),
                digits(stage.duration_s),
                arrivals.len().to_string(),
                in_time.to_string(),
                (arrivals.len() - failed - in_time).to_string(),
                failed.to_string(),
            ]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::amplified;

    #[test]
    fn amplification_is_that_of_the_methodology() {
        for (p, expected) in [(0.0, 1.0), (0.5, 1.875), (0.9, 3.439), (1.0, 4.0)] {
            assert!((amplified(p, 4.0) - expected).abs() < 1e-9, "{p}");
        }
    }
}
