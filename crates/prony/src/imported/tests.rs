//! What a stranger's file may look like, and what it is told when it does not.

use std::path::Path;

use prony_experiments::imported::{Claim, Ended, Measure, Requests, Statistic, judge_claims, judge_requests};
use proptest::prelude::*;

use super::{Imported, Kind, Options, parse, read};
use crate::diagnostic::Diagnostic;

fn claims(text: &str) -> Result<Vec<Claim>, Diagnostic> {
    match parse("x.csv", text, &Options::default())? {
        Imported::Claims(claims) => Ok(claims),
        Imported::Requests(_) => panic!("these are claims: {text}"),
    }
}

fn requests(text: &str, options: &Options) -> Result<Requests, Diagnostic> {
    match parse("x.csv", text, options)? {
        Imported::Requests(requests) => Ok(requests),
        Imported::Claims(_) => panic!("these are requests: {text}"),
    }
}

/// The message with its next steps.
fn wrong(text: &str) -> String {
    let read = parse("x.csv", text, &Options::default());
    read.err()
        .unwrap_or_else(|| panic!("accepted: {text}"))
        .render(false)
}

#[test]
fn a_row_of_claims_in_base_units() {
    let text = "id,claim,metric,statistic,value,n,ok,Duration (s),concurrency,no_op_ms,before,limit\n\
                T7,\"Avg, 6.7 ms\",latency,mean,6.7ms,50,,0.34,50,28,1.078 GiB,\n\
                ,ok rate,success,,86.7%,30,26,,,,,95%\n";
    let read = claims(text).unwrap();
    assert_eq!(
        (read[0].id.as_str(), read[0].says.as_str()),
        ("T7", "Avg, 6.7 ms")
    );
    assert_eq!(read[0].measure, Measure::Latency);
    assert_eq!(read[0].statistic, Statistic::Mean);
    assert_eq!(
        (read[0].value, read[0].n, read[0].ok),
        (Some(0.0067), Some(50), None)
    );
    assert_eq!((read[0].duration_s, read[0].no_op_s), (Some(0.34), Some(0.028)));
    assert!((read[0].before_mib.unwrap() - 1103.872).abs() < 1e-9);
    assert_eq!(read[1].id, "line 3");
    assert_eq!((read[1].value, read[1].limit), (Some(0.867), Some(0.95)));
}

#[test]
fn json_says_the_same_as_csv() {
    let csv = claims("id,metric,value,n,ok\na,success,90%,10,9\n").unwrap();
    let ndjson =
        claims("{\"id\":\"a\",\"metric\":\"success\",\"value\":\"90%\",\"n\":10,\"ok\":9}\n").unwrap();
    let array =
        claims("[{\"id\":\"a\",\"metric\":\"success\",\"value\":90,\"unit\":\"%\",\"n\":10,\"ok\":9}]")
            .unwrap();
    assert_eq!(csv, ndjson);
    assert_eq!(csv, array);
}

#[test]
fn what_is_wrong_with_claims_is_told_with_its_line() {
    for (text, parts) in [
        (
            "metric,valeu\nlatency,1\n",
            &[
                "unknown column `valeu`",
                "did you mean `value`?",
                "known here: id, claim",
            ][..],
        ),
        ("value,claim\n1,x\n", &["needs the column `metric`"]),
        (
            "metric,value,n\nlatency,12,5\n",
            &["line 2", "column `value`", "has no unit"],
        ),
        ("metric,n\nlatncy,5\n", &["line 2", "did you mean `latency`?"]),
        (
            "metric,n\nsuccess,5.5\n",
            &["line 2", "column `n`", "whole number"],
        ),
        ("metric,statistic\nlatency,p101\n", &["p95, p99.9"]),
        ("metric,over\nlatency,most\n", &["neither `all` nor `ok`"]),
        (
            "metric,id\nlatency,a\nlatency,a\n",
            &["line 3", "`a` is that of line 2"],
        ),
        (
            "metric,id,against\nsuccess,round-1,\nsuccess,b,round1\n",
            &["line 3", "did you mean `round-1`?"],
        ),
        (
            "metric,users,workers\nlatency,1,2\n",
            &["say the same thing (concurrency)"],
        ),
        ("metric,value,unit\nlatency,5,furlongs\n", &["no known unit"]),
        (
            "metric,n\nlatency\n",
            &["line 2", "1 cells where the header has 2"],
        ),
        ("metric\n", &["no rows"]),
        ("", &["is empty", "prony judge --help"]),
    ] {
        let message = wrong(text);
        for part in parts {
            assert!(message.contains(part), "{text}: {part} is not in {message}");
        }
    }
    let ignored = Options {
        ignore_unknown: true,
        ..Options::default()
    };
    let named = Options {
        ignore: vec!["zzz".into()],
        ..Options::default()
    };
    for options in [&ignored, &named] {
        assert!(parse("x", "metric,zzz\nlatency,1\n", options).is_ok());
    }
    assert!(parse("x", "metric,yyy\nlatency,1\n", &named).is_err());
}

