"""The battery does not know its target: the same binary finds the faults of a service by someone else."""

import pytest

pytestmark = pytest.mark.light

# Fault of the archive, and what must name it.
FAULTS = {
    "blocking": (("serial-service",), "/v1/classify"),
    "deaf": (("input-ignored", "template-answer"), "/v1/translate"),
    "crash": (("server-error-on-input",), "/v1/clips"),
}


def named(found) -> set:
    """The archive's faults that a report speaks of, as faults."""
    return {
        fault
        for fault, (ids, place) in FAULTS.items()
        if any(f["id"] in ids and place in f["endpoint"] for f in found.faults())
    }


def listing(found) -> list:
    return sorted((f["verdict"], f["id"], f["endpoint"], f["title"]) for f in found.findings() if f["verdict"] != "pass")


def test_its_three_faults_are_found(measure, archive):
    def judge(done, found):
        assert named(found) == set(FAULTS), listing(found)
        done.ended(1)
        assert "planted" not in done.text, "this is nobody's demo"

    measure("check", archive("blocking,deaf,crash").url, "--quick", judge=judge, attempts=3, timeout=120)


def test_its_clean_twin_has_none(measure, archive):
    """The longer battery looks harder, so it has more occasions to be wrong."""
    ids = {name for names, _ in FAULTS.values() for name in names}

    def judge(done, found):
        assert not [f for f in found.faults() if f["id"] in ids], listing(found)
        assert [f for f in found.findings("pass") if f["id"] in ids], listing(found)
        done.ended(0, 2)

    measure("check", archive("").url, judge=judge, attempts=3, timeout=200)


def test_a_finding_follows_its_cause(measure, archive):
    """The blocking handler alone: the other two are not found out of habit."""
    def judge(_, found):
        assert named(found) == {"blocking"}, listing(found)

    measure("check", archive("blocking").url, "--quick", judge=judge, attempts=3, timeout=120)


def test_the_document_is_found_where_it_was_moved_to(prony, archive):
    target = archive("", OPENAPI_URL="/api/v1/openapi.json")
    done = prony("check", target.url, "--plan")
    assert done.code == 0, done
    for path in ("/v1/classify", "/v1/translate", "/v1/search", "/v1/clips"):
        assert path in done.out, done
