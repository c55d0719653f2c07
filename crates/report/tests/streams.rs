//! Streams of tokens in every format, beside other tools, and in the files of other tools; as snapshots, and what must hold.

#[expect(dead_code, reason = "other tests use the rest")]
mod made;

use made::streams::run;
use prony_report::definitions::DEFINITIONS;
use prony_report::peers::PEER_FORMATS;
use prony_report::{Report, Slo, TerminalStyle, find, terminal};

#[test]
fn a_report_of_streams() {
    let report = Report::build(&run());
    for format in ["terminal", "markdown"] {
        let text = (find(format).unwrap().render)(&report, TerminalStyle::default()).unwrap();
        insta::assert_snapshot!(format!("streams-{format}"), text);
    }
    let tables = serde_json::to_string_pretty(&report.streams).unwrap();
    insta::assert_snapshot!("streams-json", tables);
}

#[test]
fn every_table_leads_to_what_its_figures_mean() {
    let report = Report::build(&swept());
    assert_eq!(report.streams.len(), 3);
    for (format, anchor, link, [open, close]) in [
        (
            "html",
            "<dl id=\"stream-terms\">",
            "<a href=\"#stream-terms\">",
            ["<dt>", "</dt>"],
        ),
        (
            "markdown",
            "<a id=\"stream-terms\"></a>",
            "](#stream-terms)",
            ["- **", "**"],
        ),
    ] {
        let page = (find(format).unwrap().render)(&report, TerminalStyle::default()).unwrap();
        assert_eq!(page.matches(anchor).count(), 1, "{page}");
        assert_eq!(page.matches(link).count(), report.streams.len(), "{page}");
        for term in ["TTFT", "TTFO", "ITL", "TPOT", "E2EL", "Goodput", "Stalls"] {
            let explained = format!("{open}{term}{close}");
            assert!(page.contains(&explained), "{term}: {page}");
        }
    }
}

#[test]
fn beside_every_other_tool() {
    let report = Report::build(&run());
    let pages: Vec<String> = DEFINITIONS
        .iter()
        .map(|d| terminal::definitions(&report, d.name, TerminalStyle::default()))
        .collect();
    insta::assert_snapshot!("streams-definitions", pages.join("\n"));
}

#[test]
fn the_files_of_other_tools() {
    let report = Report::build(&run());
    for format in PEER_FORMATS {
        let text = format.render(&report, &report.streams[0]).unwrap().unwrap();
        insta::assert_snapshot!(format!("streams-{}", format.name), text);
    }
}

#[test]
fn without_records_only_what_the_summary_holds() {
    let mut run = run();
    run.streams.clear();
    let report = Report::build(&run);
    let table = &report.streams[0];
    assert!(table.others.is_empty() && table.goodput.is_none() && table.strata.is_empty());
    assert_eq!(table.line("ttft_p50_ms").unwrap().value, Some(50.0));
    assert_eq!(table.line("user_tokens_per_s_arithmetic"), None);
    for format in PEER_FORMATS {
        assert_eq!(format.render(&report, table).unwrap(), None);
    }
}

#[test]
fn what_is_not_estimable_has_no_value() {
    let report = Report::build(&run());
    let p99 = report.streams[0].line("ttft_p99_ms").unwrap();
    assert_eq!(
        (p99.value, p99.note.as_str()),
        (None, "not estimable: needs 299 independent values")
    );
}

#[test]
fn goodput_counts_a_broken_answer_as_bad() {
    // TTFT is 50 in all; the two answers of 100 tokens take 545, above 300; one answer is broken: 7 of 10.
    let report = Report::build(&run());
    let good = report.streams[0].goodput.as_ref().unwrap();
    assert_eq!(
        (good.good, good.of, good.each.as_slice()),
        (7, 10, [9, 7].as_slice())
    );
    // Clopper-Pearson of 7 in 10: 0.348 to 0.933.
    assert!(
        (good.ci.0 - 0.3475).abs() < 1e-3 && (good.ci.1 - 0.9333).abs() < 1e-3,
        "{good:?}"
    );
}

#[test]
fn in_an_open_loop_an_objective_counts_from_the_schedule() {
    // Every request was sent 2 late: 50 is 52 then.
    let mut run = run();
    run.slos = vec!["ttft:51".parse().unwrap()];
    assert_eq!(Report::build(&run).streams[0].goodput.as_ref().unwrap().good, 9);
    run.phases[0].open_loop = true;
    assert_eq!(Report::build(&run).streams[0].goodput.as_ref().unwrap().good, 0);
}

/// The run with the one phase three times, at 1, 2 and 4 at once; 4 brings fewer tokens than 2.
fn swept() -> prony_report::RunRecord {
    let mut run = run();
    let first = run.phases[0].clone();
    run.phases.clear();
    run.streams.clear();
    for (index, (connections, per_s, tpot_ms)) in [(1, 30.0, 5.0), (2, 50.0, 8.0), (4, 45.0, 20.0)]
        .into_iter()
        .enumerate()
    {
        let mut phase = first.clone();
        phase.index = index as u16;
        phase.experiment = "interactivity".into();
        let stream = &mut phase.streams[0];
        stream.scenario = "chat <b>&".into();
        stream.connections = connections;
        stream.tokens_per_s = per_s;
        stream.tpot.mean_ns = tpot_ms * 1e6;
        run.phases.push(phase);
    }
    run
}

