//! Servers that misbehave on purpose: each ends in its own outcome, within its timeout and in bounded memory, and the
//! next request fares well. No test asserts how long anything takes.

mod corpus;
mod rogues;
mod server;
mod splits;

use std::sync::atomic::Ordering;
use std::thread;

use corpus::{Case, cases};
use prony_model::{Expect, OutcomeClass, Request};
use server::{limits, phase, run, scripted, sequential};

/// Of cases that a timeout ends, and of all others: far more than a busy machine needs.
const SHORT_MS: u64 = 1000;
const LONG_MS: u64 = 60_000;

/// Runs the case, then one more request, and says what was wrong.
fn check(case: &Case) -> Result<(), String> {
    let ends_by_timeout = case.outcome.class() == OutcomeClass::Timeout;
    let limits = limits(if ends_by_timeout { SHORT_MS } else { LONG_MS });
    let request = Request {
        method: case.method.to_owned(),
        ..Request::get("/")
    };
    let server = scripted(case.script.clone());
    let result = run(
        &server.url,
        phase(request, Expect::default(), limits, sequential(2)),
    );
    let [first, second] = result.captures.as_slice() else {
        return Err(format!("{} answers captured", result.captures.len()));
    };
    let got = (first.outcome, first.status, first.body_bytes);
    let expected = (case.outcome, case.status, case.body_bytes);
    if got != expected {
        return Err(format!("{got:?} instead of {expected:?}: {}", first.error));
    }
    if result.samples[0].outcome != case.outcome
        || first.error.is_empty() != (case.outcome == prony_model::Outcome::Ok)
    {
        return Err(format!(
            "the record says otherwise: {:?}, {first:?}",
            result.samples[0]
        ));
    }
    // HEAD gets a body from the good server as well; that is its fault alone.
    if second.status != 200 || (case.method == "GET" && second.outcome != prony_model::Outcome::Ok) {
        return Err(format!("the next request fared badly: {second:?}"));
    }
    let connections = server.connections.load(Ordering::SeqCst);
    if connections != 2 - usize::from(case.reusable) {
        return Err(format!("{connections} connections for two requests"));
    }
    Ok(())
}

/// Checks cases, several at once, and fails with all that went wrong.
fn check_all(wanted: impl Fn(&Case) -> bool) {
    let cases: Vec<Case> = cases().into_iter().filter(|case| wanted(case)).collect();
    assert!(!cases.is_empty());
    let faults: Vec<String> = thread::scope(|scope| {
        let checks: Vec<_> = cases
            .iter()
            .map(|case| (case, scope.spawn(|| check(case))))
            .collect();
        checks
            .into_iter()
            .filter_map(|(case, check)| Some(format!("{}: {}", case.name, check.join().unwrap().err()?)))
            .collect()
    });
    assert!(
        faults.is_empty(),
        "{} of {}:\n{}",
        faults.len(),
        cases.len(),
        faults.join("\n")
    );
}

#[test]
fn each_misdeed_has_its_outcome() {
    check_all(|case| case.outcome.class() != OutcomeClass::Timeout);
}

#[test]
fn what_only_a_timeout_ends() {
    check_all(|case| case.outcome.class() == OutcomeClass::Timeout);
}

#[test]
fn cases_have_names_of_their_own() {
    let mut names: Vec<&str> = cases().iter().map(|case| case.name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}
