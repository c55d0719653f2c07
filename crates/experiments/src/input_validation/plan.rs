//! What is sent to one endpoint, in which order: its bad requests, with a good one in between. Pure.

use prony_model::{Endpoint, Item, Nanos, PhaseResult, Protection, Request, SampleRequest, Scenario};
use serde_json::Value;

use super::case::NegativeCase;
use super::{REPEATS, forms, judge};
use crate::RunView;
use crate::answer::{Answer, answers, good_sample};
use crate::field::{limits_tokens, names_token_limit};
use crate::mutation::json_body;
use crate::token_counts::generates;

/// Cases that are repeated at most.
const REPEATED_MAX: usize = 40;
/// Of the time for the first attempts, the share that good requests in between may take.
const GOOD_SHARE: f64 = 0.2;
/// Names of inputs that a model is asked by: what it writes may well be what a template engine would make of them.
const ASKED_BY: [&str; 5] = ["prompt", "messages", "question", "instruction", "instructions"];

/// The requests to one endpoint.
pub(super) struct Plan {
    /// Name of the endpoint and of the scenario.
    pub endpoint: String,
    /// The request that was answered well before.
    pub good: Option<Request>,
    pub cases: Vec<NegativeCase>,
    /// Whether a model writes the answers.
    pub generates: bool,
    /// What was sent first: item by item.
    pub first: Vec<Sent>,
    /// What was sent to see failures again.
    pub again: Vec<Sent>,
}

/// One item of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The case of that index.
    Case(usize),
    /// The good request.
    Good,
}

impl Plan {
    /// With nothing in order yet.
    pub(super) fn new(endpoint: &str, good: Option<Request>, cases: Vec<NegativeCase>) -> Self {
        let mut plan = Self {
            endpoint: endpoint.to_owned(),
            good,
            cases,
            generates: false,
            first: Vec::new(),
            again: Vec::new(),
        };
        plan.order(1);
        plan
    }

    /// Every case, and the good request after each `every` of them and at the end.
    fn order(&mut self, every: usize) {
        let cases: Vec<usize> = (0..self.cases.len()).collect();
        self.first = cases
            .chunks(every)
            .flat_map(|chunk| self.with_good(chunk.iter().map(|&k| Sent::Case(k)).collect()))
            .collect();
    }

    fn with_good(&self, mut sent: Vec<Sent>) -> Vec<Sent> {
        if self.good.is_some() {
            sent.push(Sent::Good);
        }
        sent
    }

    /// Each case that failed, again so many times as it takes, and the good request after it; the good one alone when only
    /// that failed.
    pub(super) fn plan_repeats(&mut self, first: &PhaseResult) {
        let mut failed = Vec::new();
        let mut good_failed = false;
        for (sent, answer) in self.sent(&self.first, first) {
            match sent {
                Sent::Case(k) if judge::failure(&self.cases[k], &answer).is_some() => failed.push(k),
                Sent::Good => good_failed |= !answer.is_ok(),
                Sent::Case(_) => {}
            }
        }
        self.again = failed
            .into_iter()
            .take(REPEATED_MAX)
            .flat_map(|k| self.with_good(vec![Sent::Case(k); REPEATS]))
            .collect();
        if self.again.is_empty() && good_failed {
            self.again = self.with_good(Vec::new());
        }
    }

    /// The scenario that sends these.
    pub(super) fn scenario(&self, run: &RunView<'_>, order: &[Sent]) -> Scenario {
        let expect = run
            .surface
            .endpoints
            .iter()
            .find(|e| e.name == self.endpoint)
            .map(|e| e.expect.clone())
            .unwrap_or_default();
        let items = order
            .iter()
            .filter_map(|sent| match sent {
                Sent::Case(k) => Some(Item {
                    request: self.cases[*k].request.clone(),
                    expect: self.cases[*k].wanted.expect(),
                }),
                Sent::Good => Some(Item {
                    request: self.good.clone()?,
                    expect: expect.clone(),
                }),
            })
            .collect();
        Scenario::new(self.endpoint.clone(), items)
    }

    /// What came of a phase that sent `order`.
    pub(super) fn sent<'a>(&self, order: &[Sent], phase: &'a PhaseResult) -> Vec<(Sent, Answer<'a>)> {
        answers(phase, &self.endpoint)
            .into_iter()
            .filter_map(|answer| Some((*order.get(answer.item as usize)?, answer)))
            .collect()
    }
}

/// Spaces the good requests so that they take no more than their share of the time.
pub(super) fn pace(plans: &mut [Plan], run: &RunView<'_>, duration_s: f64) {
    let good_s: f64 = plans
        .iter()
        .filter(|p| p.good.is_some())
        .map(|p| p.cases.len() as f64 * typical_s(run, &p.endpoint))
        .sum();
    let every = (good_s / (GOOD_SHARE * duration_s)).ceil().max(1.0) as usize;
    for plan in plans {
        plan.order(every);
    }
}

/// The median time of a good answer of an endpoint in the preflight; nothing without one.
pub(super) fn typical_s(run: &RunView<'_>, endpoint: &str) -> f64 {
    let mut times: Vec<f64> = run
        .phase("coverage", "preflight")
        .map(|phase| answers(phase, endpoint))
        .unwrap_or_default()
        .iter()
        .filter(|a| a.is_ok())
        .map(|a| a.sample.service().as_millis_f64() / 1000.0)
        .collect();
    if times.is_empty() {
        return 0.0;
    }
    prony_stats::median(&mut times)
}

