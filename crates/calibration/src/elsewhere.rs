//! Criteria that this program cannot count, because they take a real process, a real clock or another tool: which test shows
//! each, for the page. It must not say how such a test ended; `./test` does.

/// A criterion and the test that shows it.
pub(crate) struct Proof {
    /// The question that it belongs to.
    pub question: &'static str,
    /// What must hold.
    pub criterion: &'static str,
    /// The file of the test, from the root of the repository.
    pub file: &'static str,
    /// Its name.
    pub test: &'static str,
    /// What the test counts, where that is less than the criterion.
    pub remark: &'static str,
}

/// All of them, in the order of the questions.
pub(crate) static PROOFS: &[Proof] = &[
    Proof {
        question: "load",
        criterion: "The frozen server, live: percentiles are those that the freezes leave.",
        file: "e2e/test_freeze.py",
        test: "test_a_server_that_stands_still",
        remark: "",
    },
    Proof {
        question: "load",
        criterion: "A generator whose core is taken says INVALID in at least 99 of 100 runs.",
        file: "e2e/test_overload.py",
        test: "test_an_overloaded_generator_says_so",
        remark: "5 runs, none may miss; `PRONY_OVERLOAD_RUNS=100` makes the hundred",
    },
    Proof {
        question: "load",
        criterion: "A generator that has its core says INVALID in at most 1 % of runs.",
        file: "e2e/test_overload.py",
        test: "test_an_idle_generator_is_believed",
        remark: "5 runs believed, or time was stolen by the host; `PRONY_OVERLOAD_RUNS=100` makes the hundred",
    },
    Proof {
        question: "percentiles",
        criterion: "Percentiles and rates are those that the server itself kept.",
        file: "e2e/test_truth.py",
        test: "test_quantiles_and_rate",
        remark: "",
    },
    Proof {
        question: "percentiles",
        criterion: "Histograms of shards add up to that of the whole, bit for bit.",
        file: "crates/engine/src/books.rs",
        test: "merging_is_exact_and_commutes",
        remark: "",
    },
    Proof {
        question: "cold-start",
        criterion: "A published log of 30 requests on 6 of 8 workers: 300.1 s of work in 65.4 s (4.59 at once), a request takes 9.47 s \
                    (median, the first of each worker left out).",
        file: "crates/experiments/src/cold_start/workers.rs",
        test: "the_published_log_is_added_up",
        remark: "",
    },
    Proof {
        question: "capacity",
        criterion: "Capacity, overload, memory, cache, integrity and serial service on a live server: each conclusion agrees with its \
                    knobs in 19 of 20.",
        file: "e2e/test_live.py",
        test: "test_a_conclusion_agrees_with_the_truth",
        remark: "one round, in which a miss is asked again twice at most; `PRONY_LIVE_ROUNDS=20` makes twenty, without that",
    },
    Proof {
        question: "input-validation",
        criterion: "Of 30 planted defects at least 28 are found.",
        file: "e2e/test_input_defects.py",
        test: "test_the_planted_input_defects_are_found",
        remark: "",
    },
    Proof {
        question: "input-validation",
        criterion: "No fault is found on the sound twin, with 20 seeds.",
        file: "e2e/test_input_defects.py",
        test: "test_no_fault_is_found_on_the_twin",
        remark: "5 seeds; `PRONY_TWIN_SEEDS=20` makes the twenty",
    },
    Proof {
        question: "verdicts",
        criterion: "65 results made by hand have exactly their verdict and exit code (at least 60 were asked for).",
        file: "crates/prony/src/runner/verdict_tests.rs",
        test: "every_result_has_its_verdict_and_exit_code",
        remark: "",
    },
    Proof {
        question: "verdicts",
        criterion: "What a report says to configure is accepted by Kubernetes' schemas and by promtool.",
        file: "e2e/test_configuration.py",
        test: "test_a_check_writes_what_both_tools_accept",
        remark: "the schemas stand for `kubectl --dry-run`, which needs a cluster to ask",
    },
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::PROOFS;
    use crate::cases::CASES;

    #[test]
    fn every_test_is_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for proof in PROOFS {
            let text = fs::read_to_string(root.join(proof.file)).expect(proof.file);
            let named = ["fn", "def"]
                .iter()
                .any(|word| text.contains(&format!("{word} {}(", proof.test)));
            assert!(named, "{}: {}", proof.file, proof.test);
        }
    }

    #[test]
    fn questions_are_those_of_the_cases_or_of_an_experiment() {
        for proof in PROOFS {
            let is_case = CASES.iter().any(|case| case.question == proof.question);
            assert!(
                is_case || prony_experiments::find(proof.question).is_some(),
                "{}",
                proof.question
            );
        }
    }
}
