//! The words for what a ladder found.

use prony_model::{Finding, PhaseResult, Severity, Verdict};

use super::capacity::{Capacity, Diagnosis, Rung, capacity};
use super::{NAME, alone_name, turns_name};
use crate::RunView;
use crate::draft::{Draft, source};
use crate::side_by_side::{Gain, clear_gain};
use crate::timings::{Tally, Timings};
use crate::wording::{OUTCOME_COLUMNS, by_failures, digits, ms, outcome, resting_on};

/// The findings about every endpoint that was laddered.
pub(super) fn findings(run: &RunView<'_>, seed: u64) -> Vec<Finding> {
    let endpoint = |p: &&PhaseResult| run.surface.endpoints.iter().any(|e| e.name == p.phase.name);
    let phases: Vec<&PhaseResult> = run.of(NAME).filter(endpoint).collect();
    let mut findings = Vec::new();
    for phase in phases {
        let capacity = capacity(run, phase, seed);
        let mut rests_on = vec![phase];
        rests_on.extend(run.phase(NAME, &alone_name(&phase.phase.name)));
        rests_on.extend(run.phase(NAME, &turns_name(&phase.phase.name)));
        rests_on.extend(run.phase("client-floor", "no-work"));
        let finding = match &capacity {
            Some(capacity) => service(run, phase, capacity),
            None => too_little(phase),
        };
        findings.push(resting_on(finding, &rests_on));
        findings.extend(failures(phase).map(|f| resting_on(f, &[phase])));
    }
    findings
}

fn too_little(phase: &PhaseResult) -> Finding {
    let endpoint = &phase.phase.name;
    Draft::new(NAME, "serial-service", endpoint)
        .verdict(Verdict::Inconclusive, Severity::Low)
        .title(format!(
            "Too few answers to say how many requests to {endpoint} are served at once"
        ))
        .detail(outcome(&Timings::all(phase).tally()))
        .advice("Give the ladder more time (`duration_s`).", "")
        .done()
}

/// Failures in the ladder, when there are any.
fn failures(phase: &PhaseResult) -> Option<Finding> {
    let endpoint = &phase.phase.name;
    let tally: Tally = Timings::all(phase).tally();
    if tally.failed() == 0 {
        return None;
    }
    let (verdict, severity) = by_failures(&tally);
    let evidence = source(phase, endpoint);
    Some(
        Draft::new(NAME, "fails-under-concurrency", endpoint)
            .verdict(verdict, severity)
            .title(format!(
                "{} of {} requests to {endpoint} failed as concurrency grew",
                tally.failed(),
                tally.judged()
            ))
            .detail(outcome(&tally))
            .table("Outcomes", &OUTCOME_COLUMNS, tally.rows(), &evidence)
            .advice("Limit what runs at once to what the server can hold, and refuse the rest early with 503 and Retry-After.", "")
            .done(),
    )
}

fn service(run: &RunView<'_>, phase: &PhaseResult, capacity: &Capacity) -> Finding {
    let endpoint = &phase.phase.name;
    let evidence = source(phase, endpoint);
    let (served, (low, high)) = match capacity.diagnosis {
        Diagnosis::Parallel => capacity.served,
        _ => capacity.served_high,
    };
    let top = capacity.top();
    let best = capacity.best();
    let draft = Draft::new(NAME, "serial-service", endpoint);
    let draft = match capacity.diagnosis {
        // Nothing is left of the work of one to multiply by.
        Diagnosis::TooFast => draft,
        _ => draft.measured(
            "requests really served at once",
            served,
            "requests",
            Some((low, high)),
            top.good,
            &evidence,
        ),
    };
    let draft = draft
        .figure("highest throughput", best.per_s, "1/s", best.good, &evidence)
        .figure(
            "throughput gained over one at a time",
            capacity.gain(),
            "ratio",
            top.good,
            &evidence,
        )
        .figure(
            "response grown over one at a time",
            capacity.growth(),
            "ratio",
            top.good,
            &evidence,
        )
        .figure(
            "most of them between sent and done at one moment",
            f64::from(top.overlap.most),
            "requests",
            top.good,
            &evidence,
        )
        .figure(
            "mean number between sent and done",
            top.overlap.factor,
            "requests",
            top.good,
            &evidence,
        )
        .figure(
            "requests alone that the time of one rests on",
            capacity.alone.n as f64,
            "requests",
            capacity.alone.n,
            &evidence,
        )
        .table("Ladder, closed loop", &COLUMNS, rows(capacity), &evidence);
    let draft = with_turns(draft, run, endpoint, capacity);
    conclusion(draft, run, endpoint, capacity).done()
}

