//! Text of a target cannot break out of any format. Markdown is read back with an independent parser.

mod made;

use std::collections::BTreeSet;

use html5gum::{Token, Tokenizer};
use made::rich::{HOSTILE, events, record};
use prony_model::{Event, Evidence, Finding, Severity, Source, Verdict};
use prony_report::{Report, RunRecord, TerminalStyle, find, terminal};
use proptest::prelude::*;
use pulldown_cmark::{Event as Mark, Options, Parser, Tag};

/// What a Markdown page could do to its reader: links, images and HTML that are not ours.
fn foreign(page: &str) -> Vec<String> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_FOOTNOTES;
    let mut out = Vec::new();
    for event in Parser::new_ext(page, options) {
        match event {
            Mark::Start(Tag::Link { dest_url, .. }) if !dest_url.starts_with('#') => {
                out.push(dest_url.to_string());
            }
            Mark::Start(Tag::Image { dest_url, .. }) => out.push(dest_url.to_string()),
            Mark::Html(html) | Mark::InlineHtml(html) => {
                let html = html.trim();
                let ours = html.starts_with("<a id=\"") && html.ends_with("\">")
                    || html == "</a>"
                    || html.ends_with("\"></a>");
                if !ours {
                    out.push(html.to_owned());
                }
            }
            _ => {}
        }
    }
    out
}

/// Tags of an HTML page with the names of their attributes, as a browser's tokenizer reads them; and where its links lead
/// and which anchors it has.
struct HtmlPage {
    tags: Vec<(String, Vec<String>)>,
    links: Vec<String>,
    anchors: Vec<String>,
}

fn html_page(page: &str) -> HtmlPage {
    let mut out = HtmlPage {
        tags: Vec::new(),
        links: Vec::new(),
        anchors: Vec::new(),
    };
    for Ok(token) in Tokenizer::new(page) {
        let Token::StartTag(tag) = token else {
            continue;
        };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        for (name, value) in &tag.attributes {
            match &name[..] {
                b"href" | b"src" => out.links.push(text(value)),
                b"id" => out.anchors.push(text(value)),
                _ => {}
            }
        }
        let names: Vec<String> = tag.attributes.keys().map(|name| text(name)).collect();
        // What stands between backticks is code, whoever wrote it.
        if &tag.name[..] != b"code" || !names.is_empty() {
            out.tags.push((text(&tag.name), names));
        }
    }
    out
}

/// Elements of an XML page with the names of their attributes, as an independent parser reads them.
fn elements(page: &str) -> Vec<(String, Vec<String>)> {
    let parsed = roxmltree::Document::parse(page).unwrap();
    let names = |node: roxmltree::Node<'_, '_>| node.attributes().map(|a| a.name().to_owned()).collect();
    let nodes = parsed.descendants().filter(roxmltree::Node::is_element);
    nodes
        .map(|node| (node.tag_name().name().to_owned(), names(node)))
        .collect()
}

/// Number of cells of each line of a CSV page, and whether a spreadsheet would take none for a formula.
fn cells(page: &str) -> Vec<usize> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(page.as_bytes());
    let lines: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    for cell in lines.iter().flatten() {
        let number = cell.parse::<f64>().is_ok();
        assert!(number || !cell.starts_with(['=', '+', '-', '@']), "{cell}");
    }
    lines.iter().map(csv::StringRecord::len).collect()
}

/// Headings of a page.
fn headings(page: &str) -> usize {
    Parser::new(page)
        .filter(|e| matches!(e, Mark::Start(Tag::Heading { .. })))
        .count()
}

/// What a YAML page is without its comments and its quoted texts: nothing in there may come from a target but a name.
fn bare(page: &str) -> Vec<String> {
    let lines = page.lines().filter(|l| !l.trim_start().starts_with('#'));
    let keys = lines.map(|l| l.split_once(": ").map_or(l, |(key, _)| key).to_owned());
    keys.collect()
}

fn render(format: &str, report: &Report) -> String {
    (find(format).unwrap().render)(report, TerminalStyle::default()).unwrap()
}

