//! The executive summary: sentences that count what was found. They claim nothing that was not measured.

use prony_model::{Finding, PhaseSummary, Upheld, Verdict};

use super::phase_label;
use crate::number::{count, span};
use crate::record::RunRecord;
use crate::report::{Counts, RunEnd, RunFacts, Summary};

pub(super) fn build(run: &RunRecord, facts: &RunFacts) -> Summary {
    // What the generator sent to its own null target says nothing about this one.
    let phases = || run.phases.iter().filter(|p| !p.is_of_null_target());
    let total = |field: fn(&PhaseSummary) -> u64| phases().map(field).sum::<u64>();
    let mut summary = Summary {
        findings: Counts::of(run.findings.iter().map(Finding::counted)),
        gates: Counts::of(run.gates.iter().map(|g| g.verdict)),
        sentences: Vec::new(),
        offered: total(|p| p.offered),
        ok: total(|p| p.ok),
        failed: total(|p| p.failed),
        own: total(|p| p.own),
    };
    let sentences = [
        end(facts),
        Some(load(run, facts, &summary)),
        unfinished(run),
        checks(&summary),
        gates(&summary),
        tests(run),
        claims(run),
        invalid(run),
        shared(run),
    ];
    summary.sentences = sentences.into_iter().flatten().collect();
    summary
}

/// Why the verdict is what it is.
pub(super) fn because(verdict: Verdict, summary: &Summary, end: RunEnd) -> String {
    let (f, g) = (&summary.findings, &summary.gates);
    let cut = match end {
        RunEnd::Finished => "",
        RunEnd::Interrupted => "the run was stopped before its end",
        RunEnd::Killed => "the run has no end: it was killed, or it is still running",
    };
    let both = |findings: u64, gates: u64, one: &str, many: &str| {
        let mut parts = Vec::new();
        if findings > 0 {
            parts.push(counted(findings, "check", if findings == 1 { one } else { many }));
        }
        if gates > 0 {
            parts.push(counted(gates, "gate", if gates == 1 { one } else { many }));
        }
        parts.join(" and ")
    };
    let why = match verdict {
        Verdict::Invalid => both(
            f.invalid,
            g.invalid,
            "rests on a measurement that cannot be trusted",
            "rest on measurements that cannot be trusted",
        ),
        Verdict::Fail => both(f.fail, g.fail, "fails", "fail"),
        Verdict::Inconclusive => both(
            f.inconclusive,
            g.inconclusive,
            "could not be decided",
            "could not be decided",
        ),
        Verdict::Warn => both(
            f.warn,
            g.warn,
            "passes with a reservation",
            "pass with a reservation",
        ),
        Verdict::Pass => match (f.all(), g.all()) {
            (0, 0) => String::new(),
            (_, 0) => format!("all {} passed", plural(f.all(), "check")),
            (0, _) => format!("all {} passed", plural(g.all(), "gate")),
            _ => format!(
                "all {} and {} passed",
                plural(f.all(), "check"),
                plural(g.all(), "gate")
            ),
        },
    };
    let parts: Vec<&str> = [why.as_str(), cut]
        .into_iter()
        .filter(|p| !p.is_empty())
        .collect();
    if parts.is_empty() {
        "nothing was checked".to_owned()
    } else {
        parts.join("; ")
    }
}

fn end(facts: &RunFacts) -> Option<String> {
    match facts.end {
        RunEnd::Finished => None,
        RunEnd::Interrupted => Some(format!(
            "The run was stopped by the user after {}; this report covers what was recorded until then.",
            span(facts.duration)
        )),
        RunEnd::Killed => Some(format!(
            "The recording has no end: the run was killed, or it is still running. This report covers its first {}.",
            span(facts.duration)
        )),
    }
}

fn load(run: &RunRecord, facts: &RunFacts, summary: &Summary) -> String {
    if summary.offered == 0 {
        return "No request was recorded, so nothing is known about the target's behaviour.".to_owned();
    }
    let own = match summary.own {
        0 => String::new(),
        1 => " 1 was shed or cut off by the generator and says nothing about the target.".to_owned(),
        own => format!(
            " {} were shed or cut off by the generator and say nothing about the target.",
            count(own)
        ),
    };
    let sent = summary.ok + summary.failed;
    format!(
        "Within {}, {} {} sent in {}: {} answered as expected, {} not.{own}",
        span(facts.duration),
        plural(sent, "request"),
        if sent == 1 { "was" } else { "were" },
        plural(
            run.phases.iter().filter(|p| !p.is_of_null_target()).count() as u64,
            "phase"
        ),
        were(summary.ok),
        were(summary.failed),
    )
}