fn with_turns(draft: Draft, run: &RunView<'_>, endpoint: &str, capacity: &Capacity) -> Draft {
    let Some(turns) = run.phase(NAME, &turns_name(endpoint)) else {
        return draft;
    };
    let source = source(turns, endpoint);
    let n = turns.samples.len();
    let draft = match capacity.first_of_burst {
        Some(ratio) => draft.figure(
            "first answer of a burst over time alone",
            ratio,
            "ratio",
            n,
            &source,
        ),
        None => draft,
    };
    match capacity.staircase {
        Some(stairs) => draft.measured(
            "time from one end to the next in a burst",
            stairs.tread_ms,
            "ms",
            Some(stairs.interval),
            stairs.bursts,
            &source,
        ),
        None => draft,
    }
}

fn conclusion(draft: Draft, run: &RunView<'_>, endpoint: &str, capacity: &Capacity) -> Draft {
    let top = capacity.top();
    let best = capacity.best();
    let (served, (low, high)) = capacity.served_high;
    let flat = changes(capacity);
    let how = format!(
        "Throughput times the work of one request ({}, of which {} for a request without work is taken off) is the number really \
         served at once: {} at {} at a time (95 % interval {} to {}).",
        ms(capacity.solo_ms),
        ms(capacity.floor_ms),
        digits(served),
        top.n,
        digits(low),
        digits(high)
    );
    let host = host(run);
    let knee = format!(
        "highest throughput {} / s x {} alone = {} at once",
        digits(best.per_s),
        ms(capacity.solo_ms),
        digits(capacity.knee())
    );
    match capacity.diagnosis {
        Diagnosis::Serial => draft
            .verdict(Verdict::Fail, Severity::High)
            .title(format!("Requests to {endpoint} are served one at a time"))
            .detail(format!(
                "{flat} {how} More concurrency only makes requests wait longer.{}{}{}{}",
                overlap(top),
                yardstick(capacity),
                caveat(run, capacity),
                beside(run, endpoint, capacity.diagnosis)
            ))
            .advice(
                "Move the work off the event loop or out of the lock (worker threads or processes, or batching); until then allow \
                 one request at a time and scale by replicas.",
                &knee,
            ),
        Diagnosis::Parallel => parallel(
            draft,
            endpoint,
            capacity,
            &format!("{}{host}{}", yardstick(capacity), beside(run, endpoint, capacity.diagnosis)),
            &knee,
        ),
        Diagnosis::Shared => draft
            .verdict(
                if run.shared_host { Verdict::Pass } else { Verdict::Warn },
                if run.shared_host { Severity::Info } else { Severity::Medium },
            )
            .advisory()
            .title(format!("{endpoint} works on several requests together, but no faster than one after another"))
            .detail(format!(
                "{flat} {how} The first answer of a burst took {} times as long as a request alone, so requests do not take turns: \
                 they share what amounts to one core.{host}",
                digits(capacity.first_of_burst.unwrap_or(0.0))
            ))
            .advice("Look at the processor time of the server: if it is one core, the work does not spread over cores.", &knee),
        Diagnosis::TooFast => draft
            .advisory()
            .title(format!("{endpoint} reaches {} requests per second; its answers are too fast to say more", digits(best.per_s)))
            .detail(format!(
                "{flat} A request takes {} alone, and one without work {}: what is left is too short against the path to tell how \
                 many are served at once. The generator and the network bound the throughput as well.{host}",
                ms(capacity.solo_ms),
                ms(capacity.floor_ms)
            )),
        Diagnosis::TooShort => draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .advisory()
            .title(format!("The ladder for {endpoint} ended too early to say how many requests are served at once"))
            .detail(format!("{flat} {how} It takes a step of at least 8 at a time."))
            .advice("Give the ladder more time (`duration_s`), or steps up to 8 and more (`connections`).", ""),
        Diagnosis::Undecided => {
            let bound_by_host = run.shared_host && served >= 0.5 * f64::from(run.cores);
            let draft = if bound_by_host {
                draft.advisory()
            } else {
                draft.verdict(Verdict::Inconclusive, Severity::Low).advice("Give the ladder more time (`duration_s`).", "")
            };
            draft
                .title(format!("{endpoint} served about {} requests at a time", digits(served)))
                .detail(format!(
                    "{flat} {how} This decides neither for one at a time nor for more.{}{host}{}",
                    yardstick(capacity),
                    if bound_by_host { " More than these cores cannot be shown here." } else { "" }
                ))
        }
    }
}

