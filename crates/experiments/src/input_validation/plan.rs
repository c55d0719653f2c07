//! What is sent to one endpoint, in which order: its bad requests, with a good one in between. Pure.

use prony_model::{Endpoint, Item, Nanos, PhaseResult, Protection, Request, Scenario};

use super::REPEATS;
use super::case::NegativeCase;
use super::judge;
use crate::RunView;
use crate::answer::{Answer, answers};

/// Cases that are repeated at most.
const REPEATED_MAX: usize = 40;
/// Of the time for the first attempts, the share that good requests in between may take.
const GOOD_SHARE: f64 = 0.2;

/// The requests to one endpoint.
pub(super) struct Plan {
    /// Name of the endpoint and of the scenario.
    pub endpoint: String,
    /// The request that was answered well before.
    pub good: Option<Request>,
    pub cases: Vec<NegativeCase>,
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
