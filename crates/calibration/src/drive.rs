//! Runs experiments against a server in simulated time, as the tool does against a real one.

use prony_engine::{Engine, EngineOptions, Inner, NoSink, Scripted, ScriptedServer, Target};
use prony_experiments::{BuildContext, RunView, Step};
use prony_model::{Budget, Finding, Limits, Phase, PhaseResult, Reading, Secret, Surface};

/// What a driven run left.
#[derive(Debug)]
pub(crate) struct Driven {
    pub phases: Vec<PhaseResult>,
    pub findings: Vec<Finding>,
}

impl Driven {
    /// The first finding with that id.
    pub(crate) fn finding(&self, id: &str) -> Option<&Finding> {
        self.findings.iter().find(|f| f.id == id)
    }
}

/// A run of experiments to drive.
pub(crate) struct Drive<'a> {
    pub surface: &'a Surface,
    pub budget: Budget,
    pub seed: u64,
    /// What the monitors would have read during a phase; it sees what the phase recorded.
    pub monitor: &'a mut dyn FnMut(&PhaseResult) -> Vec<Reading>,
}

impl Drive<'_> {
    /// Runs the named experiments with their parameters, in order, against one server that keeps its state throughout.
    pub(crate) fn run(
        self,
        experiments: &[(&str, serde_json::Value)],
        server: impl Scripted + 'static,
    ) -> Driven {
        self.run_with(None, experiments, server)
    }

    /// The same with a secret in a header of every request.
    pub(crate) fn run_with(
        self,
        secret: Option<(&str, Secret)>,
        experiments: &[(&str, serde_json::Value)],
        server: impl Scripted + 'static,
    ) -> Driven {
        let mut target =
            Target::within(Inner::Scripted(ScriptedServer::new(server))).expect("an inner target is sound");
        if let Some((name, value)) = secret {
            target.masked.push(value.clone());
            target.headers.push((name.to_owned(), value));
        }
        let options = EngineOptions {
            seed: self.seed,
            ..EngineOptions::default()
        };
        let mut engine = Engine::new(&target, options).expect("nothing to connect to");
        let limits = Limits::default();
        let mut phases: Vec<PhaseResult> = Vec::new();
        let mut findings = Vec::new();
        for (name, params) in experiments {
            let def = prony_experiments::find(name).expect("registered");
            let context = BuildContext {
                surface: self.surface,
                budget: self.budget,
                time_s: def.time.most_s(self.budget),
                seed: self.seed,
                limits: &limits,
            };
            let mut experiment = (def.build)(&context, params).expect("parameters are accepted");
            while let Step::Run(phase) = experiment.next(&view(self.surface, &phases)) {
                let mut result = perform(&mut engine, phases.len() as u16, phase);
                result.readings = (self.monitor)(&result);
                phases.push(result);
            }
            findings.extend(experiment.conclude(&view(self.surface, &phases)));
        }
        Driven { phases, findings }
    }
}

/// One phase against a server in simulated time.
pub(crate) fn perform(engine: &mut Engine, index: u16, phase: Phase) -> PhaseResult {
    engine
        .run(index, phase, &mut NoSink)
        .expect("a phase in simulated time runs")
}

fn view<'a>(surface: &'a Surface, phases: &'a [PhaseResult]) -> RunView<'a> {
    RunView {
        surface,
        phases,
        cores: 16,
        shared_host: false,
    }
}