fn unfinished(run: &RunRecord) -> Option<String> {
    let names: Vec<String> = run
        .unfinished()
        .map(|s| format!("\"{}\"", phase_label(run, &s.phase.experiment, &s.phase.name)))
        .collect();
    match names.len() {
        0 => None,
        1 => Some(format!("The phase {} left no figures.", names[0])),
        _ => Some(format!("The phases {} left no figures.", join(&names))),
    }
}

fn checks(summary: &Summary) -> Option<String> {
    let f = &summary.findings;
    (f.all() > 0).then(|| format!("Of {}, {}.", plural(f.all(), "check"), tally(f)))
}

fn gates(summary: &Summary) -> Option<String> {
    let g = &summary.gates;
    (g.all() > 0).then(|| format!("Of {}, {}.", plural(g.all(), "gate"), tally(g)))
}

/// How many tests the gates made, and what keeps so many from calling a false FAIL.
fn tests(run: &RunRecord) -> Option<String> {
    let on_phases = run.gates.iter().filter(|g| !g.gate.phase.is_empty());
    let measured = on_phases.filter_map(|g| g.measured.as_ref());
    let tests = measured.filter(|f| f.ci.is_some()).count();
    (tests > 1).then(|| {
        format!(
            "{tests} of the gates are tests on intervals of 95 %; a FAIL is called only where Holm's correction over all of them \
             keeps the chance of any false one at 5 % or less."
        )
    })
}

fn tally(counts: &Counts) -> String {
    let parts: Vec<String> = [
        (
            counts.invalid,
            "rests on a measurement that cannot be trusted",
            "rest on measurements that cannot be trusted",
        ),
        (counts.fail, "fails", "fail"),
        (
            counts.inconclusive,
            "could not be decided",
            "could not be decided",
        ),
        (
            counts.warn,
            "passes with a reservation",
            "pass with a reservation",
        ),
        (counts.pass, "passes", "pass"),
    ]
    .into_iter()
    .filter(|(n, ..)| *n > 0)
    .map(|(n, one, many)| format!("{} {}", count(n), if n == 1 { one } else { many }))
    .collect();
    join(&parts)
}

fn claims(run: &RunRecord) -> Option<String> {
    if run.claims.is_empty() {
        return None;
    }
    let held = |upheld| run.claims.iter().filter(|c| c.upheld == upheld).count() as u64;
    let parts: Vec<String> = [
        (held(Upheld::Yes), "upheld"),
        (held(Upheld::No), "not upheld"),
        (held(Upheld::NotDecided), "not decided"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, what)| format!("{} {} {what}", count(n), if n == 1 { "is" } else { "are" }))
    .collect();
    Some(format!(
        "Of {} held against the measurements, {}.",
        plural(run.claims.len() as u64, "claim"),
        join(&parts)
    ))
}

fn invalid(run: &RunRecord) -> Option<String> {
    // A phase that was made again has its first name, and what rests on it rests on the last.
    let is_replaced = |phase: &PhaseSummary| {
        let same = |p: &&PhaseSummary| p.experiment == phase.experiment && p.name == phase.name;
        let mut later = run.phases.iter().filter(same).filter(|p| p.index > phase.index);
        later.any(|p| p.validity.is_valid())
    };
    let mut labels: Vec<(String, u64)> = Vec::new();
    for phase in run
        .phases
        .iter()
        .filter(|p| !p.validity.is_valid() && !is_replaced(p))
    {
        let label = phase_label(run, &phase.experiment, &phase.name);
        match labels.iter_mut().find(|(known, _)| *known == label) {
            Some((_, times)) => *times += 1,
            None => labels.push((label, 1)),
        }
    }
    let names: Vec<String> = labels
        .iter()
        .map(|(label, times)| match times {
            1 => format!("\"{label}\""),
            _ => format!("\"{label}\" ({} times)", count(*times)),
        })
        .collect();
    match (names.as_slice(), labels.iter().map(|(_, times)| times).sum()) {
        ([], _) => None,
        ([name], 1) => Some(format!(
            "The figures of the phase {name} cannot be trusted: see its validity."
        )),
        (names, _) => Some(format!(
            "The figures of the phases {} cannot be trusted: see their validity.",
            join(names)
        )),
    }
}

fn shared(run: &RunRecord) -> Option<String> {
    run.header.shared_host.then(|| {
        "The target ran on the generator's own host, so the two took processor time from each other."
            .to_owned()
    })
}

fn counted(n: u64, noun: &str, verb: &str) -> String {
    format!("{} {verb}", plural(n, noun))
}

fn were(n: u64) -> String {
    format!("{} {}", count(n), if n == 1 { "was" } else { "were" })
}

/// `1 phase`, `4,312 requests`.
pub(super) fn plural(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// `a, b and c`.
pub(super) fn join(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