/// The rich run with a text in every place that a target or a suite can fill.
fn filled_with(text: &str) -> RunRecord {
    let mut record = record(&events());
    let surface = record.surface.as_mut().unwrap();
    surface.name = text.into();
    surface.version = text.into();
    surface.found_by = vec![text.into()];
    surface.endpoints[0].name = text.into();
    surface.endpoints[0].path = "/untouched".into();
    record.notes.push(text.into());
    record.damage.push(text.into());
    for phase in &mut record.phases {
        phase.name = text.into();
        phase.experiment = text.into();
        for row in &mut phase.rows {
            row.scenario = text.into();
        }
        for issue in phase
            .validity
            .invalid
            .iter_mut()
            .chain(&mut phase.validity.warnings)
        {
            issue.says = text.into();
        }
    }
    record.findings.push(Finding {
        id: text.into(),
        experiment: text.into(),
        endpoint: text.into(),
        verdict: Verdict::Fail,
        severity: Severity::High,
        required: true,
        title: text.into(),
        detail: text.into(),
        evidence: vec![Evidence::Quote {
            label: text.into(),
            text: text.into(),
            source: Source {
                phase: Some(1),
                scenario: text.into(),
            },
        }],
        recommendation: Some(prony_model::Recommendation {
            advice: text.into(),
            because: text.into(),
        }),
    });
    for claim in &mut record.claims {
        claim.claim.id = text.into();
        claim.claim.says = text.into();
        claim.claim.note = text.into();
        claim.says = text.into();
    }
    for gate in &mut record.gates {
        gate.gate.scenario = Some(text.into());
        gate.gate.check = text.into();
        gate.says = text.into();
    }
    record.advice = made::advised::advice(text);
    record.header.target = text.into();
    record.header.command = text.into();
    record.header.host = [(text.to_owned(), text.to_owned())].into();
    record
}

/// Pieces that mean something to Markdown, HTML or a terminal, and any text between them.
fn nasty() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "<b>",
            "</a>",
            "<!--",
            "<a id=\"x\">",
            "&lt;",
            "&#60;",
            "|",
            "\n",
            "\r\n\r\n",
            "`",
            "```",
            "\\",
            "\\\\",
            "[",
            "](",
            ")",
            "![",
            "#",
            "# ",
            "\n# ",
            "- ",
            "1. ",
            "> ",
            "***",
            "__",
            "~~",
            "http://e.x/",
            "www.e.x",
            "<http://e.x>",
            "[x]: http://e.x",
            "[^1]",
            "\t",
            "    ",
            "\u{1b}[2J",
            "\u{1b}]8;;http://e.x\u{7}",
            "\u{9b}31m",
            "\u{202e}",
            "\u{200b}",
            "\u{0}",
            "\u{fffe}",
            "\u{ffff}",
            "$",
            "{{",
            "{%",
            "%}",
            "---",
            "===",
            "|---|",
        ])
        .prop_map(str::to_owned),
        any::<String>().prop_map(|s| s.chars().take(8).collect()),
        "[a-z ]{0,6}",
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn nothing_breaks_out_of_a_page(text in nasty()) {
        let plain = Report::build(&filled_with("x"));
        let report = Report::build(&filled_with(&text));
        let page = render("markdown", &report);
        prop_assert_eq!(foreign(&page), Vec::<String>::new(), "{}", page);
        prop_assert_eq!(headings(&page), headings(&render("markdown", &plain)));
        prop_assert!(!page.chars().any(|c| c.is_control() && c != '\n'));

        let page = render("junit", &report);
        prop_assert_eq!(elements(&page), elements(&render("junit", &plain)));
        prop_assert_eq!(cells(&render("csv", &report)), cells(&render("csv", &plain)));
        let page = render("html", &report);
        let read = html_page(&page);
        prop_assert!(read.links.iter().all(|link| link.starts_with('#')), "{:?}", read.links);
        prop_assert!(!page.chars().any(|c| c.is_control() && c != '\n'));
        // What is empty is not shown at all.
        if !text.is_empty() {
            prop_assert_eq!(read.tags, html_page(&render("html", &plain)).tags);
        }

        for style in [TerminalStyle::default(), TerminalStyle { color: false, width: 41 }] {
            let shown = terminal::closing(&report, style, Some(&text));
            prop_assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
            let reordered = shown.contains('\u{202e}');
            prop_assert!(!reordered);
        }
        for format in ["kubernetes", "alerts"] {
            let page = render(format, &report);
            prop_assert_eq!(bare(&page), bare(&render(format, &plain)), "{}", page);
            prop_assert!(!page.chars().any(|c| c.is_control() && c != '\n'));
        }
        let json: Report = serde_json::from_str(&render("json", &report)).unwrap();
        prop_assert_eq!(json.findings.len(), report.findings.len());
    }
}

