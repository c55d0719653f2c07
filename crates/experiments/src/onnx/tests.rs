//! Models of known behaviour, in both directions: each fault draws its finding, and a sound model draws none.

use prony_model::Verdict::{Fail, Inconclusive, Invalid, Pass, Warn};
use prony_model::{Finding, Verdict};

use super::{Failure, Measured, Memory, Output, Outputs, Setting, Start, Steady, conclude};

/// Values around 2 ms without a trend, from a fixed sequence.
fn times(count: usize, centre: f64) -> Vec<f64> {
    let mut state = 7_u64;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            centre * (1.0 + 0.1 * ((state >> 33) as f64 / f64::from(u32::MAX >> 1) - 0.5))
        })
        .collect()
}

fn setting(value: u32, each_ms: f64) -> Setting {
    let ms = times(200, each_ms);
    let ends_s = (1..=200).map(|i| f64::from(i) * each_ms / 1000.0).collect();
    Setting {
        value,
        ms,
        ends_s,
        phase: 3,
    }
}

fn output() -> Output {
    Output {
        name: "y".to_owned(),
        declared: "float32 [1, 3]".to_owned(),
        values: 24,
        distinct: 8,
        ..Output::default()
    }
}

fn sound() -> Measured {
    let start = Start {
        library_ms: 30.0,
        load_ms: 50.0,
        first_ms: 9.0,
        before_bytes: 10e6,
        library_bytes: 40e6,
        loaded_bytes: 60e6,
        peak_bytes: 65e6,
        digest: 5,
    };
    Measured {
        model: "m.onnx".to_owned(),
        starts: vec![start; 8],
        steady: Some(Steady {
            ms: times(2000, 2.0),
            threads: 2,
            phase: 1,
            distrust: String::new(),
        }),
        callers: vec![setting(1, 2.0), setting(2, 1.0), setting(4, 1.01)],
        threads: vec![setting(1, 2.0), setting(2, 2.0)],
        batches: Vec::new(),
        memory: Some(memory(0.0)),
        outputs: Some(Outputs {
            inputs: 8,
            repeats: 4,
            outputs: vec![output()],
        }),
        failure: None,
    }
}

/// Memory of 60 MB that grows by so many bytes per inference.
fn memory(each: f64) -> Memory {
    let noise = times(300, 1000.0);
    let inferences: Vec<f64> = (0..300).map(|i| f64::from(i) * 50.0).collect();
    let bytes = inferences
        .iter()
        .zip(&noise)
        .map(|(n, noise)| 60e6 + each * n + noise)
        .collect();
    Memory {
        inferences,
        bytes,
        span_s: 30.0,
        peak_bytes: 70e6,
        limit_bytes: Some(8e9),
        phase: 6,
    }
}

#[track_caller]
fn found(measured: &Measured, id: &str) -> Finding {
    let findings = conclude(measured);
    let finding = findings.iter().find(|f| f.id == id);
    finding
        .unwrap_or_else(|| panic!("no {id} in {findings:#?}"))
        .clone()
}

#[track_caller]
fn says(measured: &Measured, id: &str, verdict: Verdict, part: &str) {
    let finding = found(measured, id);
    assert_eq!(finding.verdict, verdict, "{finding:#?}");
    assert!(
        finding.title.contains(part),
        "{part:?} is not in {:?}",
        finding.title
    );
}

fn with(change: impl FnOnce(&mut Output)) -> Measured {
    let mut measured = sound();
    change(&mut measured.outputs.as_mut().expect("it has outputs").outputs[0]);
    measured
}

#[test]
fn a_sound_model_passes() {
    let findings = conclude(&sound());
    let ids: Vec<&str> = findings.iter().map(|f| f.id.as_str()).collect();
    let wanted = [
        "outputs-finite",
        "outputs-deterministic",
        "outputs-vary",
        "outputs-as-declared",
        "start",
        "latency",
        "callers",
        "threads",
        "memory",
        "memory-growth",
    ];
    assert_eq!(ids, wanted);
    for finding in findings {
        assert_eq!(finding.verdict, Pass, "{finding:#?}");
        assert!(!finding.evidence.is_empty(), "{finding:#?}");
    }
}

#[test]
fn nothing_measured_says_nothing() {
    assert!(conclude(&Measured::default()).is_empty());
}

#[test]
fn values_that_are_no_numbers() {
    says(
        &with(|o| o.nan = 3),
        "outputs-finite",
        Fail,
        "3 of 24 values of the outputs are no finite numbers: `y`",
    );
    says(&with(|o| o.infinite = 1), "outputs-finite", Fail, "1 of 24");
}

