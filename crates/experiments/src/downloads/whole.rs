//! Is every file that was reported as a success whole? Its length and digest against a reference: what the service behind the
//! target says of the content, else what most downloads of the same content agree on. Knows no times.

use std::collections::BTreeMap;

use prony_model::{Finding, PhaseResult, Severity, Verdict};
use prony_stats::binomial;

use super::files::{Download, Reference, Seen, downloads, references};
use super::{ALONE, NAME, TOGETHER};
use crate::RunView;
use crate::answer::bounded;
use crate::draft::{Draft, source};
use crate::wording::{digits, resting_on_answers};

/// Rows of the table of bad files.
const ROWS_MAX: usize = 12;

/// A success that is none.
struct Bad {
    path: String,
    got: u64,
    want: u64,
    why: &'static str,
}

/// The finding; `None` where nothing was downloaded.
pub(super) fn finding(run: &RunView<'_>, endpoint: &str) -> Option<Finding> {
    let described = run.surface.endpoints.iter().find(|e| e.name == endpoint)?;
    let phases: Vec<&PhaseResult> = [ALONE, TOGETHER]
        .iter()
        .filter_map(|name| run.phase(NAME, name))
        .collect();
    let all: Vec<Download> = phases.iter().flat_map(|p| downloads(p, described)).collect();
    let evidence = source(phases.first()?, endpoint);
    let draft = Draft::new(NAME, "incomplete-file", endpoint);
    let known: Vec<&Download> = all
        .iter()
        .filter(|d| d.seen.is_some() || d.written.bytes.is_some())
        .collect();
    if known.is_empty() {
        let draft = draft
            .advisory()
            .verdict(Verdict::Inconclusive, Severity::Low)
            .title(format!(
                "Whether the files of {endpoint} are whole cannot be seen from here"
            ))
            .detail("The answers tell neither length nor digest, and the files are not on this machine.")
            .figure(
                "files reported as written",
                all.len() as f64,
                "",
                all.len(),
                &evidence,
            )
            .advice(
                "Let the answer tell the length and a digest of what was written.",
                "",
            );
        return Some(draft.done());
    }
    let references = references(run);
    let (bad, compared) = judge(&known, &references);
    let n = known.len();
    let seen = known.iter().filter(|d| d.seen.is_some()).count();
    let against = if compared > 0 {
        "what the service behind the target says of each content"
    } else {
        "what most downloads of the same content agree on, so that a flaw common to all of them would not show"
    };
    let draft = draft
        .figure("files reported as written", n as f64, "", n, &evidence)
        .figure("files read here", seen as f64, "", n, &evidence)
        .figure("files that are not whole", bad.len() as f64, "", n, &evidence);
    let draft = if bad.is_empty() {
        draft
            .title(format!("All {n} files of {endpoint} are whole"))
            .detail(format!(
                "Length{} of each file were held against {against}. None of {n} was bad, which leaves a share of up to {} % possible (95 %).",
                if seen > 0 { " and digest" } else { "" },
                digits(100.0 * binomial::zero_failure_bound(n as u64))
            ))
    } else {
        let rows = bad.iter().take(ROWS_MAX).map(|b| {
            vec![
                bounded(&b.path),
                b.got.to_string(),
                b.want.to_string(),
                b.why.to_owned(),
            ]
        });
        draft
            .verdict(Verdict::Fail, Severity::Critical)
            .title(format!("{} of {n} files of {endpoint} are not whole, though each was reported as a success", bad.len()))
            .detail(format!("Length and digest of each file were held against {against}."))
            .table("Files that are not whole", &["File", "Bytes", "Expected", "How it is known"], rows.collect(), &evidence)
            .advice(
                "Compare what was received with Content-Length and the ETag or a digest before the file is put in place, and report a transfer that broke off as a failure.",
                "A connection that ends early, or an answer that is too short, was taken for the end of the file.",
            )
    };
    Some(resting_on_answers(draft.done(), &phases))
}

/// The bad ones, and how many were held against a reference.
fn judge(known: &[&Download], references: &BTreeMap<String, Reference>) -> (Vec<Bad>, usize) {
    let mut contents: BTreeMap<&[(String, String)], Vec<&Download>> = BTreeMap::new();
    for download in known {
        contents.entry(&download.content).or_default().push(download);
    }
    let told = |content: &[(String, String)]| {
        content
            .iter()
            .find_map(|(_, value)| references.get(value))
            .copied()
    };
    // A reference that most contents contradict is one of something else.
    let with = contents
        .iter()
        .filter_map(|(content, all)| Some((told(content)?, usual(all)?)));
    let (mut agree, mut differ) = (0, 0);
    for (reference, usual) in with {
        if reference.bytes == usual.bytes {
            agree += 1;
        } else {
            differ += 1;
        }
    }
    let trusted = agree > differ;
    let mut bad = Vec::new();
    let mut compared = 0;
    for (content, all) in &contents {
        let reference = told(content).filter(|_| trusted);
        let usual = usual(all);
        for download in all {
            compared += usize::from(reference.is_some());
            bad.extend(why_bad(download, reference, usual));
        }
    }
    (bad, compared)
}

/// What most of the files of one content are; the longest where none is more frequent.
fn usual(all: &[&Download]) -> Option<Seen> {
    let mut counts: BTreeMap<Seen, usize> = BTreeMap::new();
    for seen in all.iter().filter_map(|d| d.seen) {
        *counts.entry(seen).or_default() += 1;
    }
    counts
        .into_iter()
        .max_by_key(|(seen, n)| (*n, seen.bytes))
        .map(|(seen, _)| seen)
}

fn why_bad(download: &Download, reference: Option<Reference>, usual: Option<Seen>) -> Option<Bad> {
    let bad = |got: u64, want: u64, why: &'static str| {
        Some(Bad {
            path: download.written.path.clone(),
            got,
            want,
            why,
        })
    };
    let said = download.written.bytes;
    let Some(seen) = download.seen else {
        return match (said, reference) {
            (Some(said), Some(reference)) if said != reference.bytes => {
                bad(said, reference.bytes, "told length against the reference")
            }
            _ => None,
        };
    };
    if let Some(reference) = reference {
        if seen.bytes != reference.bytes {
            return bad(seen.bytes, reference.bytes, "length against the reference");
        }
        if reference.seen.is_some_and(|r| r.sha256 != seen.sha256) {
            return bad(seen.bytes, reference.bytes, "digest against the reference");
        }
    }
    if let Some(said) = said.filter(|said| *said != seen.bytes) {
        return bad(seen.bytes, said, "length against what the answer says");
    }
    if download
        .written
        .sha256
        .as_ref()
        .is_some_and(|said| !seen.is(said))
    {
        return bad(seen.bytes, seen.bytes, "digest against what the answer says");
    }
    let usual = usual.filter(|usual| reference.is_none() && *usual != seen)?;
    bad(
        seen.bytes,
        usual.bytes,
        "against other downloads of the same content",
    )
}
