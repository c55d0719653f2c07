"""What a report says to configure is accepted by the tools that read it: Kubernetes schemas and promtool."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

# Shares the run of the standard demo with others that are.
pytestmark = pytest.mark.alone

# Text that tries to leave its place in YAML.
HOSTILE = "x\"\n---\nkind: Secret\r\n- a: &b *c !!python/object:os.system\u2028# {{ .Values }} \u0085 ' : | > \\u0041"


def promtool(*args, cwd):
    found = shutil.which("promtool") or Path(sys.executable).with_name("promtool")
    done = subprocess.run([found, *args], cwd=cwd, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def kubernetes(folder):
    """The resources of the file by kind, each held against the schemas of Kubernetes."""
    resources = list(yaml.safe_load_all((folder / "kubernetes.yaml").read_text()))
    for resource in resources:
        kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)
    return {resource["kind"]: resource for resource in resources}


def rules(folder):
    """The alert rules by name, checked by promtool."""
    promtool("check", "rules", "alerts.yaml", cwd=folder)
    groups = yaml.safe_load((folder / "alerts.yaml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def setting(data, key):
    return next((s["value"] for s in data["advice"]["settings"] if s["key"] == key), None)


@pytest.fixture(scope="module")
def checked(standard_demo):
    return standard_demo[1]


def test_a_check_writes_what_both_tools_accept(checked):
    container = kubernetes(checked.folder)["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    for topic, key in (("liveness", "livenessProbe"), ("readiness", "readinessProbe"), ("startup", "startupProbe")):
        failures = setting(checked.data, f"{topic}.failures")
        assert (key in container) == (failures is not None), (topic, container)
        if failures is not None:
            assert container[key]["failureThreshold"] == failures
            assert container[key]["httpGet"]["path"] == "/health"
    found = rules(checked.folder)
    # What a disturbed machine made INVALID recommends nothing.
    for alert, key in (
        ("ErrorBudgetBurn1H", "objective.success_share"),
        ("SlowAnswers", "alert.p95_s"),
        ("Saturation", "alert.in_flight"),
    ):
        assert (alert in found) == (setting(checked.data, key) is not None), alert
    assert found


def test_each_value_has_its_formula_and_its_evidence(checked):
    advice = checked.data["advice"]
    assert setting(checked.data, "concurrency.limit") in (1, None), "the demo serves one request at a time"
    for one in advice["settings"]:
        assert one["formula"] and one["evidence"], one
    phases = {p["index"] for p in checked.phases()}
    measured = [f for s in advice["settings"] for f in s["evidence"] if f["n"]]
    assert measured and all(f["source"]["phase"] in phases for f in measured)
    for lacking in advice["unmeasured"]:
        assert lacking["missing"] and lacking["first"], lacking
    assert "## What to configure" in checked.markdown and "## What was not tested" in checked.markdown


def test_an_objective_gives_more_to_configure(measure):
    def judge(done, found):
        assert setting(found.data, "timeout.server_s") == 0.6
        assert setting(found.data, "readiness.queue_wait_s") in (0.25, None)
        assert setting(found.data, "workers.min") >= 1
        kubernetes(found.folder)
        assert setting(found.data, "objective.success_share") == 0.995
        assert f"{14.4 * 0.005:.3f}" in rules(found.folder)["ErrorBudgetBurn1H"]["expr"]

    args = ("--slo", "500ms", "--slo-share", "99.5%", "--peak-rate", "20")
    measure("check", "demo:enso-fixed", "--quick", *args, judge=judge, attempts=3, timeout=120)


SETTINGS = {
    "workers.min": 2,
    "autoscaler.in_flight": 6.37,
    "autoscaler.replicas_max": 4,
    "autoscaler.scale_down_s": 300,
    "startup.period_s": 5,
    "startup.failures": 12,
    "liveness.timeout_s": 3,
    "liveness.period_s": 10,
    "liveness.failures": 3,
    "readiness.timeout_s": 3,
    "readiness.period_s": 5,
    "readiness.failures": 2,
    "termination.grace_s": 45,
    "memory.limit_bytes": 2**31,
    "alert.p95_s": 0.48,
    "alert.in_flight": 6.4,
    "alert.bytes_per_request": 1157.6,
    "objective.success_share": 0.99,
    "objective.burn": 0.4,
}


@pytest.fixture
def everything(checked, prony, tmp_path):
    """A recording with every setting that there is, and hostile text in each place that a target can fill."""
    figure = {"label": HOSTILE, "value": 1, "unit": "ms", "ci": None, "n": 9, "source": {"phase": None, "scenario": HOSTILE}}
    advice = {
        "settings": [
            {"key": k, "value": v, "unit": HOSTILE, "says": HOSTILE, "formula": HOSTILE, "evidence": [figure], "caveat": HOSTILE}
            for k, v in SETTINGS.items()
        ],
        "unmeasured": [{"what": f"alert {HOSTILE}", "missing": HOSTILE, "first": HOSTILE}],
        "probe": {"scheme": "https", "port": 8443, "live_path": f"/live{HOSTILE}", "ready_path": f"/ready{HOSTILE}"},
        "metrics": {"duration_seconds": "", "requests_total": "", "status_label": "", "in_progress": "", "resident_bytes": ""},
    }
    folder = tmp_path / "everything"
    shutil.copytree(checked.folder, folder)
    events = [json.loads(line) for line in (folder / "events.ndjson").read_text().splitlines()]
    for event in events:
        if "advised" in event:
            event["advised"] = advice
        if "surface-found" in event:
            event["surface-found"]["name"] = HOSTILE
    (folder / "events.ndjson").write_text("".join(json.dumps(event) + "\n" for event in events))
    for name in ("kubernetes", "alerts"):
        assert prony("report", folder, "--format", name, "-o", folder / f"{name}.yaml").code == 0
    return folder


def test_hostile_text_stays_text(everything):
    found = kubernetes(everything)
    assert found.keys() == {"Deployment", "HorizontalPodAutoscaler"}
    pod = found["Deployment"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["terminationGracePeriodSeconds"] == 45 and container["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert container["livenessProbe"]["httpGet"]["path"].startswith("/livex\" --- kind: Secret")
    assert container["resources"]["limits"] == {"memory": "2048Mi"}
    spec = found["HorizontalPodAutoscaler"]["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 4)
    assert spec["metrics"][0]["pods"]["target"]["averageValue"] == "6370m"
    assert len(rules(everything)) == 6


def test_the_alerts_fire_when_they_should_and_only_then(everything):
    """Two hours of requests: at first 0.1 % fail, then 20 %."""
    test = {
        "rule_files": ["alerts.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": 'http_requests_total{code="200"}', "values": "0+999x60 59940+800x60"},
                    {"series": 'http_requests_total{code="500"}', "values": "0+1x60 60+200x60"},
                ],
                "promql_expr_test": [],
                "alert_rule_test": [
                    {"eval_time": "60m", "alertname": "ErrorBudgetBurn1H", "exp_alerts": []},
                    {
                        "eval_time": "120m",
                        "alertname": "ErrorBudgetBurn1H",
                        "exp_alerts": [
                            {
                                "exp_labels": {"severity": "page"},
                                "exp_annotations": {
                                    "summary": "The error budget burns more than 14.4 times too fast (over 1h and 5m)."
                                },
                            }
                        ],
                    },
                ],
            }
        ],
    }
    (everything / "test.yaml").write_text(yaml.safe_dump(test))
    assert "SUCCESS" in promtool("test", "rules", "test.yaml", cwd=everything)
