//! Which endpoints answer with streams of tokens, and the records of their answers. Judges nothing.

use prony_model::{Endpoint, Item, Outcome, PhaseResult, Scenario, StreamRecord};

use crate::RunView;
use crate::primary::{heaviest, requests};

/// Up to `max` of the endpoints that the load experiments load whose answers are expected to be streams, longest first.
pub(crate) fn streaming<'a>(run: &RunView<'a>, max: usize) -> Vec<&'a Endpoint> {
    let mut endpoints = heaviest(run, usize::MAX);
    endpoints.retain(|endpoint| !items(run, endpoint).is_empty());
    endpoints.truncate(max);
    endpoints
}

/// The endpoint's streamed requests in turn, as one scenario of its name.
pub(crate) fn scenario(run: &RunView<'_>, endpoint: &Endpoint) -> Scenario {
    Scenario::new(endpoint.name.clone(), items(run, endpoint))
}

fn items(run: &RunView<'_>, endpoint: &Endpoint) -> Vec<Item> {
    let mut items = requests(run, endpoint);
    items.retain(|item| item.expect.stream.is_some());
    items
}

/// The records of the good answers of a scenario, in order of completion.
pub(crate) fn good<'a>(phase: &'a PhaseResult, scenario: &str) -> Vec<&'a StreamRecord> {
    let Some(index) = phase.scenario(scenario) else {
        return Vec::new();
    };
    phase
        .streams
        .iter()
        .filter(|r| r.scenario == index && r.outcome == Outcome::Ok && r.first_token.0 > 0)
        .collect()
}

/// Their times to first token in milliseconds.
pub(crate) fn ttft_ms(records: &[&StreamRecord]) -> Vec<f64> {
    let times = records.iter().filter_map(|r| r.ttft());
    times.map(prony_model::Nanos::as_millis_f64).collect()
}

/// From first to last token, in milliseconds.
pub(crate) fn streaming_ms(records: &[&StreamRecord]) -> Vec<f64> {
    records
        .iter()
        .map(|r| (r.last_token - r.first_token).as_millis_f64())
        .collect()
}
