//! Which endpoints the load experiments load, and with which requests. A pure function of the recording, so that all of
//! them choose alike. It must not know any particular target.

use prony_model::{Endpoint, Item, Nanos, Outcome, PhaseResult, Role, Scenario, Shape};

use crate::RunView;
use crate::coverage::is_destructive;
use crate::tiles::{is_descriptor, visit};
use crate::timings::Timings;
use crate::token_counts::generates;

/// Fewest requests in a row whose failure means that an endpoint has stopped answering.
const STOPPED_MIN: u64 = 3;

/// Up to `max` endpoints that do the target's work and answered correctly: inference first, then tiles, media and resources, and last
/// the descriptors of tiles; in the order of the surface within a role. Not those that leave something behind: under load they would fill the
/// target. Where the person chose, only those, whatever they do.
pub(crate) fn primary<'a>(run: &RunView<'a>, max: usize) -> Vec<&'a Endpoint> {
    let mut endpoints: Vec<&Endpoint> = run
        .working_endpoints()
        .into_iter()
        .filter(|e| is_wanted(run, e) && !requests(run, e).is_empty() && !has_stopped(run, e))
        .collect();
    endpoints.sort_by_cached_key(|e| rank(run, e));
    endpoints.truncate(max);
    endpoints
}

fn is_wanted(run: &RunView<'_>, endpoint: &Endpoint) -> bool {
    if run.surface.chosen.is_empty() {
        let leaves = run.surface.leaves_behind(endpoint)
            || is_destructive(&endpoint.method)
            || only_accepts(run, endpoint);
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
        (is_limited(run, e), of_one, rank(run, e), std::cmp::Reverse(solo))
    });
    endpoints.truncate(max);
    endpoints
}

/// The endpoint that does the most work of those that answered at first, whatever became of them since: for a process that is
/// started anew.
pub(crate) fn restartable<'a>(run: &RunView<'a>) -> Option<&'a Endpoint> {
    run.working_endpoints()
        .into_iter()
        .filter(|e| is_wanted(run, e) && !requests(run, e).is_empty())
        .min_by_key(|e| {
            let solo = Nanos::from_millis_f64(solo_ms(run, e).unwrap_or(0.0));
            let of_one = e.path.contains('{') && generates(run, e);
            (of_one, rank(run, e), std::cmp::Reverse(solo))
        })
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

/// The endpoint's requests in turn, as one scenario of its name; of tiles those that a viewer asks for on a visit, over all levels.
pub(crate) fn scenario(run: &RunView<'_>, endpoint: &Endpoint) -> Scenario {
    let items = visit(run, endpoint).unwrap_or_else(|| requests(run, endpoint));
    Scenario::new(endpoint.name.clone(), items)
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

fn rank(run: &RunView<'_>, endpoint: &Endpoint) -> u8 {
    match endpoint.role {
        _ if is_descriptor(run, endpoint) => 4,
        Role::Inference => 0,
        Role::Tile => 1,
        Role::Media => 2,
        Role::Resource => 3,
        Role::Listing => 5,
        Role::Status => 6,
        Role::Health => 7,
        Role::Docs | Role::Metrics => 8,
    }
}

#[cfg(test)]
mod tests {
    use prony_model::{Budget, Surface};

    use super::{heaviest, scenario};
    use crate::RunView;
    use crate::fake::library::{Faults, Library, surface};
    use crate::fake::{Reply, run};

    #[test]
    fn load_on_a_tile_server_goes_to_tiles_of_several_levels_and_its_descriptor_comes_last() {
        let all = surface();
        let surface = Surface {
            endpoints: all
                .endpoints
                .into_iter()
                .filter(|e| e.path.starts_with("/maps") || e.path == "/v1/documents/{id}")
                .collect(),
            ..Surface::default()
        };
        let mut library = Library::new(Faults::default());
        let descriptor =
            br#"<Image Format="png" Overlap="1" TileSize="256"><Size Width="8000" Height="6000"/></Image>"#;
        let (phases, _) = run(&["coverage"], &surface, Budget::Quick, |r| {
            if r.path.contains(".dzi") {
                Reply::bytes(200, "application/xml", descriptor.to_vec())
            } else {
                library.answer(r)
            }
        });
        let view = RunView {
            surface: &surface,
            phases: &phases,
            cores: 2,
            shared_host: true,
        };
        let chosen = heaviest(&view, 3);
        let names: Vec<&str> = chosen.iter().map(|e| e.path.as_str()).collect();
        assert_eq!(
            names,
            [
                "/maps/{id}_files/{level}/{col}_{row}.png",
                "/v1/documents/{id}",
                "/maps/{id}.dzi"
            ]
        );
        let paths: Vec<String> = scenario(&view, chosen[0])
            .items
            .into_iter()
            .map(|i| i.request.path)
            .collect();
        let mut levels: Vec<&str> = paths.iter().filter_map(|p| p.split('/').nth(3)).collect();
        levels.sort_unstable();
        levels.dedup();
        // From the level that a window shows whole, 1000 x 750, to the last.
        assert_eq!(
            (levels, paths.len()),
            (vec!["10", "11", "12", "13"], 200),
            "{paths:?}"
        );
    }
}
