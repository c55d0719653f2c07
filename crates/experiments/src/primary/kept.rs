//! Answers that look kept: an endpoint answers an input far faster once it has seen it. Load of the same few inputs then says nothing
//! of the work, so it is loaded with new ones, where a text makes them new. Functions of the recording; they must not know any cache.

use prony_model::{
    BodyCheck, Endpoint, Finding, Item, Outcome, OutcomeClass, PhaseResult, Recommendation, Request, Role,
    Scenario, Severity, Slots, Verdict,
};
use prony_stats::median;

use super::{requests, scenario, solo_ms};
use crate::RunView;
use crate::mutation::json_body;
use crate::text_slot::{TextSlot, text_slots};
use crate::timings::Timings;
use crate::wording::ms;

/// First calls with an input take at least so many times as long as later ones: what varies by itself hardly does.
pub(crate) const RATIO: f64 = 3.0;
/// And so much longer than the slowest later call, in ms: stalls of a busy machine are shorter.
const EXCESS_MS: f64 = 20.0;
/// Fewest later calls that tell how long they take.
const AGAIN_MIN: usize = 10;

/// What makes a text new, before a blank: filled in for every request.
const NEW: &str = "{{random.hex(12)}}";
/// Characters of both.
const NEW_CHARS: u64 = 13;

/// Times of an endpoint whose answers look kept.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Kept {
    /// The first call with an input, in ms.
    first_ms: f64,
    /// Later calls with the same inputs, in ms.
    again_ms: f64,
}

/// Whether the answers of an endpoint that computes look kept: the first call with each input, but for the endpoint's very first, took
/// far longer than the baseline's calls with the same inputs. `None` as well where that is not known.
fn kept(run: &RunView<'_>, endpoint: &Endpoint) -> Option<Kept> {
    if endpoint.role != Role::Inference {
        return None;
    }
    let preflight = Timings::of(run.phase("coverage", "preflight")?, &endpoint.name);
    let very_first = preflight.samples().find(|s| !s.outcome.is_own())?.item;
    let mut firsts: Vec<f64> = preflight
        .good()
        .filter(|s| s.item != very_first)
        .map(|s| s.service().as_millis_f64())
        .collect();
    let mut again = Timings::of(run.phase("baseline", &endpoint.name)?, &endpoint.name).service_ms();
    if firsts.is_empty() || again.len() < AGAIN_MIN {
        return None;
    }
    let slowest_ms = again.iter().copied().fold(0.0, f64::max);
    let kept = Kept {
        first_ms: median(&mut firsts),
        again_ms: median(&mut again),
    };
    (kept.first_ms >= RATIO * kept.again_ms && kept.first_ms - slowest_ms > EXCESS_MS).then_some(kept)
}

/// The requests that load an endpoint, and what one of them takes alone.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// The requests in turn, as one scenario of the endpoint's name.
    pub scenario: Scenario,
    /// What one takes alone, in ms, where that is known.
    pub solo_ms: Option<f64>,
}

/// The load of an endpoint: its requests in turn; where its answers look kept and a request takes text, each request is a new one.
pub(crate) fn load(run: &RunView<'_>, endpoint: &Endpoint) -> Load {
    if let Some(kept) = kept(run, endpoint) {
        let items = requests(run, endpoint);
        let items: Vec<Item> = items.iter().filter_map(|item| renewed(endpoint, item)).collect();
        if !items.is_empty() {
            return Load {
                scenario: Scenario {
                    slots: Some(Slots::default()),
                    ..Scenario::new(endpoint.name.clone(), items)
                },
                solo_ms: Some(kept.first_ms),
            };
        }
    }
    Load {
        scenario: scenario(run, endpoint),
        solo_ms: solo_ms(run, endpoint),
    }
}

/// Whether each request of a phase of [`load`] was a new one.
pub(crate) fn is_new(phase: &PhaseResult) -> bool {
    phase.phase.scenarios.first().is_some_and(|s| s.slots.is_some())
}

