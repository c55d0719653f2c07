//! The words for how a target takes too much load.

use prony_model::{Finding, Severity, Source, Verdict};

use super::class::{Class, Classified, classify};
use super::lingering::Sign;
use super::outage::{Outage, outages};
use super::recovery::{Recovery, recovery};
use super::surge::{AFTER, Refusals, Retention, Surge, TWICE, WATCH_S};
use super::{Course, NAME, RESEND, SURGE, SURGE_AGAIN, refused};
use crate::RunView;
use crate::draft::{Draft, source};
use crate::ladder::throughput_max;
use crate::wording::{digits, ms, resting_on};

/// What helps against most of it.
const BOUNDED: &str = "Bound the queue so that what is accepted is answered in time, refuse the rest at once with 503 and \
                       Retry-After, and drop requests whose client has gone.";
/// Recovery up to so many seconds is quick.
const QUICK_S: f64 = 30.0;
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
            findings.extend(refused::shed(course, &surge).map(|f| resting_on(f, &[phase])));
        }
    }
    if let Some(phase) = run.phase(NAME, RESEND) {
        findings.extend(refused::retry_after(phase, &course.endpoint).map(|f| resting_on(f, &[phase])));
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
        if r.after_s.is_none() && !r.is_full {
            detail.push(format!(
                "It was watched for {}, and has {} to come back before it counts as metastable.",
                ms(1000.0 * r.watched_s),
                ms(1000.0 * WATCH_S)
            ));
        }
    }
    let (draft, arithmetic) = if id == NAME {
        retries(draft, run, course, surge, &evidence)
    } else {
        amplification(draft, course, surge, &evidence)
    };
    detail.push(arithmetic);
    let told = matches!(
        classified,
        Classified::As(Class::CrashRestart) | Classified::Limited
    );
    let draft = if overloaded_before && !told {
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
            classified,
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
    classified: Classified,
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
            .advice(BOUNDED, ""),
        Classified::As(Class::Collapse) => draft
            .verdict(Verdict::Fail, Severity::High)
            .title(format!(
                "At 2 times its capacity {endpoint} serves only {kept}, and {back}: congestion collapse"
            ))
            .advice(BOUNDED, ""),
        Classified::As(Class::Metastable) => draft
            .verdict(Verdict::Fail, Severity::Critical)
            .title(format!(
                "{endpoint} is not back to normal {} after the surge, although the load is back at 0.8 of its capacity: metastable",
                recovery.map_or_else(String::new, |r| ms(1000.0 * r.watched_s))
            ))
            .advice(
                &format!("{BOUNDED} Give clients a retry budget of 10 % of their requests and at most 3 attempts."),
                "something keeps the target busy after the trigger has gone: a backlog, retries or work that grows with the queue",
            ),
        Classified::NotBackYet(best) => not_back_yet(draft, course, recovery, best, &kept),
        Classified::As(Class::CrashRestart) => went_down(draft, endpoint, outages),
        Classified::Limited => limited(draft, endpoint, outages),
        Classified::NotOverloaded => draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .advisory()
            .title(format!(
                "At 2 times the rate taken for its capacity {endpoint} still serves {kept}: its capacity is higher, so this was no \
                 overload"
            ))
            .advice(
                "Confirm the capacity first (experiment capacity), or state it (`rate`).",
                "",
            ),
        Classified::Between(best, worst) => draft
            .verdict(Verdict::Inconclusive, Severity::Medium)
            .title(format!(
                "At 2 times its capacity {endpoint} serves {kept}, and {back}: between {} and {}",
                word(best),
                word(worst)
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

/// It was watched for less than it may take. That it takes longer than a quick recovery is known after that time; before, only what
/// shows of its cause speaks for it. A collapse fails in any case, as one with a quick end does.
fn not_back_yet(
    draft: Draft,
    course: &Course,
    recovery: Option<&Recovery>,
    best: Class,
    kept: &str,
) -> Draft {
    let endpoint = &course.endpoint;
    let is_slow = recovery.is_some_and(|r| r.sign.is_some_and(Sign::is_cause) || r.not_before_s() > QUICK_S);
    let (verdict, severity) = match best {
        Class::Collapse => (Verdict::Fail, Severity::High),
        Class::Degraded => (Verdict::Warn, Severity::High),
        _ if is_slow => (Verdict::Warn, Severity::High),
        _ => (Verdict::Inconclusive, Severity::Medium),
    };
    let (lost, class) = match best {
        Class::Collapse | Class::Degraded => (
            format!("At 2 times its capacity {endpoint} serves only {kept}, and"),
            format!("{}, ", word(best)),
        ),
        _ => (endpoint.clone(), String::new()),
    };
    let watched = recovery.map_or_else(String::new, |r| ms(1000.0 * r.watched_s));
    let seen = recovery.and_then(|r| r.sign).map_or("", |sign| match sign {
        Sign::Waiting => ", and requests still run into their time-out",
        Sign::Refusing => ", and requests are still refused",
        Sign::Failing => ", and requests still fail",
        Sign::Slower => ", and its answers take longer and longer",
        Sign::Faster => ", and its answers get faster again",
    });
    draft
        .verdict(verdict, severity)
        .title(format!(
            "{lost} is still not back to normal {watched} after the surge, although the load is back at 0.8 of its capacity{seen}: \
             {class}metastable or slow to recover"
        ))
        .advice(
            &format!(
                "Watch it for {}: give the experiment {:.0} s (`duration_s`). {BOUNDED}",
                ms(1000.0 * WATCH_S),
                course.full_s.ceil()
            ),
            "a new instance, a restart or a circuit breaker takes its time however short the surge was; what is not back after 300 s is \
             metastable",
        )
}

fn went_down(draft: Draft, endpoint: &str, outages: &[Outage]) -> Draft {
    let down: Vec<&Outage> = outages.iter().filter(|o| !o.limited).collect();
    let end = if down.iter().all(|o| o.ended) {
        "it crashes and restarts, or looks to its clients as if it did"
    } else {
        "it had not come back at the end"
    };
    let (length, away) = in_all(&down);
    draft
        .verdict(Verdict::Fail, Severity::Critical)
        .title(format!(
            "Under overload {endpoint} gave no good answer for {length} and turned {away} requests away: {end}"
        ))
        .advice(
            &format!("Find what ended it (memory, a liveness probe, a limit). {BOUNDED}"),
            "",
        )
}

fn limited(draft: Draft, endpoint: &str, outages: &[Outage]) -> Draft {
    let (length, away) = in_all(&outages.iter().collect::<Vec<_>>());
    draft
        .verdict(Verdict::Inconclusive, Severity::Low)
        .advisory()
        .title(format!(
            "A rate limit met the surge on {endpoint}: no good answer for {length}, and {away} requests turned away, most of them for \
             their rate (429). Nothing is said of an overload"
        ))
        .advice(
            "Lift the limit for this client, or stay below it (`rate`, `rate_max`, --max-rate). The experiment rate-limit tells where \
             it lies and whether it keeps its word.",
            "",
        )
}

/// How long some stretches were, in words, and how many requests were turned away in them.
fn in_all(stretches: &[&Outage]) -> (String, usize) {
    let total_s: f64 = stretches.iter().map(|o| o.seconds).sum();
    let times = match stretches.len() {
        1 => String::new(),
        n => format!(" in {n} stretches"),
    };
    (
        format!("{}{times}", ms(1000.0 * total_s)),
        stretches.iter().map(|o| o.turned_away).sum(),
    )
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
