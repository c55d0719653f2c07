"""The battery does not know its target: the same binary finds the faults of a service by someone else."""

# Fault of the archive, and what must name it.
FAULTS = {
    "blocking": (("serial-service",), "/v1/classify"),
    "deaf": (("input-ignored", "template-answer"), "/v1/translate"),
    "crash": (("server-error-on-input",), "/v1/clips"),
}


def check(prony, report, target, folder):
    done = prony("check", target.url, "-o", folder, timeout=200)
    found = report(folder)
    named = {
        fault: [f for f in found.faults() if f["id"] in ids and place in f["endpoint"]]
        for fault, (ids, place) in FAULTS.items()
    }
    listing = sorted((f["id"], f["endpoint"], f["verdict"]) for f in found.findings())
    return done, {fault for fault, findings in named.items() if findings}, listing


def test_its_three_faults_are_found(prony, report, archive, tmp_path):
    done, named, listing = check(prony, report, archive("blocking,deaf,crash"), tmp_path / "out")
    assert named == set(FAULTS), listing
    assert done.code == 1, done
    assert "planted" not in done.text, "this is nobody's demo"


def test_its_clean_twin_has_none(prony, report, archive, tmp_path):
    done, named, listing = check(prony, report, archive(""), tmp_path / "out")
    assert named == set(), listing
    wrong = [row for row in listing if row[0] in {i for ids, _ in FAULTS.values() for i in ids} and row[2] != "pass"]
    assert not wrong, wrong
    assert done.code in (0, 2), done


def test_each_fault_is_found_on_its_own(prony, report, archive, tmp_path):
    """One fault at a time, quickly: a finding must follow its cause and nothing else."""
    for fault in FAULTS:
        folder = tmp_path / fault
        target = archive(fault)
        prony("check", target.url, "--quick", "-o", folder, timeout=120)
        found = report(folder)
        listing = sorted((f["id"], f["endpoint"], f["verdict"]) for f in found.faults())
        for other, (ids, place) in FAULTS.items():
            named = [row for row in listing if row[0] in ids and place in row[1]]
            assert bool(named) == (other == fault), (fault, other, listing)


def test_the_document_is_found_where_it_was_moved_to(prony, archive):
    target = archive("", OPENAPI_URL="/api/v1/openapi.json")
    done = prony("check", target.url, "--plan")
    assert done.code == 0, done
    for path in ("/v1/classify", "/v1/translate", "/v1/search", "/v1/clips"):
        assert path in done.out, done