#[test]
fn a_sweep_is_a_curve_with_its_pareto_points() {
    let report = Report::build(&swept());
    let [curve] = report.curves.as_slice() else {
        panic!("{:?}", report.curves)
    };
    let points: Vec<(u32, f64, bool)> = curve
        .points
        .iter()
        .map(|p| (p.connections, p.user_tokens_per_s.round(), p.is_pareto))
        .collect();
    assert_eq!(points, [(1, 200.0, true), (2, 125.0, true), (4, 50.0, false)]);
    let rendered = |format: &str| (find(format).unwrap().render)(&report, TerminalStyle::default()).unwrap();
    let chart = rendered("svg");
    // Three points, two of them filled; the scenario's name is text.
    assert_eq!(chart.matches("<circle").count(), 3);
    assert_eq!(chart.matches("r=\"5\" fill=\"#1f6feb\"").count(), 2);
    assert!(
        chart.contains("chat &lt;b&gt;&amp;") && !chart.contains("<b>"),
        "{chart}"
    );
    insta::assert_snapshot!("streams-curves-svg", chart);
    let page = rendered("markdown");
    assert!(
        page.contains("## Throughput against interactivity") && page.contains("| yes |"),
        "{page}"
    );
    assert!(rendered("terminal").contains("Pareto"));
    // One concurrency is no curve.
    let mut alone = swept();
    alone.phases.truncate(1);
    assert!(Report::build(&alone).curves.is_empty());
}

#[test]
fn several_curves_stand_one_below_the_other() {
    let mut run = swept();
    for mut phase in run.phases.clone() {
        phase.index += 3;
        phase.streams[0].scenario = "other".into();
        run.phases.push(phase);
    }
    let chart = (find("svg").unwrap().render)(&Report::build(&run), TerminalStyle::default()).unwrap();
    let below =
        "<g transform=\"translate(0 360)\">\n<text text-anchor=\"start\" x=\"80.0\" y=\"24.0\">other: ";
    assert!(
        chart.contains("viewBox=\"0 0 720 720\"") && chart.contains(below),
        "{chart}"
    );
    assert_eq!(chart.matches("<circle").count(), 6);
}

#[test]
fn the_phases_of_a_first_token_add_up() {
    let mut run = run();
    // Every request is 2 ms late; of the first one 1.5 are the connection, 0.5 of them TLS.
    let first = &mut run.streams.get_mut(&0).unwrap().streams[0];
    (first.connect, first.tls) = (prony_model::Nanos(1_500_000), prony_model::Nanos(500_000));
    let report = Report::build(&run);
    let value = |key: &str| report.streams[0].line(key).unwrap().value.unwrap();
    let close = |key: &str, wanted: f64| assert!((value(key) - wanted).abs() < 1e-9, "{key} {}", value(key));
    close("ttft_split_connect_ms", 1.0 / 9.0);
    close("ttft_split_tls_ms", 0.5 / 9.0);
    close("ttft_split_late_ms", (8.0 * 2.0 + 0.5) / 9.0);
    close("ttft_split_wait_ms", 1.0);
    close("ttft_split_setup_ms", 0.0);
    close("ttft_split_token_ms", 49.0);
    let parts = ["late", "connect", "tls", "wait", "setup", "token"];
    let sum: f64 = parts
        .iter()
        .map(|part| value(&format!("ttft_split_{part}_ms")))
        .sum();
    assert!((sum - value("ttft_scheduled_mean_ms")).abs() < 1e-6, "{sum}");
}

#[test]
fn objectives_have_a_form() {
    assert_eq!("ttft:300".parse::<Slo>().unwrap().to_string(), "ttft <= 300 ms");
    for wrong in ["", "ttft", "ttft:", "ttft:-1", "ttft:inf", "ttfb:3", "ttft:3ms"] {
        assert!(wrong.parse::<Slo>().is_err(), "{wrong}");
    }
}

#[test]
fn whose_clock_stamped_the_events() {
    let mut run = run();
    let stamped = |run: &prony_report::RunRecord| {
        Report::build(run).streams[0]
            .line("stamped_on_arrival_share")
            .cloned()
    };
    assert!(stamped(&run).is_none(), "older runs do not say");
    run.phases[0].validity.stamped_by_kernel = 300;
    let all = stamped(&run).unwrap();
    assert_eq!((all.value, all.note.as_str()), (Some(1.0), "by the kernel"));
    run.phases[0].validity.stamped_by_read = 100;
    let some = stamped(&run).unwrap();
    assert_eq!(some.value, Some(0.75));
    assert_eq!(
        some.note,
        "by the kernel; 100 of 400 of the phase when they were read"
    );
}

#[test]
fn warnings_come_where_they_are_due() {
    let mut run = run();
    let warned = |run: &prony_report::RunRecord, part: &str| {
        let report = Report::build(run);
        report.streams[0].warnings.iter().any(|w| w.contains(part))
    };
    // 20 of 340 chunks shared a read: 5.9 %.
    assert!(warned(&run, "coalescing"));
    run.phases[0].streams[0].joined = 16;
    assert!(!warned(&run, "coalescing"));
    run.phases[0].streams[0].token_events = 280;
    assert!(
        warned(&run, "coalescing"),
        "340 tokens in 280 chunks are 1.21 each"
    );
    assert!(!warned(&run, "differ by"));
    run.phases[0].streams[0].event_tokens = 332;
    assert!(warned(&run, "differ by"), "332 of 340 are 2.4 % apart");
    assert!(!warned(&run, "have no usage"));
    run.phases[0].streams[0].with_usage = 8;
    assert!(warned(&run, "1 of 9 answers have no usage"));
}