/// A word on where the requests of a phase came from; empty where they are the endpoint's own.
pub(crate) fn note(phase: &PhaseResult) -> &'static str {
    if is_new(phase) {
        " Each request had a text of its own: inputs that were sent before are answered as if from a cache."
    } else {
        ""
    }
}

/// A finding on a phase of [`load`]. That all is well decides nothing where the answers look kept: new inputs were not tried. That
/// requests failed decides nothing where new texts were called wrong: the endpoint may take only what it knows.
pub(crate) fn unless_kept(run: &RunView<'_>, mut finding: Finding, phase: &PhaseResult) -> Finding {
    if are_wrong(phase) && matches!(finding.verdict, Verdict::Fail | Verdict::Warn) {
        finding.verdict = Verdict::Inconclusive;
        finding.severity = Severity::Low;
        finding.title = format!(
            "New texts were not taken, so nothing is said of load: {}",
            finding.title
        );
        finding.detail = format!(
            "Inputs that were sent before are answered as if from a cache, so each request had a text of its own, and most of those \
             that failed were called wrong and not too many. {}",
            finding.detail
        );
        finding.recommendation = Some(advice());
        return finding;
    }
    let loaded = phase.phase.scenarios.first().map(|s| s.name.as_str());
    let endpoint = run
        .surface
        .endpoints
        .iter()
        .find(|e| Some(e.name.as_str()) == loaded);
    let kept = endpoint.and_then(|e| kept(run, e));
    if let Some(kept) = kept.filter(|_| finding.verdict == Verdict::Pass && !is_new(phase)) {
        finding.verdict = Verdict::Inconclusive;
        finding.severity = Severity::Low;
        finding.title = format!(
            "Answers come as if from a cache, so load says little of the work: {}",
            finding.title
        );
        finding.detail = format!(
            "The first call with an input took about {}, later calls with the same inputs {}, and these were sent again: new inputs may be \
             served in turns, or fail, where these were not. {}",
            ms(kept.first_ms),
            ms(kept.again_ms),
            finding.detail
        );
        finding.recommendation = Some(advice());
    }
    finding
}

/// How to load what keeps its answers.
fn advice() -> Recommendation {
    Recommendation {
        advice: "Switch the cache off for the test, or load requests that differ each time from a suite (`{{random.hex(8)}}`)."
            .to_owned(),
        because: String::new(),
    }
}

/// Whether new texts failed for what they are: most failures are a client error, or an answer that is not the one expected.
fn are_wrong(phase: &PhaseResult) -> bool {
    let count = |wanted: fn(Outcome) -> bool| phase.samples.iter().filter(|s| wanted(s.outcome)).count();
    let wrong = count(|o| matches!(o.class(), OutcomeClass::ClientError | OutcomeClass::WrongAnswer));
    is_new(phase) && 2 * wrong > count(Outcome::is_failure)
}

/// The item with something new before its text, filled in for every request; `None` where it takes no text, has no room, or expects
/// what belongs to its own text.
fn renewed(endpoint: &Endpoint, item: &Item) -> Option<Item> {
    let request = &item.request;
    if has_braces(request) || item.expect.body.iter().any(is_of_one_input) {
        return None;
    }
    let request = text_slots(endpoint, request)
        .into_iter()
        .find_map(|slot| with_new(request, &slot))?;
    Some(Item {
        request,
        expect: item.expect.clone(),
    })
}

/// Whether a request has text that would be filled in as well.
fn has_braces(request: &Request) -> bool {
    let in_body = request.body.to_bytes().unwrap_or_default();
    request.path.contains("{{")
        || request.headers.iter().any(|h| h.value.contains("{{"))
        || in_body.windows(2).any(|pair| pair == b"{{")
}

/// Whether a check asks for the answer to one input.
fn is_of_one_input(check: &BodyCheck) -> bool {
    matches!(
        check,
        BodyCheck::Contains(_)
            | BodyCheck::Regex(_)
            | BodyCheck::JsonEquals { .. }
            | BodyCheck::Own { .. }
            | BodyCheck::Xxh3(_)
            | BodyCheck::SentBy(_)
    )
}

