//! The metrics for a scraper, in the text format of Prometheus, under the names that Triton has for them.

use std::fmt::Write as _;

use super::engine::{Count, Engine};

/// A counter of each model: its name, what it is and where it is read.
type Counter = (&'static str, &'static str, fn(&Count) -> u64);

/// The page.
pub(crate) fn page(engine: &Engine) -> String {
    const KINDS: [Counter; 4] = [
        (
            "nv_inference_request_success",
            "Number of successful inference requests.",
            |count| count.requests,
        ),
        ("nv_inference_count", "Number of inferences performed.", |count| {
            count.images
        }),
        (
            "nv_inference_queue_duration_us",
            "Time that requests waited, in microseconds.",
            |count| count.queue_ns / 1000,
        ),
        (
            "nv_inference_compute_infer_duration_us",
            "Time of inference, in microseconds.",
            |count| count.service_ns / 1000,
        ),
    ];
    let counts = engine.counts();
    let models = engine.registry.models();
    let mut text = String::new();
    for (name, help, value) in KINDS {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
        for (model, count) in models.iter().zip(&counts) {
            let key = model.variant.key;
            let _ = writeln!(text, "{name}{{model=\"{key}\",version=\"1\"}} {}", value(count));
        }
    }
    let gauges = [
        (
            "nv_inference_pending_request_count",
            "Requests that wait.",
            engine.waiting(),
        ),
        (
            "model_memory_held_bytes",
            "Memory of all loaded models.",
            engine.registry.held_bytes(),
        ),
    ];
    for (name, help, value) in gauges {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
    }
    text
}
