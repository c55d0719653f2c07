//! The Kubernetes format: probes, memory and the autoscaler as a Deployment and a HorizontalPodAutoscaler, each value with
//! its formula. What was not measured is a comment and not a value.

use std::fmt::Write as _;

use prony_model::{Advice, Setting};

use crate::yaml::{comment, name, number, quoted};
use crate::{FormatDef, Report};

/// Registry entry.
pub(crate) static DEF: FormatDef = FormatDef {
    name: "kubernetes",
    file: "kubernetes.yaml",
    description: "probes, memory limit and autoscaler for Kubernetes, with formulas",
    applies: |report| !report.advice.is_empty(),
    render: |report, _| Ok(page(report)),
};

fn page(report: &Report) -> String {
    let advice = &report.advice;
    let name = name(&report.title);
    let mut out = String::new();
    comment(
        &mut out,
        0,
        &format!(
            "What Prony measured on {} says about its configuration.",
            report.target.url
        ),
    );
    comment(
        &mut out,
        0,
        &format!(
            "Run {} of {}. Each value has its formula; evidence and caveats are in report.md.",
            report.run.id, report.run.started_at
        ),
    );
    comment(
        &mut out,
        0,
        &format!("Replace the name and label {name} and the container by those of your Deployment."),
    );
    for lacking in &advice.unmeasured {
        comment(
            &mut out,
            0,
            &format!(
                "Not measured: {} (missing: {}). First: {}.",
                lacking.what, lacking.missing, lacking.first
            ),
        );
    }
    deployment(&mut out, advice, &name);
    autoscaler(&mut out, advice, &name);
    out
}

/// New requests go elsewhere before the process is told to stop.
const PRE_STOP: &str =
    "          lifecycle:\n            preStop:\n              sleep:\n                seconds: 5\n";

fn deployment(out: &mut String, advice: &Advice, name: &str) {
    let _ = write!(
        out,
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\nspec:\n  selector:\n    matchLabels:\n      \
         app: {name}\n  template:\n    metadata:\n      labels:\n        app: {name}\n    spec:\n"
    );
    let grace = advice.setting("termination.grace_s");
    if let Some(grace) = grace {
        explain(out, 6, grace);
        let _ = writeln!(out, "      terminationGracePeriodSeconds: {:.0}", grace.value);
    }
    let _ = write!(out, "      containers:\n        - name: {name}\n");
    if grace.is_some() {
        out.push_str(PRE_STOP);
    }
    probe(out, advice, "startup", "startupProbe");
    probe(out, advice, "liveness", "livenessProbe");
    probe(out, advice, "readiness", "readinessProbe");
    if let Some(limit) = advice.setting("memory.limit_bytes") {
        let pad = 10;
        explain(out, pad, limit);
        let mib = (limit.value / f64::from(1 << 20)).ceil();
        let _ = write!(
            out,
            "          resources:\n            requests:\n              memory: {mib:.0}Mi\n            limits:\n              memory: {mib:.0}Mi\n"
        );
    }
}

/// One probe, when it was measured and there is a place to ask.
fn probe(out: &mut String, advice: &Advice, topic: &str, key: &str) {
    let Some(address) = &advice.probe else { return };
    let path = if topic == "liveness" {
        &address.live_path
    } else {
        &address.ready_path
    };
    let Some(failures) = advice.setting(&format!("{topic}.failures")) else {
        return;
    };
    if path.is_empty() {
        return;
    }
    let field = |name: &str| advice.setting(&format!("{topic}.{name}"));
    let (period, timeout) = (field("period_s"), field("timeout_s"));
    for setting in [Some(failures), period, timeout].into_iter().flatten() {
        explain(out, 10, setting);
    }
    let _ = write!(
        out,
        "          {key}:\n            httpGet:\n              path: {}\n              port: {}\n              scheme: {}\n",
        quoted(path),
        address.port,
        if address.scheme == "https" {
            "HTTPS"
        } else {
            "HTTP"
        }
    );
    for (name, setting) in [
        ("periodSeconds", period),
        ("timeoutSeconds", timeout),
        ("failureThreshold", Some(failures)),
    ] {
        if let Some(setting) = setting {
            let _ = writeln!(out, "            {name}: {:.0}", setting.value.max(1.0));
        }
    }
}

/// The autoscaler, when the most replicas are known: it cannot be without them.
fn autoscaler(out: &mut String, advice: &Advice, name: &str) {
    let (Some(target), Some(most)) = (
        advice.setting("autoscaler.in_flight"),
        advice.setting("autoscaler.replicas_max"),
    ) else {
        return;
    };
    let least = advice
        .setting("workers.min")
        .map_or(1.0, |s| s.value)
        .clamp(1.0, most.value);
    let metric = &advice.metrics.in_progress;
    let _ = write!(
        out,
        "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata:\n  name: {name}\nspec:\n  scaleTargetRef:\n    \
         apiVersion: apps/v1\n    kind: Deployment\n    name: {name}\n"
    );
    if let Some(workers) = advice.setting("workers.min") {
        explain(out, 2, workers);
    }
    let _ = writeln!(out, "  minReplicas: {least:.0}");
    explain(out, 2, most);
    let _ = writeln!(out, "  maxReplicas: {:.0}", most.value);
    explain(out, 2, target);
    if metric.is_empty() {
        comment(
            out,
            2,
            "The target shows no gauge of requests in progress: export one, and write its name here.",
        );
    }
    let _ = write!(
        out,
        "  metrics:\n    - type: Pods\n      pods:\n        metric:\n          name: {}\n        target:\n          type: \
         AverageValue\n          averageValue: {}\n",
        if metric.is_empty() {
            "http_requests_in_progress"
        } else {
            metric
        },
        quantity(target.value)
    );
    if let Some(wait) = advice.setting("autoscaler.scale_down_s") {
        explain(out, 2, wait);
        let _ = write!(
            out,
            "  behavior:\n    scaleDown:\n      stabilizationWindowSeconds: {:.0}\n",
            wait.value.min(3600.0)
        );
    }
}

/// A quantity as Kubernetes writes it: whole, or in thousandths.
fn quantity(value: f64) -> String {
    if value >= 10.0 {
        format!("\"{:.0}\"", value.floor())
    } else {
        format!("{:.0}m", (1000.0 * value).floor().max(1.0))
    }
}

/// The setting's sentence, formula and caveat.
fn explain(out: &mut String, indent: usize, setting: &Setting) {
    comment(
        out,
        indent,
        &format!("{} [{} = {}]", setting.says, setting.key, number(setting.value)),
    );
    comment(
        out,
        indent,
        &format!("Formula: {}.", setting.formula.trim_end_matches('.')),
    );
    comment(out, indent, &setting.caveat);
}