#[test]
fn requests_of_several_tools() {
    let plain = Options::default();
    let read = requests(
        "start,end,status\n20:54:25.5,20:54:27,200\n20:54:26.25,20:56:26,400\n",
        &plain,
    )
    .unwrap();
    assert_eq!(read.resolution_s, Some(0.01));
    assert_eq!(
        (read.records[0].start_s, read.records[0].end_s),
        (Some(0.0), Some(1.5))
    );
    assert_eq!(read.records[1].ended, Ended::Failed);
    assert!(read.says_how);
    // JMeter, whose times are milliseconds and whose name does not say so.
    let jmeter = "timeStamp,elapsed,label,responseCode,success\n1700000000100,120,a,200,true\n1700000000000,80,b,200,false\n";
    assert!(wrong(jmeter).contains("has no unit"));
    let ms = Options {
        unit: Some("ms".into()),
        ..Options::default()
    };
    let read = requests(jmeter, &ms).unwrap();
    assert_eq!(
        read.records[0].latency_s,
        Some(0.08),
        "in the order of their start"
    );
    assert_eq!(read.records[0].ended, Ended::Failed);
    assert_eq!(read.records[1].start_s, Some(0.1));
    assert_eq!(read.cells.len(), 2);
    // Seconds since the start, with the unit in the name.
    let read = requests("offset_s,start_s,response_time_ms,status\n", &plain);
    assert!(read.is_err());
    let read = requests("start_s;latency_ms;status\n0.5;20;200\n0.25;10;timeout\n", &plain).unwrap();
    assert_eq!(read.records[0].ended, Ended::Timeout);
    assert_eq!(read.records[1].start_s, Some(0.25));
}

#[test]
fn midnight_is_passed() {
    let read = requests(
        "start,end\n23:59:58,23:59:59\n23:59:59,00:00:02\n00:00:01,00:00:03\n",
        &Options::default(),
    )
    .unwrap();
    let ends: Vec<_> = read.records.iter().map(|r| r.end_s.unwrap()).collect();
    assert_eq!(ends, [1.0, 4.0, 5.0]);
    // Two that ran over midnight, and one of the next evening.
    let read = requests(
        "start,end\n23:59:58,00:00:01\n23:59:59,00:00:02\n00:00:00,00:00:03\n12:30:00,12:30:01\n23:59:58,00:00:01\n",
        &Options::default(),
    )
    .unwrap();
    let starts: Vec<_> = read.records.iter().map(|r| r.start_s.unwrap()).collect();
    assert_eq!(starts, [0.0, 1.0, 2.0, 45_002.0, 86_400.0]);
}

#[test]
fn what_is_wrong_with_requests_is_told() {
    for (text, parts) in [
        ("begin,latncy_ms\n1,2\n", &["unknown column `latncy_ms`"][..]),
        ("start,staus\n1700000000,200\n", &["did you mean `status`?"]),
        ("status\n200\n", &["none of its columns", "metric"]),
        ("start\nsoon\n", &["line 2", "no point in time"]),
        ("latency_ms,success\n5,maybe\n", &["neither true nor false"]),
        ("latency_ms,status\n,200\n", &["line 2", "neither a start"]),
        ("latency_ms\n-5\n", &["line 2", "not possible"]),
    ] {
        let message = wrong(text);
        for part in parts {
            assert!(message.contains(part), "{text}: {part} is not in {message}");
        }
    }
}

#[test]
fn a_kind_can_be_forced() {
    let forced = Options {
        kind: Some(Kind::Requests),
        ignore_unknown: true,
        ..Options::default()
    };
    let text = "metric,latency_ms\nx,5\n";
    assert!(matches!(parse("x", text, &forced), Ok(Imported::Requests(_))));
    assert!(matches!(
        parse("x", text, &Options::default()),
        Ok(Imported::Claims(_)) | Err(_)
    ));
}

#[test]
fn hostile_text_does_not_reach_the_terminal() {
    let hostile = "\u{1b}[2J\u{202e}\u{7}";
    for text in [
        format!("metric,{hostile}\nlatency,1\n"),
        format!("metric,value\n{hostile},1\n"),
        format!("metric,value\nlatency,{hostile}\n"),
        format!("metric,id,against\nlatency,a,{hostile}\n"),
        format!("start\n{hostile}\n"),
        format!("{{\"a\": {hostile}}}"),
    ] {
        let message = wrong(&text);
        assert!(
            !message.contains('\u{1b}') && !message.contains('\u{202e}'),
            "{message:?}"
        );
    }
    let read = claims(&format!(
        "metric,id,claim,endpoint\nlatency,a{hostile},b{hostile},c{hostile}\n"
    ))
    .unwrap();
    let all = format!("{}{}{}", read[0].id, read[0].says, read[0].endpoint);
    assert_eq!(all, "a[2Jb[2Jc[2J");
}

proptest! {
    /// Whatever a file holds, it is read or refused in words, and what is read is judged.
    #[test]
    fn no_text_is_too_strange(
        header in "(metric|value|n|ok|start|end|latency_ms|status|unit|before|resolution|statistic|[a-z]{1,4})(,(metric|value|n|ok|start|latency|claim|against|number|memory_mib)){0,4}",
        rows in prop::collection::vec("([-0-9.,:TZ% emsx/\"]{0,24}|latency|success|memory|p99|[ -~\u{e4}\u{1b}]{0,12})(,([0-9.:e-]{0,22}(ms|s|%|MiB|h)?)){0,4}", 0..6),
    ) {
        let text = format!("{header}\n{}\n", rows.join("\n"));
        let options = Options { unit: Some("h".into()), ignore_unknown: true, ..Options::default() };
        match parse("x", &text, &options) {
            Ok(Imported::Claims(claims)) => prop_assert!(!judge_claims(&claims).is_empty()),
            Ok(Imported::Requests(requests)) => prop_assert!(!judge_requests(&requests).is_empty()),
            Err(error) => {
                let harmless = !error.render(false).contains('\u{1b}');
                prop_assert!(harmless);
            }
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let error = read(Path::new("absent.csv"), &Options::default()).unwrap_err();
    assert!(error.render(false).contains("absent.csv"));
}
