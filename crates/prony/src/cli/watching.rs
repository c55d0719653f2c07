//! The flags that say what of a target is watched while it is under load, and what stands behind it.

use clap::Args;

/// Flags of `check`, `run` and, beside a recording, `load`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct WatchArgs {
    /// Process to watch: memory, CPU, threads. By default the one that listens on the port, if it is on this host.
    #[arg(
        long,
        value_name = "PID",
        conflicts_with = "container",
        help_heading = "Watching"
    )]
    pub pid: Option<u32>,
    /// Container to watch, by name or id.
    #[arg(long, value_name = "NAME", help_heading = "Watching")]
    pub container: Option<String>,
    /// URL at which the target tells its metrics to Prometheus. By default the one that discovery finds; `load`, which discovers
    /// nothing, reads none.
    #[arg(long, value_name = "URL", help_heading = "Watching")]
    pub metrics_url: Option<String>,
    /// Metric to read there beside memory, CPU time and descriptors, by name. Repeat for more.
    #[arg(long = "gauge", value_name = "METRIC", help_heading = "Watching")]
    pub gauges: Vec<String>,
}

impl WatchArgs {
    /// Whether none was given.
    pub(crate) fn is_empty(&self) -> bool {
        self.pid.is_none() && self.container.is_none() && self.metrics_url.is_none() && self.gauges.is_empty()
    }
}

/// Flags of `check` and `run` about what the target consists of.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PartsArgs {
    /// Processes of a target `stdio:COMMAND`, started together; connections are dealt to them in turn. Default 1.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=64), help_heading = "Limits")]
    pub processes: Option<u32>,
    /// URL of a service that the target itself calls. It is asked, between loads, for its own counts and for the lengths of
    /// its contents, against which what the target says is held.
    #[arg(long, value_name = "URL", help_heading = "Watching")]
    pub upstream: Option<String>,
}