#[test]
fn an_output_that_ignores_its_input() {
    says(
        &with(|o| o.distinct = 1),
        "outputs-vary",
        Fail,
        "the same for 8 different inputs",
    );
    // What is no number at all is told once.
    let nothing = with(|o| {
        o.distinct = 1;
        o.nan = 24;
    });
    assert!(conclude(&nothing).iter().all(|f| f.id != "outputs-vary"));
    let mut two = sound();
    let outputs = &mut two.outputs.as_mut().expect("it has outputs").outputs;
    outputs.push(Output {
        name: "size".to_owned(),
        distinct: 1,
        ..output()
    });
    says(&two, "outputs-vary", Warn, "`size` stays the same");
    let mut alone = sound();
    alone.outputs.as_mut().expect("it has outputs").inputs = 1;
    says(&alone, "outputs-vary", Inconclusive, "only one input");
}

#[test]
fn an_output_that_changes_by_itself() {
    let differs = |difference| {
        with(|o| {
            o.unequal = 2;
            o.difference = difference;
        })
    };
    says(
        &differs(0.5),
        "outputs-deterministic",
        Fail,
        "2 of 4 repeats of `y`",
    );
    says(&differs(1e-6), "outputs-deterministic", Warn, "last digits");
    let mut other = sound();
    other.starts[3].digest = 6;
    says(&other, "outputs-deterministic", Warn, "in another process");
}

#[test]
fn an_output_of_another_shape() {
    let wrong = with(|o| o.contradiction = "float32 [1, 4]".to_owned());
    says(&wrong, "outputs-as-declared", Fail, "`y` does not have");
}

#[test]
fn memory_that_grows() {
    // 60 MB grow by 4 kB with each inference: at 500 per second 8 GB are full within the hour.
    let grows = Measured {
        memory: Some(memory(4096.0)),
        ..sound()
    };
    says(
        &grows,
        "memory-growth",
        Fail,
        "Memory grows by 4.00 KiB per inference",
    );
    let mut short = memory(0.0);
    for (list, keep) in [(&mut short.inferences, 100), (&mut short.bytes, 100)] {
        list.truncate(keep);
    }
    let short = Measured {
        memory: Some(short),
        ..sound()
    };
    says(&short, "memory-growth", Inconclusive, "Too short a run");
}

#[test]
fn a_warm_up_is_left_out_of_the_latency() {
    let mut measured = sound();
    let steady = measured.steady.as_mut().expect("it is there");
    for slow in &mut steady.ms[..100] {
        *slow *= 10.0;
    }
    let cut = steady.warm_up();
    assert!((100..300).contains(&cut), "{cut}");
    says(&measured, "latency", Pass, "2.0");
    let finding = found(&measured, "latency");
    assert!(
        finding.detail.contains("of the warm-up are left out"),
        "{finding:#?}"
    );
}

#[test]
fn times_that_cannot_be_trusted_are_invalid() {
    let mut measured = sound();
    measured.steady.as_mut().expect("it is there").distrust = "others had the processor".to_owned();
    says(&measured, "latency", Invalid, "cannot be trusted");
}

#[test]
fn few_inferences_have_no_tail() {
    let mut measured = sound();
    measured.steady.as_mut().expect("it is there").ms.truncate(30);
    let finding = found(&measured, "latency");
    assert_eq!(finding.verdict, Pass);
    assert!(finding.detail.contains("p99 not estimable"), "{}", finding.detail);
}

#[test]
fn what_brings_nothing_is_called_so() {
    let measured = sound();
    says(
        &measured,
        "callers",
        Pass,
        "highest with 2 callers: 1000/s, 2.00 times",
    );
    says(
        &measured,
        "threads",
        Pass,
        "More threads bring no more throughput: 500/s with 1 thread",
    );
    // Rates that vary so much that twice the mean tells nothing.
    let mut noisy = sound();
    noisy.callers.truncate(2);
    for end in noisy.callers[1].ends_s.iter_mut().take(190) {
        *end /= 20.0;
    }
    says(&noisy, "callers", Pass, "the intervals do not tell the two apart");
    let mut batches = sound();
    batches.batches = vec![setting(1, 2.0), setting(8, 4.0)];
    // 250 batches of 8 inputs per second.
    says(
        &batches,
        "batch",
        Pass,
        "2000/s, 4.00 times that with 1 input in a batch",
    );
    for few in &mut batches.batches {
        few.ends_s.truncate(5);
    }
    says(&batches, "batch", Pass, "too few inferences");
}

#[test]
fn a_process_that_ends_fails() {
    let mut measured = Measured {
        failure: Some(Failure {
            during: "2 callers".to_owned(),
            says: "signal 11".to_owned(),
            crashed: true,
        }),
        ..sound()
    };
    says(
        &measured,
        "inference-failed",
        Fail,
        "The process gave no results during 2 callers",
    );
    measured.failure.as_mut().expect("it is there").crashed = false;
    says(
        &measured,
        "inference-failed",
        Fail,
        "Inference failed during 2 callers",
    );
}
