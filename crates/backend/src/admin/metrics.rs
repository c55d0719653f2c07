//! The admin port's page for Prometheus: what the accounts of all presets hold, and what this process takes. A preset's own page, where
//! the imitated system has one, is on its service port.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::memory::resident_bytes;
use crate::recorder::{Samples, Sum};
use crate::stage::Stage;

/// Where the sums of a family come from.
type Sums = fn(&Samples) -> &[Sum];
/// Where the value of a gauge comes from.
type Gauge = fn(&Samples) -> u64;

/// The page in Prometheus' text format.
pub(crate) fn page(stages: &[Arc<Stage>]) -> String {
    let samples: Vec<(&str, Samples)> = stages
        .iter()
        .map(|stage| (stage.preset.name, stage.recorder.samples(stage.preset.name)))
        .collect();
    let mut page = String::new();
    head(
        &mut page,
        "prony_backend_requests_total",
        "counter",
        "Requests answered.",
    );
    for (labels, count) in samples.iter().flat_map(|(_, samples)| &samples.requests) {
        let _ = writeln!(page, "prony_backend_requests_total{{{labels}}} {count}");
    }
    let times: [(&str, &str, Sums); 2] = [
        (
            "prony_backend_service_seconds",
            "Time from the turn of a request to the end of its work.",
            |samples| &samples.service_s,
        ),
        (
            "prony_backend_sojourn_seconds",
            "Time from the head of a request to its answer.",
            |samples| &samples.sojourn_s,
        ),
    ];
    for (name, help, of) in times {
        head(&mut page, name, "summary", help);
        for (labels, sum, count) in samples.iter().flat_map(|(_, samples)| of(samples)) {
            let _ = writeln!(
                page,
                "{name}_sum{{{labels}}} {sum}\n{name}_count{{{labels}}} {count}"
            );
        }
    }
    let gauges: [(&str, &str, Gauge); 3] = [
        (
            "prony_backend_requests_in_system",
            "Requests present.",
            |samples| samples.in_system as u64,
        ),
        (
            "prony_backend_requests_in_service",
            "Requests in service.",
            |samples| samples.in_service as u64,
        ),
        (
            "prony_backend_requests_abandoned",
            "Requests that ended without an answer since the last reset.",
            |samples| samples.abandoned,
        ),
    ];
    for (name, help, of) in gauges {
        head(&mut page, name, "gauge", help);
        for (preset, samples) in &samples {
            let _ = writeln!(page, "{name}{{preset=\"{preset}\"}} {}", of(samples));
        }
    }
    faults(&mut page, stages);
    if let Some(bytes) = resident_bytes() {
        head(
            &mut page,
            "process_resident_memory_bytes",
            "gauge",
            "Resident memory.",
        );
        let _ = writeln!(page, "process_resident_memory_bytes {bytes}");
    }
    page
}

fn faults(page: &mut String, stages: &[Arc<Stage>]) {
    head(
        page,
        "prony_backend_faults_total",
        "counter",
        "Common faults that requests met.",
    );
    for stage in stages {
        for (id, count) in stage.front.faults.applied() {
            let preset = stage.preset.name;
            let _ = writeln!(
                page,
                "prony_backend_faults_total{{preset=\"{preset}\",fault=\"{id}\"}} {count}"
            );
        }
    }
    head(
        page,
        "prony_backend_leaked_bytes",
        "gauge",
        "Memory leaked on purpose.",
    );
    for stage in stages {
        let (bytes, _) = stage.front.faults.leaked();
        let _ = writeln!(
            page,
            "prony_backend_leaked_bytes{{preset=\"{}\"}} {bytes}",
            stage.preset.name
        );
    }
    head(
        page,
        "prony_backend_leaked_descriptors",
        "gauge",
        "File descriptors leaked on purpose.",
    );
    for stage in stages {
        let (_, descriptors) = stage.front.faults.leaked();
        let _ = writeln!(
            page,
            "prony_backend_leaked_descriptors{{preset=\"{}\"}} {descriptors}",
            stage.preset.name
        );
    }
}

fn head(page: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}");
}