/// The request with something new before the text in that place; the text itself stays, so that the work does.
fn with_new(request: &Request, slot: &TextSlot) -> Option<Request> {
    let in_body = json_body(request).and_then(|body| {
        let text = body.pointer(&format!("/{}", slot.name()))?.as_str()?;
        Some((format!("{NEW} {text}"), text.chars().count()))
    });
    // In a query a text stands as it is escaped, and is put back so.
    let in_query = || {
        let (_, query) = request.path.split_once('?')?;
        let text = query
            .split('&')
            .find_map(|pair| pair.strip_prefix(slot.name())?.strip_prefix('='))?;
        Some((format!("{NEW}%20{text}"), text.chars().count()))
    };
    let (text, chars) = in_body.or_else(in_query)?;
    let fits = (chars as u64).saturating_add(NEW_CHARS) <= slot.chars_max;
    let made = fits.then(|| slot.with(request, &text)).flatten();
    // A blank would end the path.
    made.filter(|made| !made.path.contains(' '))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prony_model::{
        BodyCheck, Budget, Capture, Endpoint, Expect, Finding, JsonText, Limits, Nanos, Outcome, Parameter,
        Phase, PhaseResult, Place, Request, Role, Sample, SampleRequest, Scenario, Severity, Shape, Surface,
        Verdict,
    };
    use serde_json::json;

    use super::{is_new, kept, load, unless_kept};
    use crate::draft::Draft;
    use crate::fake::summary;
    use crate::mutation::json_body;
    use crate::{BuildContext, RunView, Step, find};

    const FIRST_MS: f64 = 200.0;
    const AGAIN_MS: f64 = 1.0;

    /// An endpoint that computes, with three requests.
    fn endpoint(requests: impl Fn(u32) -> Request) -> Endpoint {
        Endpoint {
            name: "POST /work".into(),
            method: "POST".into(),
            path: "/work".into(),
            role: Role::Inference,
            parameters: Vec::new(),
            body_schema: None,
            declared_statuses: Vec::new(),
            samples: (0..3)
                .map(|k| SampleRequest {
                    request: requests(k),
                    inputs: BTreeMap::new(),
                })
                .collect(),
            expect: Expect::default(),
        }
    }

    fn of_numbers() -> Endpoint {
        endpoint(|k| Request::json("POST", "/work", &json!({ "input": k })))
    }

    fn of_texts() -> Endpoint {
        endpoint(|k| Request::json("POST", "/work", &json!({ "text": format!("say {k}") })))
    }

    fn phase(experiment: &str, name: &str, scenario: Scenario, shape: Shape) -> Phase {
        Phase {
            name: name.into(),
            experiment: experiment.into(),
            scenarios: vec![scenario],
            shape,
            limits: Limits::default(),
            capture: Capture::NONE,
        }
    }

    /// Requests one after another that took so long, their items in turn.
    fn recorded(phase: Phase, index: u16, times_ms: &[f64]) -> PhaseResult {
        let items = phase.scenarios[0].items.len();
        let mut now = Nanos(1);
        let samples: Vec<Sample> = times_ms
            .iter()
            .enumerate()
            .map(|(k, ms)| {
                let sent = now;
                now += Nanos::from_millis_f64(*ms);
                Sample {
                    seq: k as u64,
                    item: (k % items) as u32,
                    intended: sent,
                    sent,
                    first_byte: now,
                    done: now,
                    ..Sample::default()
                }
            })
            .collect();
        PhaseResult {
            index,
            summary: summary(&phase, index, &samples, now),
            phase,
            samples,
            samples_cut: false,
            captures: Vec::new(),
            streams: Vec::new(),
            readings: Vec::new(),
        }
    }

    /// A preflight that took these times, and a baseline of which each request took so long.
    fn history(endpoint: &Endpoint, first_ms: [f64; 3], again_ms: f64) -> (Surface, Vec<PhaseResult>) {
        let scenario = Scenario::new(endpoint.name.clone(), endpoint.items());
        let once = Shape::Once { duration_s: None };
        let one_by_one = Shape::Sequential {
            requests: 30,
            duration_s: None,
        };
        let preflight = phase("coverage", "preflight", scenario.clone(), once);
        let baseline = phase("baseline", &endpoint.name, scenario, one_by_one);
        let phases = vec![
            recorded(preflight, 0, &first_ms),
            recorded(baseline, 1, &[again_ms; 30]),
        ];
        let surface = Surface {
            endpoints: vec![endpoint.clone()],
            ..Surface::default()
        };
        (surface, phases)
    }

    fn view<'a>(surface: &'a Surface, phases: &'a [PhaseResult]) -> RunView<'a> {
        RunView {
            surface,
            phases,
            cores: 2,
            shared_host: false,
        }
    }

    #[test]
    fn answers_look_kept_where_each_input_was_slow_once() {
        let is_kept = |first_ms: [f64; 3], again_ms: f64| {
            let endpoint = of_numbers();
            let (surface, phases) = history(&endpoint, first_ms, again_ms);
            kept(&view(&surface, &phases), &endpoint).is_some()
        };
        assert!(is_kept([FIRST_MS; 3], AGAIN_MS));
        assert!(!is_kept([FIRST_MS; 3], FIRST_MS));
        // What is made once for all inputs is no cache.
        assert!(!is_kept([FIRST_MS, AGAIN_MS, AGAIN_MS], AGAIN_MS));
        assert!(!is_kept([10.0; 3], AGAIN_MS), "nobody could tell it from a stall");
        let listing = Endpoint {
            role: Role::Listing,
            ..of_numbers()
        };
        let (surface, phases) = history(&listing, [FIRST_MS; 3], AGAIN_MS);
        assert_eq!(kept(&view(&surface, &phases), &listing), None);
    }

    #[test]
    fn a_text_is_new_for_every_request_and_stays_what_it_was() {
        let endpoint = of_texts();
        let (surface, phases) = history(&endpoint, [FIRST_MS; 3], AGAIN_MS);
        let loaded = load(&view(&surface, &phases), &endpoint);
        assert!(loaded.scenario.slots.is_some());
        assert!(loaded.solo_ms.is_some_and(|ms| (ms - FIRST_MS).abs() < 1e-6));
        let texts: Vec<_> = loaded
            .scenario
            .items
            .iter()
            .map(|item| json_body(&item.request).unwrap()["text"].clone())
            .collect();
        let new = |k: u32| json!(format!("{{{{random.hex(12)}}}} say {k}"));
        assert_eq!(texts, [new(0), new(1), new(2)]);
        // Where nothing is kept, nothing is new.
        let (surface, phases) = history(&endpoint, [FIRST_MS; 3], FIRST_MS);
        let plain = load(&view(&surface, &phases), &endpoint).scenario;
        assert_eq!((plain.slots, plain.items), (None, endpoint.items()));
    }

    /// The path of the first request under load of an endpoint that takes up to 64 characters in a query.
    fn path_under_load(text: &str, checks: Vec<BodyCheck>) -> String {
        let mut endpoint = endpoint(|_| Request::get(format!("/work?q={text}&n=2")));
        endpoint.parameters = vec![Parameter {
            name: "q".into(),
            place: Place::Query,
            required: true,
            schema: JsonText(json!({"type": "string", "maxLength": 64})),
        }];
        endpoint.expect.body = checks;
        let (surface, phases) = history(&endpoint, [FIRST_MS; 3], AGAIN_MS);
        let scenario = load(&view(&surface, &phases), &endpoint).scenario;
        scenario.items[0].request.path.clone()
    }

    #[test]
    fn a_text_in_a_query_stays_escaped_and_is_left_alone_where_it_must_be() {
        let (text, long) = ("old%20map", "m".repeat(60));
        assert_eq!(
            path_under_load(text, Vec::new()),
            "/work?q={{random.hex(12)}}%20old%20map&n=2"
        );
        assert_eq!(path_under_load(&long, Vec::new()), format!("/work?q={long}&n=2"));
        let of_this_text = vec![BodyCheck::Contains("map".into())];
        assert_eq!(path_under_load(text, of_this_text), "/work?q=old%20map&n=2");
        assert_eq!(path_under_load("{{seq}}", Vec::new()), "/work?q={{seq}}&n=2");
    }

    /// What becomes of a PASS under load of an endpoint whose answers look kept.
    fn concluded(endpoint: &Endpoint) -> (bool, Finding) {
        let (surface, phases) = history(endpoint, [FIRST_MS; 3], AGAIN_MS);
        let run = view(&surface, &phases);
        let burst = Shape::Burst {
            size: 9,
            count: 1,
            interval_s: 0.0,
        };
        let loaded = phase("burst", "burst", load(&run, endpoint).scenario, burst);
        let loaded = recorded(loaded, 2, &[AGAIN_MS; 9]);
        let passed = Draft::new("burst", "burst", &endpoint.name)
            .title("all is well")
            .done();
        (is_new(&loaded), unless_kept(&run, passed, &loaded))
    }

    #[test]
    fn load_of_kept_answers_decides_nothing_and_that_of_new_ones_does() {
        let (is_new, finding) = concluded(&of_numbers());
        assert_eq!((is_new, finding.verdict), (false, Verdict::Inconclusive));
        assert!(finding.title.contains("cache") && finding.title.ends_with("all is well"));
        let (is_new, finding) = concluded(&of_texts());
        assert_eq!((is_new, finding.verdict), (true, Verdict::Pass));
    }

    #[test]
    fn new_texts_that_are_called_wrong_are_no_failure_under_load() {
        let endpoint = of_texts();
        let (surface, phases) = history(&endpoint, [FIRST_MS; 3], AGAIN_MS);
        let run = view(&surface, &phases);
        let one_by_one = Shape::Sequential {
            requests: 9,
            duration_s: None,
        };
        let planned = phase("burst", "burst", load(&run, &endpoint).scenario, one_by_one);
        let verdict = |outcome: Outcome| {
            let mut result = recorded(planned.clone(), 2, &[AGAIN_MS; 9]);
            for sample in &mut result.samples {
                sample.outcome = outcome;
            }
            let failed = Draft::new("burst", "burst", &endpoint.name)
                .verdict(Verdict::Fail, Severity::High)
                .done();
            unless_kept(&run, failed, &result).verdict
        };
        assert_eq!(verdict(Outcome::Status4xx), Verdict::Inconclusive);
        assert_eq!(verdict(Outcome::Status5xx), Verdict::Fail);
    }

    /// The first phase of an experiment under load, and the verdict of its first finding on it, where each answer took so long.
    fn under_load(name: &str, endpoint: &Endpoint, again_ms: f64) -> (Phase, Option<Verdict>) {
        let (surface, mut phases) = history(endpoint, [FIRST_MS; 3], again_ms);
        let def = find(name).unwrap();
        let limits = Limits::default();
        let context = BuildContext {
            surface: &surface,
            budget: Budget::Quick,
            time_s: def.time.most_s(Budget::Quick),
            seed: 7,
            limits: &limits,
        };
        let mut experiment = (def.build)(&context, &json!({})).expect("defaults are accepted");
        let Step::Run(planned) = experiment.next(&view(&surface, &phases)) else {
            panic!("{name} has nothing to run");
        };
        let (steps, each) = match &planned.shape {
            Shape::Ladder { connections, .. } => (connections.len(), 40),
            _ => (1, 10),
        };
        let mut result = recorded(planned.clone(), 2, &vec![again_ms; steps * each]);
        for (k, sample) in result.samples.iter_mut().enumerate() {
            sample.step = (k / each) as u16;
        }
        phases.push(result);
        let findings = experiment.conclude(&view(&surface, &phases));
        (planned, findings.first().map(|f| f.verdict))
    }

    #[test]
    fn the_experiments_under_load_send_new_requests_or_say_that_they_cannot() {
        for name in ["burst", "ladder"] {
            let (planned, verdict) = under_load(name, &of_numbers(), 0.3);
            assert!(planned.scenarios[0].slots.is_none());
            assert_eq!(verdict, Some(Verdict::Inconclusive), "{name}");
            let (planned, _) = under_load(name, &of_texts(), 0.3);
            assert!(planned.scenarios[0].slots.is_some(), "{name}");
        }
    }
}
