//! What a record makes of events, and what a report makes of the end of a run.

#[expect(dead_code, reason = "other tests use the rest")]
mod made;

use made::rich::{events, killed_events, record};
use prony_model::{Event, Nanos, Reading, Upheld, Verdict};
use prony_report::{Report, RunEnd, RunRecord, TerminalStyle, find, terminal, verdict};

#[test]
fn a_record_is_the_same_folded_at_once_or_event_by_event() {
    let events = events();
    let Event::RunStarted(header) = &events[0] else {
        unreachable!("made so")
    };
    let mut followed = RunRecord::new(header.clone());
    for event in &events {
        followed.apply(event);
    }
    assert_eq!(followed, RunRecord::fold(&events));
}

#[test]
fn figures_made_later_take_the_place_of_none() {
    let mut record = record(&killed_events());
    let unfinished: Vec<u16> = record.unfinished().map(|s| s.index).collect();
    assert_eq!(unfinished, [1]);
    let Some(Event::PhaseFinished(mut summary)) = events()
        .into_iter()
        .find(|e| matches!(e, Event::PhaseFinished(p) if p.index == 1))
    else {
        unreachable!("made so")
    };
    summary.partial = true;
    record.add_phase(summary.clone());
    record.add_phase(summary);
    assert_eq!(record.unfinished().count(), 0);
    assert_eq!(record.phases.iter().map(|p| p.index).collect::<Vec<_>>(), [0, 1]);
    let report = Report::build(&record);
    assert_eq!(report.run.end, RunEnd::Killed);
    assert_eq!(report.run.duration, Nanos::from_secs_f64(22.0));
    assert_eq!(report.summary.ok, 6 + 624);
}

#[test]
fn events_without_a_header_still_make_a_report() {
    let report = Report::build(&RunRecord::fold(&events()[1..]));
    assert!(
        report.damage[0].contains("header of the run is lost"),
        "{:?}",
        report.damage
    );
    assert_eq!(report.findings.len(), 6);
    assert_eq!(report.run.seed, 0);
}

#[test]
fn no_events_make_a_report_that_claims_nothing() {
    let report = Report::build(&RunRecord::fold(&[]));
    assert_eq!(report.verdict, Verdict::Inconclusive);
    assert_eq!(report.summary.offered, 0);
    assert!(
        report
            .summary
            .sentences
            .iter()
            .any(|s| s.starts_with("No request was recorded"))
    );
    for format in prony_report::FORMATS {
        (format.render)(&report, TerminalStyle::default()).unwrap();
    }
}

#[test]
fn the_worst_findings_come_first_and_what_passed_last() {
    let report = Report::build(&record(&events()));
    let order: Vec<(&str, Verdict)> = report
        .findings
        .iter()
        .map(|f| (f.finding.id.as_str(), f.counted))
        .collect();
    assert_eq!(
        order,
        [
            ("fallback-identity", Verdict::Fail),
            ("serial-service", Verdict::Fail),
            ("drift", Verdict::Invalid),
            ("error-rate", Verdict::Inconclusive),
            ("docs", Verdict::Warn),
            ("coverage", Verdict::Pass),
        ]
    );
    assert_eq!(report.recommendations.len(), 1);
    assert_eq!(report.recommendations[0].finding, "finding-2");
}

#[test]
fn the_verdict_of_a_stop_is_never_a_pass() {
    let passes = |e: &Event| match e {
        Event::FindingMade(f) => f.verdict == Verdict::Pass,
        Event::GateJudged(g) => g.verdict == Verdict::Pass,
        Event::RunFinished { .. } => false,
        _ => true,
    };
    let mut stopped: Vec<Event> = events().into_iter().filter(passes).collect();
    assert_eq!(
        verdict(&record(&stopped).findings, &record(&stopped).gates),
        Verdict::Pass
    );
    stopped.push(Event::RunFinished {
        verdict: Verdict::Pass,
        interrupted: true,
        at: Nanos(1),
    });
    let report = Report::build(&record(&stopped));
    assert_eq!(
        (report.verdict, report.run.end),
        (Verdict::Inconclusive, RunEnd::Interrupted)
    );
    assert!(
        report.because.contains("stopped before its end"),
        "{}",
        report.because
    );
}

#[test]
fn claims_keep_their_judgement() {
    let report = Report::build(&record(&events()));
    let upheld: Vec<Upheld> = report.claims.iter().map(|c| c.result.upheld).collect();
    assert_eq!(upheld, [Upheld::No, Upheld::NotDecided]);
    assert_eq!(report.claims[0].anchor, "claim-t7");
}

