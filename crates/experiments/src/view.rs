//! What an experiment sees of the run so far.

use prony_model::{Endpoint, PhaseResult, Surface};

/// The recording so far, read-only.
#[derive(Clone, Copy, Debug)]
pub struct RunView<'a> {
    /// The target's endpoints.
    pub surface: &'a Surface,
    /// Every phase so far, in order, of all experiments.
    pub phases: &'a [PhaseResult],
    /// Cores of the machine the generator runs on.
    pub cores: u32,
    /// Whether the target shares them.
    pub shared_host: bool,
}

impl<'a> RunView<'a> {
    /// The phases of one experiment, in order.
    pub fn of(&self, experiment: &str) -> impl Iterator<Item = &'a PhaseResult> + use<'a, '_> {
        let phases = self.phases;
        let experiment = experiment.to_owned();
        phases.iter().filter(move |p| p.phase.experiment == experiment)
    }

    /// One phase of one experiment.
    pub fn phase(&self, experiment: &str, name: &str) -> Option<&'a PhaseResult> {
        self.phases
            .iter()
            .find(|p| p.phase.experiment == experiment && p.phase.name == name)
    }

    /// The endpoints that gave a correct answer in the coverage experiment. When that has not run (a suite without it), all endpoints.
    pub fn working_endpoints(&self) -> Vec<&'a Endpoint> {
        let asked: Vec<&PhaseResult> = self.of("coverage").collect();
        let worked = |endpoint: &Endpoint| {
            asked.iter().any(|phase| {
                phase.scenario(&endpoint.name).is_some_and(|index| {
                    phase
                        .samples
                        .iter()
                        .any(|s| s.scenario == index && s.outcome == prony_model::Outcome::Ok)
                })
            })
        };
        let all = self.surface.endpoints.iter();
        all.filter(|e| asked.is_empty() || worked(e)).collect()
    }
}
