"""Two targets under the same load: queues in simulated time, whose difference is known."""

import json

FAST = ["--rate", 100, "-d", "20s", "--pairs", 6]


def compared(prony, tmp_path, *args):
    return prony("compare", *args, *FAST, "-o", tmp_path / "run", "--json")


def verdicts(done):
    findings = [entry["finding"] for entry in json.loads(done.out)["findings"]]
    return {finding["id"]: finding["verdict"] for finding in findings}


def test_a_slower_queue_is_a_regression(prony, tmp_path):
    done = compared(prony, tmp_path, "sim:service=5ms,seed=1", "sim:service=6ms,seed=2").sane()
    assert done.code == 1, done
    assert verdicts(done)["regression-p50"] == "fail", done.out
    assert (tmp_path / "run" / "report.md").read_text().count("REGRESSION") > 0


def test_equal_queues_are_none(prony, tmp_path):
    done = compared(prony, tmp_path, "sim:service=5ms,seed=1", "sim:service=5ms,seed=2").sane()
    assert done.code == 0, done
    assert set(verdicts(done).values()) == {"pass"}, done.out


def test_a_queue_held_against_itself(prony, tmp_path):
    done = compared(prony, tmp_path, "sim:service=5ms,spread=exponential", "--aa").sane()
    assert done.code == 0, done
    assert verdicts(done)["environment-p50"] == "pass"


def test_what_cannot_be_compared(prony, tmp_path):
    for args, says in [
        (["sim:service=5ms", "sim:service=5ms"], "add --aa"),
        (["demo", "http://127.0.0.1:1"], "prony serve"),
        (["sim:service=5ms", "sim:service=6ms", "--warm-up", "20s"], "nothing would count"),
    ]:
        done = prony("compare", *args, *FAST, "-o", tmp_path / "run").sane()
        assert done.code == 64 and says in done.err, done
    done = prony("compare", "http://127.0.0.1:1/x", "http://127.0.0.1:2/x", *FAST, "-o", tmp_path / "run").sane()
    assert done.code == 69, done
