//! Every format of a rich run, a killed run and an empty one, as snapshots; and what must hold of all of them.

#[expect(dead_code, reason = "other tests use the rest")]
mod made;

use made::rich::{events, killed_events, record};
use prony_report::{FORMATS, Report, TerminalStyle, find};

fn render(format: &str, report: &Report) -> String {
    (find(format).unwrap().render)(report, TerminalStyle::default()).unwrap()
}

#[test]
fn a_rich_run() {
    let report = Report::build(&record(&events()));
    for format in FORMATS {
        insta::assert_snapshot!(format!("rich-{}", format.name), render(format.name, &report));
    }
}

#[test]
fn a_killed_run() {
    let report = Report::build(&record(&killed_events()));
    for format in ["terminal", "markdown"] {
        insta::assert_snapshot!(format!("killed-{format}"), render(format, &report));
    }
}
