"""The demo backend: its planted faults are found, its clean twin has none of them."""

import re

import jsonschema

import pytest

pytestmark = pytest.mark.light

# Defect of the preset, and the finding ids that name it; any one of them on an endpoint that contains the text.
PLANTED = {
    "E1 requests are served one at a time": (("serial-service",), "/api/"),
    "E2 the report is a template": (("template-answer", "input-ignored", "fallback-identity"), "/api/report"),
    "E3 search ignores the query": (("input-ignored", "fallback-identity", "template-answer"), "/api/semantic-search"),
    "E4 predictions are degenerate": (("degenerate-output",), "/api/analyze"),
    "E5 status contradicts behaviour": (("status-contradiction",), ""),
    "E6 the first call is slow": (("first-call-penalty",), ""),
    "E7 an over-long id gives 500": (("server-error-on-input",), "/api/analyze"),
}
# Words that a person would recognise each defect by, in the Markdown report.
PLAIN_WORDS = {
    "serial-service": ("one at a time", "one request at a time", "serial"),
    "degenerate-output": ("same", "every", "all"),
    "status-contradiction": ("status",),
    "first-call-penalty": ("first",),
    "server-error-on-input": ("500", "5xx", "server error"),
}


def named(report, ids, place):
    return [f for f in report.faults() if f["id"] in ids and place in f["endpoint"]]


def assert_all_found(done, found):
    done.ended(1)
    assert "planted faults" in done.text, done
    missing = [defect for defect, (ids, place) in PLANTED.items() if not named(found, ids, place)]
    assert not missing, (missing, sorted((f["id"], f["endpoint"], f["verdict"]) for f in found.findings()))
    assert found.data["verdict"] in ("fail", "invalid")
    overlong = named(found, ("server-error-on-input",), "/api/analyze")
    assert any("slide_id" in f["title"] + f["detail"] + str(f["evidence"]) for f in overlong), overlong


def test_the_planted_faults_are_found(standard_demo):
    done, found = standard_demo
    assert_all_found(done.sane(), found)


def test_the_planted_faults_are_found_quickly(measure):
    measure("check", "demo", "--quick", judge=assert_all_found, attempts=3, timeout=120)


def test_the_report_says_it_in_plain_words(standard_demo):
    markdown = standard_demo[1].markdown
    assert "planted faults" in markdown.lower()
    for finding, words in PLAIN_WORDS.items():
        assert any(word in markdown.lower() for word in words), finding
    for defect in PLANTED:
        assert f"{defect.split()[0]} " not in markdown, "the tool must not know the table of planted faults"


def test_the_report_has_the_sections_people_expect(standard_demo):
    headings = [line.lstrip("# ").lower() for line in standard_demo[1].markdown.splitlines() if line.startswith("#")]
    for section in ("summary", "before", "edge case", "coverage", "issues", "recommendations"):
        assert any(section in heading for heading in headings), (section, headings)


def test_the_clean_twin_has_none_of_them(measure):
    planted = {finding for ids, _ in PLANTED.values() for finding in ids}

    def judge(done, found):
        assert not [f for f in found.faults() if f["id"] in planted], [f for f in found.faults() if f["id"] in planted]
        done.ended(0)
        assert found.data["verdict"] in ("pass", "invalid")

    measure("check", "demo:enso-fixed", judge=judge, attempts=3, timeout=180)


def test_every_claim_of_the_report_leads_to_its_numbers(standard_demo, schema):
    found = standard_demo[1]
    jsonschema.validate(found.data, schema)
    for finding in found.findings():
        assert finding["evidence"], finding
    links = set(re.findall(r"\]\(#([^)]+)\)", found.markdown))
    anchors = set(re.findall(r'<a (?:id|name)="([^"]+)"', found.markdown))
    anchors |= {slug(line.lstrip("#")) for line in found.markdown.splitlines() if line.startswith("#")}
    assert links and links <= anchors, links - anchors


def slug(heading):
    """The anchor that Markdown renderers give a heading."""
    kept = "".join(c for c in heading.strip().lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")