#[test]
fn the_closing_words_name_failures_verdict_and_place() {
    let report = Report::build(&record(&events()));
    let words = terminal::closing(&report, TerminalStyle::default(), Some("runs/x/report.md"));
    for wanted in [
        "FAIL         Requests are served one at a time (POST /api/analyze)",
        "throughput at 1: 31.2/s [30.9, 31.6], n = 312",
        "Of 6 checks, 1 rests on a measurement that cannot be trusted, 2 fail",
        "\nINVALID      1 check rests on a measurement that cannot be trusted\n",
        "report   runs/x/report.md\n",
    ] {
        assert!(words.contains(wanted), "{wanted:?} is missing in\n{words}");
    }
    assert!(!words.contains("PASS  "), "{words}");
    assert!(words.lines().all(|l| l.chars().count() <= 100), "{words}");
}

#[test]
fn phases_of_one_name_are_told_apart_everywhere() {
    let mut record = record(&events());
    for phase in &mut record.phases {
        phase.name = "POST /x".into();
    }
    for started in &mut record.started {
        started.phase.name = "POST /x".into();
    }
    let report = Report::build(&record);
    let mut labels: Vec<&str> = report.phases().map(|p| p.label.as_str()).collect();
    labels.sort_unstable();
    assert_eq!(
        labels,
        [
            "concurrency: POST /x",
            "coverage: POST /x",
            "suite: POST /x",
            "sustained: POST /x"
        ]
    );
    assert!(
        report
            .summary
            .sentences
            .iter()
            .any(|s| s.contains("\"sustained: POST /x\" cannot be trusted"))
    );
    // What was measured again and well takes nothing away.
    let invalid = record.phases.iter().find(|p| !p.validity.is_valid()).unwrap();
    let mut again = invalid.clone();
    again.index = 1 + record.phases.iter().map(|p| p.index).max().unwrap();
    again.validity.invalid.clear();
    record.phases.push(again);
    let report = Report::build(&record);
    let told = |s: &String| s.contains("cannot be trusted: see its validity");
    assert!(!report.summary.sentences.iter().any(told));
}

#[test]
fn a_gate_marks_its_own_phase_only() {
    let verdict_of = |name: &str, gate: &str| {
        let mut record = record(&events());
        record.gates.truncate(1);
        record.gates[0].gate.phase = gate.into();
        record.gates[0].verdict = Verdict::Fail;
        Report::build(&record)
            .phases()
            .find(|p| p.summary.name == name)
            .unwrap()
            .verdict
    };
    assert_eq!(verdict_of("T1", "T1"), Some(Verdict::Fail));
    assert_eq!(verdict_of("preflight", "preflight"), None);
    assert_eq!(verdict_of("preflight", "coverage/preflight"), Some(Verdict::Fail));
    assert_eq!(verdict_of("steady", "T1"), Some(Verdict::Invalid));
}

#[test]
fn memory_of_the_target_is_drawn_over_the_run() {
    let page = |events: &[Event]| {
        let report = Report::build(&record(events));
        (find("html").unwrap().render)(&report, TerminalStyle::default()).unwrap()
    };
    let mut events = events();
    assert!(!page(&events).contains("Memory of the target"));
    for second in 0..50_u32 {
        let bytes = 1e9 + 1e6 * f64::from(second);
        for (monitor, value, bytes) in [("memory", "pss_bytes", bytes), ("generator", "rss_bytes", 7e9)] {
            events.push(Event::ReadingTaken(Reading {
                at: Nanos::from_secs_f64(second.into()),
                monitor: monitor.into(),
                values: [(value.to_owned(), bytes)].into(),
            }));
        }
    }
    let page = page(&events);
    assert!(page.contains("The target: memory of its process tree (PSS)"));
    // From 954 MiB to 1,000 on an axis up to a round number; the generator's own memory is none of the target's.
    assert!(page.contains(">1,200 MiB</text>") && !page.contains(" GiB</text>"));
    assert!(page.contains("<path class=\"l s0\" d=\"M"));
}

#[test]
fn long_titles_are_broken_and_not_cut_at_the_end() {
    let mut record = record(&events());
    let title = "word ".repeat(60).trim().to_owned();
    record.findings[2].title.clone_from(&title);
    let style = TerminalStyle {
        color: false,
        width: 60,
    };
    let words = terminal::closing(&Report::build(&record), style, None);
    assert_eq!(words.matches("word").count(), 60, "{words}");
    assert!(words.lines().all(|l| l.chars().count() <= 60), "{words}");
}
