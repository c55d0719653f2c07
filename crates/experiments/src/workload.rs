//! What a load experiment sends: scenarios of the suite that it was told to send, else the requests of an endpoint. It measures
//! nothing.

use prony_model::{Endpoint, Scenario};

use crate::primary::{heaviest, scenario};
use crate::{ParamError, RunView, streamed};

/// Requests that a search or a ladder sends.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    /// The endpoint, or the scenarios.
    pub name: String,
    /// What is sent, by weight.
    pub scenarios: Vec<Scenario>,
    /// Whether every answer is a stream of tokens.
    pub is_streamed: bool,
    /// Whether it is an endpoint's.
    pub is_endpoint: bool,
}

impl Workload {
    /// The scenarios of these names; `None` where the suite has one of them not.
    pub(crate) fn of_suite(run: &RunView<'_>, names: &[String]) -> Option<Self> {
        let find = |name: &String| run.surface.scenarios.iter().find(|s| s.name == *name).cloned();
        let scenarios: Vec<Scenario> = names.iter().map(find).collect::<Option<_>>()?;
        let is_streamed = !scenarios.is_empty()
            && scenarios
                .iter()
                .flat_map(|s| &s.items)
                .all(|item| item.expect.stream.is_some());
        Some(Self {
            name: names.join(" + "),
            is_streamed,
            scenarios,
            is_endpoint: false,
        })
    }

    /// The requests of the endpoint that does the most work: as streams where `streams` and it has some.
    pub(crate) fn heaviest(run: &RunView<'_>, streams: bool) -> Option<Self> {
        let endpoint = heaviest(run, 1).into_iter().next()?;
        Some(Self::of_endpoint(run, endpoint, streams))
    }

    fn of_endpoint(run: &RunView<'_>, endpoint: &Endpoint, streams: bool) -> Self {
        let streamed = streamed::scenario(run, endpoint);
        let is_streamed = streams && !streamed.items.is_empty();
        let sent = if is_streamed {
            streamed
        } else {
            scenario(run, endpoint)
        };
        Self {
            name: endpoint.name.clone(),
            scenarios: vec![sent],
            is_streamed,
            is_endpoint: true,
        }
    }
}

/// Whether names of scenarios that a suite gives make sense by themselves.
pub(crate) fn check(names: Option<&[String]>) -> Result<(), ParamError> {
    let Some(names) = names else { return Ok(()) };
    let repeated = (1..names.len()).any(|k| names[..k].contains(&names[k]));
    if names.is_empty() || repeated {
        return Err(ParamError {
            message: "`scenarios` names scenarios of the suite, each once".to_owned(),
        });
    }
    Ok(())
}