#[test]
fn what_xml_forbids_leaves_it_well_formed() {
    let text = "a\u{0}\u{1}\u{b}\u{1f}\u{7f}\u{fffe}\u{ffff}b";
    let plain = Report::build(&filled_with("ab"));
    let report = Report::build(&filled_with(text));
    assert_eq!(
        elements(&render("junit", &report)),
        elements(&render("junit", &plain))
    );
    let mut run = made::streams::run();
    let mut twice = run.phases[0].clone();
    (twice.index, twice.streams[0].connections) = (1, 2);
    run.phases.push(twice);
    for stream in run.phases.iter_mut().flat_map(|p| &mut p.streams) {
        stream.scenario = text.into();
    }
    let report = Report::build(&run);
    assert_eq!(report.curves.len(), 1);
    assert!(!elements(&render("svg", &report)).is_empty());
}

#[test]
fn endless_text_is_bounded() {
    let long = HOSTILE.repeat(1_000);
    let report = Report::build(&filled_with(&long));
    let page = render("markdown", &report);
    assert!(page.len() < 300_000, "{}", page.len());
    let page = render("html", &report);
    assert!(page.len() < 400_000, "{}", page.len());
    let line = terminal::finding_line(&report.findings[0].finding, TerminalStyle::default());
    assert!(line.chars().count() <= 100, "{line}");
}

#[test]
fn every_link_leads_somewhere() {
    for report in [
        Report::build(&record(&events())),
        Report::build(&record(&made::rich::killed_events())),
    ] {
        let page = render("markdown", &report);
        let anchors: Vec<&str> = page
            .split("<a id=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
            .collect();
        let unique: BTreeSet<&str> = anchors.iter().copied().collect();
        assert_eq!(unique.len(), anchors.len(), "an anchor stands twice: {anchors:?}");
        let links: Vec<&str> = page
            .split("](#")
            .skip(1)
            .map(|rest| rest.split(')').next().unwrap())
            .collect();
        assert!(!links.is_empty());
        for link in links {
            assert!(unique.contains(link), "nothing is at #{link}");
        }
        let page = html_page(&render("html", &report));
        let unique: BTreeSet<&String> = page.anchors.iter().collect();
        assert_eq!(
            unique.len(),
            page.anchors.len(),
            "an anchor stands twice: {:?}",
            page.anchors
        );
        assert!(page.links.len() > 5);
        for link in page.links {
            let anchor = link.strip_prefix('#').unwrap().to_owned();
            assert!(unique.contains(&anchor), "nothing is at {link}");
        }
    }
}

#[test]
fn a_line_of_a_finding_names_its_verdict_with_and_without_colour() {
    let Event::FindingMade(mut finding) = events()
        .into_iter()
        .find(|e| matches!(e, Event::FindingMade(_)))
        .unwrap()
    else {
        unreachable!("just matched")
    };
    for (verdict, word) in [
        (Verdict::Pass, "PASS"),
        (Verdict::Warn, "WARN"),
        (Verdict::Inconclusive, "INCONCLUSIVE"),
        (Verdict::Fail, "FAIL"),
        (Verdict::Invalid, "INVALID"),
    ] {
        finding.verdict = verdict;
        let bare = terminal::finding_line(
            &finding,
            TerminalStyle {
                color: false,
                width: 80,
            },
        );
        assert!(bare.starts_with(word), "{bare}");
        assert!(!bare.contains('\u{1b}'), "{bare:?}");
        let coloured = terminal::finding_line(
            &finding,
            TerminalStyle {
                color: true,
                width: 80,
            },
        );
        assert!(coloured.contains(word), "{coloured:?}");
        assert!(
            coloured.starts_with("\u{1b}[") && coloured.contains("\u{1b}[0m"),
            "{coloured:?}"
        );
    }
}