/// The slowest answer of the preflight.
pub(super) fn slowest_good(run: &RunView<'_>) -> Option<Nanos> {
    run.phase("coverage", "preflight")
        .into_iter()
        .flat_map(|p| &p.samples)
        .map(prony_model::Sample::service)
        .max()
}

/// The header that must carry credentials, where the document of an endpoint asks for them in one.
pub(super) fn guard<'a>(run: &RunView<'a>, endpoint: &str) -> Option<&'a str> {
    run.surface
        .protected
        .get(endpoint)?
        .iter()
        .find_map(|wanted| match wanted {
            Protection::Authorization(_) => Some("authorization"),
            Protection::Header(name) => Some(name.as_str()),
            Protection::Query(_) | Protection::Cookie(_) => None,
        })
}

/// Whether the run may load an endpoint anyway: it does work, leaves nothing behind and is among those chosen, if any were.
pub(super) fn may_be_loaded(run: &RunView<'_>, endpoint: &Endpoint) -> bool {
    let chosen = &run.surface.chosen;
    endpoint.is_work()
        && !run.surface.leaves_behind(endpoint)
        && (chosen.is_empty() || chosen.contains(&endpoint.name))
}

/// Whether a model may write the answers of an endpoint: they count their tokens or come as a stream of them, or its requests say
/// how many there may be, or ask in words.
pub(super) fn is_generating(run: &RunView<'_>, endpoint: &Endpoint, good: &SampleRequest) -> bool {
    let sent = json_body(&good.request);
    let schema = endpoint.body_schema.as_ref().map(|s| &s.0);
    let properties = schema.and_then(|s| s.get("properties"));
    let names = |value: Option<&Value>| {
        let mut inputs = value.and_then(Value::as_object).into_iter().flatten();
        inputs.any(|(name, _)| ASKED_BY.contains(&name.as_str()))
    };
    generates(run, endpoint)
        || endpoint.expect.stream.is_some()
        || sent.as_ref().into_iter().chain(schema).any(names_token_limit)
        || names(sent.as_ref())
        || names(properties)
        || endpoint
            .parameters
            .iter()
            .any(|p| ASKED_BY.contains(&p.name.as_str()))
}

/// What is not sent, or not judged, at the endpoints of this run: in words that continue a list.
pub(super) fn gaps(run: &RunView<'_>) -> Vec<&'static str> {
    let asked: Vec<(&Endpoint, &SampleRequest)> = run
        .surface
        .endpoints
        .iter()
        .filter_map(|endpoint| Some((endpoint, good_sample(endpoint, run)?)))
        .collect();
    let any = |is: &dyn Fn(&Endpoint, &SampleRequest) -> bool| {
        asked.iter().any(|(endpoint, good)| is(endpoint, good))
    };
    let limits = |e: &Endpoint, good: &SampleRequest| {
        json_body(&good.request).as_ref().is_some_and(names_token_limit)
            || e.body_schema
                .as_ref()
                .is_some_and(|schema| names_token_limit(&schema.0))
            || e.parameters.iter().any(|p| limits_tokens(&p.name))
    };
    let takes_files = |good: &SampleRequest| forms::is_form(&good.request) || forms::is_opaque(&good.request);
    let known = [
        (
            any(&|_, good| forms::is_form(&good.request)),
            "wrong values in the fields of forms",
        ),
        (
            any(&|e, good| run.surface.leaves_behind(e) && !e.is_call() && takes_files(good)),
            "bad files where they might be kept",
        ),
        (
            any(&|e, _| e.is_tool() && !may_be_loaded(run, e)),
            "tools that were not chosen, may leave something behind or only tell what there is",
        ),
        (
            any(&|e, _| e.is_tool() && may_be_loaded(run, e)),
            "arguments of tools that are neither missing nor of another type",
        ),
        (
            any(&|e, good| !e.is_tool() && limits(e, good)),
            "answers whose number of tokens has no limit, or a strange one",
        ),
        (
            any(&|e, good| !e.is_tool() && is_generating(run, e, good)),
            "templates where a model writes the answer",
        ),
    ];
    known
        .into_iter()
        .filter_map(|(is_there, what)| is_there.then_some(what))
        .collect()
}

/// Whether the path has that method.
pub(super) fn is_declared(run: &RunView<'_>, endpoint: &Endpoint, method: &str) -> bool {
    run.surface
        .endpoints
        .iter()
        .any(|e| e.path == endpoint.path && e.method == method)
}

#[cfg(test)]
mod tests {
    use prony_model::Request;

    use super::{Plan, Sent};
    use crate::input_validation::generate;

    #[test]
    fn good_requests_stand_between_the_bad_ones() {
        let case = || generate::unknown_path(1);
        let mut plan = Plan::new("GET /x", Some(Request::get("/x")), vec![case(), case(), case()]);
        let (c, g) = (Sent::Case, Sent::Good);
        assert_eq!(plan.first, [c(0), g, c(1), g, c(2), g]);
        plan.order(2);
        assert_eq!(plan.first, [c(0), c(1), g, c(2), g]);
        assert_eq!(Plan::new("GET /x", None, vec![case()]).first, [c(0)]);
    }
}
