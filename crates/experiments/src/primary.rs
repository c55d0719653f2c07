//! Which endpoints the load experiments load, and with which requests. A pure function of the recording, so that all of
//! them choose alike. It must not know any particular target.

use prony_model::{Endpoint, Item, Nanos, Outcome, PhaseResult, Role, Scenario, Shape};

use crate::RunView;
use crate::coverage::is_destructive;
use crate::timings::Timings;
use crate::token_counts::generates;

/// Fewest requests in a row whose failure means that an endpoint has stopped answering.
const STOPPED_MIN: u64 = 3;

/// Up to `max` endpoints that do the target's work and answered correctly: inference first, then media, resources and
/// tiles; in the order of the surface within a role. Not those that leave something behind: under load they would fill the
/// target. Where the person chose, only those, whatever they do.
pub(crate) fn primary<'a>(run: &RunView<'a>, max: usize) -> Vec<&'a Endpoint> {
    let mut endpoints: Vec<&Endpoint> = run
        .working_endpoints()
        .into_iter()
        .filter(|e| is_wanted(run, e) && !requests(run, e).is_empty() && !has_stopped(run, e))
        .collect();
    endpoints.sort_by_key(|e| rank(e.role));
    endpoints.truncate(max);
    endpoints
}

fn is_wanted(run: &RunView<'_>, endpoint: &Endpoint) -> bool {
    if run.surface.chosen.is_empty() {
        let keeps = run.surface.keeps.contains(&endpoint.name);
        let leaves =
            endpoint.creates() || is_destructive(&endpoint.method) || keeps || only_accepts(run, endpoint);
        endpoint.is_work() && !leaves
    } else {
        run.surface.chosen.contains(&endpoint.name)
    }
}

/// Whether it answers that it will do the work later (202): load would pile up work that nobody waits for.
fn only_accepts(run: &RunView<'_>, endpoint: &Endpoint) -> bool {
    let Some(preflight) = run.phase("coverage", "preflight") else {
        return false;
    };
    let times = Timings::of(preflight, &endpoint.name);
    let mut good = times.samples().filter(|s| s.outcome == Outcome::Ok).peekable();
    good.peek().is_some() && good.all(|s| s.status == 202)
}

/// Up to `max` of the primary endpoints, within a role those first that take longest: load tells most about them. Those that a
/// rate limit has refused come last, since load on them tells of the limit; so do generations for one thing by its id, which
/// may keep what it is told. None where an endpoint that generates has stopped: load on what is left would tell nothing of the work.
pub(crate) fn heaviest<'a>(run: &RunView<'a>, max: usize) -> Vec<&'a Endpoint> {
    let mut endpoints = primary(run, usize::MAX);
    let stopped = |e: &&Endpoint| generates(run, e) && has_stopped(run, e);
    if run.surface.chosen.is_empty() && run.working_endpoints().iter().any(stopped) {
        return Vec::new();
    }
    endpoints.sort_by_cached_key(|e| {
        let solo = Nanos::from_millis_f64(solo_ms(run, e).unwrap_or(0.0));
        let of_one = e.path.contains('{') && generates(run, e);
        (is_limited(run, e), of_one, rank(e.role), std::cmp::Reverse(solo))
    });
    endpoints.truncate(max);
    endpoints
}

/// Whether a rate limit refused it before.
fn is_limited(run: &RunView<'_>, endpoint: &Endpoint) -> bool {
    run.phases.iter().any(|phase| {
        Timings::of(phase, &endpoint.name)
            .samples()
            .any(|s| s.outcome == Outcome::Status429)
    })
}

/// Whether it has stopped answering: of the last requests that were sent to it one at a time every one failed, whatever rate
/// limits have to do with it. Load on it would tell nothing but that.
pub(crate) fn has_stopped(run: &RunView<'_>, endpoint: &Endpoint) -> bool {
    let one_at_a_time = |phase: &&PhaseResult| {
        let alone = matches!(phase.phase.shape, Shape::Once { .. } | Shape::Sequential { .. });
        // Bad input may well be refused.
        alone && phase.phase.experiment != "input-validation"
    };
    let mut tallies = run
        .phases
        .iter()
        .rev()
        .filter(one_at_a_time)
        .map(|phase| Timings::of(phase, &endpoint.name).tally());
    tallies
        .find(|tally| tally.judged() >= STOPPED_MIN)
        .is_some_and(|tally| tally.good() == 0 && tally.broken() == tally.judged())
}

/// An endpoint that does no work: health, else status, documents or a listing. The network and the server's framework
/// are all that its time holds.
pub(crate) fn no_work<'a>(run: &RunView<'a>) -> Option<&'a Endpoint> {
    let order = [Role::Health, Role::Docs, Role::Status, Role::Listing];
    run.working_endpoints()
        .into_iter()
        .filter(|e| e.method == "GET" && !requests(run, e).is_empty())
        .filter_map(|e| {
            order
                .iter()
                .position(|role| *role == e.role)
                .map(|place| (place, e))
        })
        .min_by_key(|(place, _)| *place)
        .map(|(_, e)| e)
}

/// The requests of an endpoint that may be repeated under load: those that the preflight found to be answered well, or all
/// when there was no preflight.
pub(crate) fn requests(run: &RunView<'_>, endpoint: &Endpoint) -> Vec<Item> {
    let items = endpoint.items();
    let Some(preflight) = run.phase("coverage", "preflight") else {
        return items;
    };
    let good: Vec<u32> = Timings::of(preflight, &endpoint.name)
        .samples()
        .filter(|s| s.outcome == Outcome::Ok)
        .map(|s| s.item)
        .collect();
    items
        .into_iter()
        .enumerate()
        .filter(|(i, _)| good.contains(&(*i as u32)))
        .map(|(_, item)| item)
        .collect()
}

/// The endpoint's requests in turn, as one scenario of its name.
pub(crate) fn scenario(run: &RunView<'_>, endpoint: &Endpoint) -> Scenario {
    Scenario::new(endpoint.name.clone(), requests(run, endpoint))
}

/// What one request takes alone, in ms: the baseline's median, else the preflight's last good answer.
pub(crate) fn solo_ms(run: &RunView<'_>, endpoint: &Endpoint) -> Option<f64> {
    if let Some(baseline) = run.phase("baseline", &endpoint.name) {
        let mut times = Timings::of(baseline, &endpoint.name).service_ms();
        if !times.is_empty() {
            return Some(prony_stats::median(&mut times));
        }
    }
    let preflight = run.phase("coverage", "preflight")?;
    Timings::of(preflight, &endpoint.name)
        .service_ms()
        .last()
        .copied()
}

/// What a request that does no work takes, in ms: the mean of the client-floor experiment.
pub(crate) fn no_work_ms(run: &RunView<'_>) -> Option<f64> {
    let phase = run.phase("client-floor", "no-work")?;
    let times = Timings::all(phase).service_ms();
    (!times.is_empty()).then(|| prony_stats::mean(&times))
}

fn rank(role: Role) -> u8 {
    match role {
        Role::Inference => 0,
        Role::Media => 1,
        Role::Resource => 2,
        Role::Tile => 3,
        Role::Listing => 4,
        Role::Status => 5,
        Role::Health => 6,
        Role::Docs | Role::Metrics => 7,
    }
}
