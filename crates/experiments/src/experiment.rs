//! What an experiment is.

use prony_model::{Budget, Finding, Limits, Phase, Surface};
use schemars::Schema;
use serde::de::DeserializeOwned;

use crate::RunView;

/// The static description of an experiment: registry entry, help text, reference page and config schema.
pub struct ExperimentDef {
    /// Key in a suite: `[experiment.NAME]`. Kebab-case.
    pub name: &'static str,
    /// Title of its section in the report.
    pub title: &'static str,
    /// The question it answers, as a person would ask it.
    pub question: &'static str,
    /// The least budget at which `prony check` plans it.
    pub from_budget: Budget,
    /// What its conclusions rest on.
    pub basis: Basis,
    /// Experiments whose recordings it looks at: they come with it when it is asked for alone.
    pub needs: &'static [&'static str],
    /// How long it takes.
    pub time: Time,
    /// Makes one from its parameters (an empty object means the defaults of the budget).
    pub build: Build,
    /// JSON Schema of the parameters.
    pub schema: fn() -> Schema,
    /// The TOML of a suite that sets a parameter.
    pub example: &'static str,
}

/// What conclusions rest on, and so what can undermine them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// When requests were sent and answered.
    Times,
    /// What answers held, and how many there were, whenever they came.
    Answers,
}

impl Basis {
    /// Whether an issue of validity, by its name, takes the ground away. A generator that was late, or a machine that was
    /// busy, changes nothing of what an answer held.
    pub fn is_undermined_by(self, issue: &str) -> bool {
        match self {
            Self::Times => true,
            Self::Answers => matches!(issue, "dropped" | "little"),
        }
    }
}

/// How long an experiment takes, in seconds at each budget (quick, standard, thorough).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Time {
    /// It asks nothing of its own: it concludes from what others recorded.
    None,
    /// As long as a number of requests takes.
    Bounded {
        /// On a target that answers in some tens of milliseconds.
        usual_s: [f64; 3],
        /// On a slow target, where it ends with what it has.
        most_s: [f64; 3],
        /// How many answers it waits for, one after another: the time of so many is added where the target is slow. 0 for one that
        /// few targets are asked, or that does not wait for answers.
        answers: [f64; 3],
    },
    /// As long as it is given: the more, the narrower its intervals.
    Filled {
        /// By default.
        usual_s: [f64; 3],
        /// How many answers, one after another, it needs to say anything: on a slow target it is given that time, up to
        /// three times the usual one.
        answers: f64,
    },
}

/// How many times the usual time an experiment that takes what it is given gets on a slow target, at most.
pub(crate) const SLOW_TIMES_MAX: f64 = 3.0;

impl Time {
    /// What to plan for it.
    pub fn usual_s(self, budget: Budget) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Bounded { usual_s, .. } | Self::Filled { usual_s, .. } => usual_s[budget as usize],
        }
    }

    /// What to plan for it on a target that takes so many seconds for an answer.
    pub fn slow_s(self, budget: Budget, answer_s: f64) -> f64 {
        let usual_s = self.usual_s(budget);
        match self {
            Self::None => 0.0,
            Self::Bounded { most_s, answers, .. } => {
                let slow_s = usual_s + answers[budget as usize] * answer_s;
                slow_s.min(most_s[budget as usize].max(usual_s))
            }
            Self::Filled { answers, .. } => (answers * answer_s).clamp(usual_s, SLOW_TIMES_MAX * usual_s),
        }
    }

    /// What to give it by default.
    pub fn most_s(self, budget: Budget) -> f64 {
        match self {
            Self::Bounded { most_s, .. } => most_s[budget as usize],
            Self::None | Self::Filled { .. } => self.usual_s(budget),
        }
    }
}

/// Makes an experiment from its parameters, or says what is wrong with them.
pub type Build = fn(&BuildContext<'_>, &serde_json::Value) -> Result<Box<dyn Experiment>, ParamError>;

/// What an experiment may know before its first phase.
#[derive(Clone, Copy, Debug)]
pub struct BuildContext<'a> {
    /// The target's endpoints.
    pub surface: &'a Surface,
    /// How deep it looks.
    pub budget: Budget,
    /// Seconds that it may take where its parameters do not say.
    pub time_s: f64,
    /// Seed of its random choices.
    pub seed: u64,
    /// Limits for its phases.
    pub limits: &'a Limits,
}

/// One question in progress.
pub trait Experiment {
    /// The next phase to run, given everything recorded so far. Called again after each phase.
    /// The phase's `experiment` must be the definition's name.
    fn next(&mut self, run: &RunView<'_>) -> Step;

    /// What the recording allows to say. Called once, after `Step::Done` or when the run was cut short;
    /// with too little data the findings say so (INCONCLUSIVE), they never guess.
    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding>;
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Run this phase.
    Run(Phase),
    /// Start the target's process anew and run this phase on it. Among its readings is the course of the start, `start`, at the
    /// moment of it. Where the target cannot be started, the experiment is over.
    Restarted(Phase),
    /// Run this phase and tell the target's process to stop in the middle. Among its readings is the end of the process, `stop`,
    /// at the moment of the signal. Where the target cannot be started again, the experiment is over.
    Stopped {
        /// The phase. Its requests go on after the signal.
        phase: Phase,
        /// The signal comes so long after its beginning.
        after_ms: u64,
    },
    /// Nothing more to run.
    Done,
}

/// A parameter that an experiment does not accept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParamError {
    /// What is wrong and what would be right.
    pub message: String,
}

/// Reads parameters strictly: an unknown key is an error.
pub(crate) fn params<P: DeserializeOwned>(value: &serde_json::Value) -> Result<P, ParamError> {
    serde_json::from_value(value.clone()).map_err(|e| ParamError {
        message: e.to_string(),
    })
}
