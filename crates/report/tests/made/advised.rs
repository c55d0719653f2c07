//! Advice made by hand: every setting that a format knows, with a text of the caller's in every place that a target can fill.

use prony_model::{Advice, Figure, MetricNames, ProbeAddress, Setting, Source, Unmeasured};

/// Keys, values and units of every setting that there is.
const SETTINGS: [(&str, f64, &str); 25] = [
    ("plan.per_s", 33.6, "1/s"),
    ("concurrency.limit", 8.0, "requests"),
    ("queue.length", 60.0, "requests"),
    ("timeout.server_s", 2.4, "s"),
    ("timeout.balancer_s", 2.9, "s"),
    ("timeout.client_s", 3.5, "s"),
    ("retry.attempts_max", 3.0, "requests"),
    ("retry.budget_share", 0.1, "share"),
    ("workers.min", 2.0, "workers"),
    ("autoscaler.in_flight", 6.37, "requests"),
    ("autoscaler.replicas_max", 4.0, "replicas"),
    ("autoscaler.scale_down_s", 300.0, "s"),
    ("startup.period_s", 5.0, "s"),
    ("startup.failures", 12.0, "failures"),
    ("liveness.timeout_s", 3.0, "s"),
    ("liveness.period_s", 10.0, "s"),
    ("liveness.failures", 3.0, "failures"),
    ("readiness.timeout_s", 3.0, "s"),
    ("readiness.period_s", 5.0, "s"),
    ("readiness.failures", 2.0, "failures"),
    ("termination.grace_s", 45.0, "s"),
    ("memory.limit_bytes", 2_147_483_648.0, "B"),
    ("alert.p95_s", 0.4812, "s"),
    ("alert.in_flight", 6.4, "requests"),
    ("alert.bytes_per_request", 1157.6, "B"),
];

/// The advice, with `text` where words stand.
pub(crate) fn advice(text: &str) -> Advice {
    let setting = |key: &str, value: f64, unit: &str| Setting {
        key: key.into(),
        value,
        unit: unit.into(),
        says: format!("Set it so: {text}"),
        formula: format!("0.8 x 42 = {text}"),
        evidence: vec![Figure {
            label: text.into(),
            value: 42.0,
            unit: "1/s".into(),
            ci: Some((41.0, 44.0)),
            n: 3000,
            source: Source {
                phase: Some(1),
                scenario: text.into(),
            },
        }],
        caveat: text.into(),
    };
    let mut settings: Vec<Setting> = SETTINGS
        .iter()
        .map(|(key, value, unit)| setting(key, *value, unit))
        .collect();
    settings.push(setting("objective.success_share", 0.995, "share"));
    settings.push(setting("objective.burn", 0.4, "ratio"));
    Advice {
        settings,
        unmeasured: vec![Unmeasured {
            what: format!("alert on {text}"),
            missing: text.into(),
            first: text.into(),
        }],
        probe: Some(ProbeAddress {
            scheme: "https".into(),
            port: 8003,
            live_path: format!("/livez{text}"),
            ready_path: format!("/readyz{text}"),
        }),
        metrics: MetricNames {
            duration_seconds: "app_request_duration_seconds".into(),
            ..MetricNames::default()
        },
    }
}