/// What went up with concurrency, and what did not.
fn changes(capacity: &Capacity) -> String {
    let top = capacity.top();
    format!(
        "From 1 to {} requests at a time throughput went from {} to {} per second ({} times), and the mean response from {} to {} \
         ({} times).",
        top.n,
        digits(capacity.rungs[0].per_s),
        digits(top.per_s),
        digits(capacity.gain()),
        ms(capacity.rungs[0].response_ms),
        ms(top.response_ms),
        digits(capacity.growth())
    )
}

/// Several at once: how many, what that rests on, and how many to allow where the ladder shows it.
fn parallel(draft: Draft, endpoint: &str, capacity: &Capacity, caveat: &str, knee: &str) -> Draft {
    let best = capacity.best();
    let (served, (low, high)) = capacity.served;
    let (about, rising, advice, because) = if capacity.is_saturated() {
        let limit = capacity.knee().round().max(1.0);
        let advice =
            format!("Allow about {limit:.0} requests at a time; more adds waiting and no throughput.");
        ("about", "", advice, knee)
    } else {
        let advice = format!(
            "Let the ladder go far beyond {} at a time (`connections`) before a limit is set: it does not show throughput used up.",
            capacity.top().n
        );
        let rising = " This ladder does not show throughput used up: more may be served at once.";
        ("at least", rising, advice, "")
    };
    draft
        .title(format!(
            "{endpoint} truly serves {about} {} requests at a time (95 % interval {} to {})",
            digits(served),
            digits(low),
            digits(high)
        ))
        .detail(format!(
            "{} At {} at a time {} requests, each with {} of work, took {} in all: so about {} were really served at once.{rising}{}{caveat}",
            changes(capacity),
            best.n,
            best.good,
            ms(capacity.work_ms()),
            ms(best.busy_ms),
            digits(served),
            overlap(best)
        ))
        .advice(&advice, because)
}

fn host(run: &RunView<'_>) -> String {
    if run.shared_host {
        format!(
            " Generator and target share {} cores, which bounds what a target that computes can show.",
            run.cores
        )
    } else {
        String::new()
    }
}

/// What the client itself did: without it a serial client would be taken for a serial server.
fn overlap(rung: &Rung) -> String {
    format!(
        " The client had up to {} of them on their way at one moment, {} on average.",
        rung.overlap.most,
        digits(rung.overlap.factor)
    )
}

/// A word when the time alone rests on too few requests.
fn yardstick(capacity: &Capacity) -> String {
    if capacity.alone.is_enough() {
        return String::new();
    }
    format!(
        " The time of one alone rests on {} requests; with their spread it takes {} to know it to 5 %.",
        capacity.alone.n, capacity.alone.needed
    )
}

/// A word where the few requests that were sent together before say otherwise: the ladder rests on more of them.
fn beside(run: &RunView<'_>, endpoint: &str, diagnosis: Diagnosis) -> String {
    let says_otherwise = |gain: &Gain| gain.is_some == (diagnosis == Diagnosis::Serial);
    clear_gain(run, endpoint).filter(says_otherwise).map_or_else(String::new, |Gain { n, ratio, .. }| {
        format!(
            " The {n} requests that were sent together before gained {} over one after another; that rests on {n} times, among them \
             that of the first call, and these steps on more.",
            digits(ratio)
        )
    })
}

/// What else would look like one at a time.
fn caveat(run: &RunView<'_>, capacity: &Capacity) -> String {
    let turns = match (capacity.first_of_burst, capacity.staircase) {
        (_, Some(stairs)) if capacity.ends_in_turns() => format!(
            " The answers of a burst ended {} apart, about the work of one, so requests take turns and do not merely share a processor.",
            ms(stairs.tread_ms)
        ),
        (Some(ratio), _) => format!(
            " The first answer of a burst took {} times as long as a request alone, so requests take turns and do not merely share \
             a processor.",
            digits(ratio)
        ),
        (None, _) => " Requests that share one processor would look alike.".to_owned(),
    };
    format!("{turns}{}", host(run))
}

const COLUMNS: [&str; 7] = [
    "At a time",
    "Throughput, 1/s",
    "Mean response, ms",
    "Median response, ms",
    "Served at once",
    "Good",
    "Failed",
];

fn rows(capacity: &Capacity) -> Vec<Vec<String>> {
    capacity
        .rungs
        .iter()
        .map(|r| {
            let median = match r.median.interval {
                Some((low, high)) => {
                    format!("{} ({} to {})", digits(r.median.value), digits(low), digits(high))
                }
                None => digits(r.median.value),
            };
            vec![
                r.n.to_string(),
                digits(r.per_s),
                digits(r.response_ms),
                median,
                digits(r.served),
                r.good.to_string(),
                r.tally.failed().to_string(),
            ]
        })
        .collect()
}
