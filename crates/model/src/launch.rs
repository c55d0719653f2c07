//! How to start and stop a target that runs on this machine. It starts nothing.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How `command` of a target is started, waited for and stopped: `[target.launch]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LaunchSpec {
    /// Folder that it is started in; by default that of whoever starts Prony.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Variables of its environment beside those of Prony's own, with their values; `{port}` stands for the target's port.
    /// No secrets here.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Variables of its environment that are called otherwise in Prony's own: `{ ANTHROPIC_API_KEY = "MY_KEY" }`. Their values
    /// are not recorded.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env_from: BTreeMap<String, String>,
    /// Path that answers with a success once the target is ready; by default the usual health paths are asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,
    /// How long it may take to become ready.
    pub start_timeout_ms: u64,
    /// What asks it to stop.
    pub stop_signal: StopSignal,
    /// How long it may take to stop before it is killed.
    pub stop_timeout_ms: u64,
}

impl Default for LaunchSpec {
    fn default() -> Self {
        Self {
            cwd: None,
            env: BTreeMap::new(),
            env_from: BTreeMap::new(),
            ready: None,
            start_timeout_ms: 60_000,
            stop_signal: StopSignal::Term,
            stop_timeout_ms: 30_000,
        }
    }
}

impl LaunchSpec {
    /// Whether nothing was said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A signal that asks a process to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum StopSignal {
    /// SIGTERM, which platforms send.
    #[default]
    Term,
    /// SIGINT, as Ctrl-C does.
    Int,
    /// SIGQUIT.
    Quit,
    /// SIGHUP.
    Hup,
}

impl StopSignal {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Term, Self::Int, Self::Quit, Self::Hup];

    /// `TERM`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Int => "INT",
            Self::Quit => "QUIT",
            Self::Hup => "HUP",
        }
    }
}
