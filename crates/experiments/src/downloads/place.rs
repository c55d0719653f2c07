//! Has every file a place of its own, and does it appear there whole? Several contents under one name, and what was seen of
//! files before the answer said that they were written.

use std::collections::{BTreeMap, BTreeSet};

use prony_model::{Finding, PhaseResult, Severity, Verdict};

use super::files::{downloads, growth, looks};
use super::{ALONE, NAME, ONE_NAME, TOGETHER};
use crate::RunView;
use crate::answer::bounded;
use crate::draft::{Draft, source};
use crate::wording::resting_on_answers;

/// Rows of a table.
const ROWS_MAX: usize = 12;

/// Whether a second writer overwrites the first one's file. `None` where callers cannot name their outputs.
pub(super) fn overwritten(run: &RunView<'_>, endpoint: &str) -> Option<Finding> {
    let phase = run.phase(NAME, ONE_NAME)?;
    let described = run.surface.endpoints.iter().find(|e| e.name == endpoint)?;
    let good = downloads(phase, described);
    let mut places: BTreeMap<&str, BTreeSet<&[(String, String)]>> = BTreeMap::new();
    for download in &good {
        places
            .entry(&download.written.path)
            .or_default()
            .insert(&download.content);
    }
    let lost: usize = places.values().map(|contents| contents.len() - 1).sum();
    let evidence = source(phase, endpoint);
    let is_refused = |s: &&prony_model::Sample| !s.outcome.is_own() && s.outcome != prony_model::Outcome::Ok;
    let refused = phase.samples.iter().filter(is_refused).count();
    let draft = Draft::new(NAME, "silent-overwrite", endpoint)
        .figure(
            "files asked for under one name",
            phase.samples.len() as f64,
            "",
            phase.samples.len(),
            &evidence,
        )
        .figure(
            "reported as written",
            good.len() as f64,
            "",
            good.len(),
            &evidence,
        )
        .figure("places", places.len() as f64, "", good.len(), &evidence)
        .figure(
            "contents that another replaced",
            lost as f64,
            "",
            good.len(),
            &evidence,
        );
    let draft = if good.len() < 2 && refused == 0 {
        draft.verdict(Verdict::Inconclusive, Severity::Low).title(format!(
            "Too few answers to say whether {endpoint} overwrites files"
        ))
    } else if lost == 0 {
        draft.title(format!("No file of {endpoint} was overwritten by another that bore its name")).detail(format!(
            "Different contents were asked for under one name, several at once: {} were written to {} places, {refused} were refused.",
            good.len(),
            places.len()
        ))
    } else {
        let rows = places
            .iter()
            .filter(|(_, contents)| contents.len() > 1)
            .take(ROWS_MAX)
            .map(|(path, contents)| vec![bounded(path), contents.len().to_string()])
            .collect();
        draft
            .verdict(Verdict::Fail, Severity::High)
            .title(format!("{endpoint} overwrites files without a word: {lost} contents were replaced by others of the same name"))
            .detail(format!(
                "Different contents were asked for under one name, several at once: {} were reported as written, to {} places. \
                 Only the last of each place can still be there.",
                good.len(),
                places.len()
            ))
            .table("Places with several contents", &["File", "Contents reported there"], rows, &evidence)
            .advice(
                "Refuse a name that is taken, or choose another one and say so; create files so that an existing one is never opened for writing.",
                "Callers who choose the same name lose files and are told of success.",
            )
    };
    Some(resting_on_answers(draft.done(), &[phase]))
}

/// Whether files can be seen in their places before they are whole. `None` where no file could be seen.
pub(super) fn partial(run: &RunView<'_>, endpoint: &str) -> Option<Finding> {
    let described = run.surface.endpoints.iter().find(|e| e.name == endpoint)?;
    let phases: Vec<&PhaseResult> = [ALONE, TOGETHER]
        .iter()
        .filter_map(|name| run.phase(NAME, name))
        .collect();
    let mut rows = Vec::new();
    let (mut seen, mut partial) = (0, 0);
    for phase in &phases {
        for download in downloads(phase, described) {
            let Some(whole) = download.seen else {
                continue;
            };
            seen += 1;
            let early: Vec<u64> = growth(phase, &download.written.path)
                .into_iter()
                .filter(|(at, bytes)| *at < download.done && *bytes < whole.bytes)
                .map(|(_, bytes)| bytes)
                .collect();
            if let Some(largest) = early.iter().max() {
                partial += 1;
                rows.push(vec![
                    bounded(&download.written.path),
                    early.len().to_string(),
                    largest.to_string(),
                    whole.bytes.to_string(),
                ]);
            }
        }
    }
    if seen == 0 {
        return None;
    }
    let looks: usize = phases.iter().map(|p| looks(p)).sum();
    let evidence = source(phases.last()?, endpoint);
    let draft = Draft::new(NAME, "partial-file-visible", endpoint)
        .figure("files seen", f64::from(seen), "", seen as usize, &evidence)
        .figure(
            "seen before they were whole",
            f64::from(partial),
            "",
            seen as usize,
            &evidence,
        )
        .figure("looks at the folder", looks as f64, "", looks, &evidence);
    let draft = if partial == 0 {
        draft.title(format!("No file of {endpoint} was seen in its place before it was whole")).detail(format!(
            "The folder was looked at {looks} times while {seen} files were written; each had its whole length when it was first seen."
        ))
    } else {
        rows.truncate(ROWS_MAX);
        draft
            .verdict(Verdict::Fail, Severity::Medium)
            .title(format!("{partial} of {seen} files of {endpoint} could be seen in their places while they were still being written"))
            .detail("Whoever reads the folder meanwhile takes a part for the whole, and a crash leaves it there for good.")
            .table("Files seen too early", &["File", "Times", "Longest part, bytes", "Whole, bytes"], rows, &evidence)
            .advice("Write beside the place and rename when the file is whole and verified.", "")
    };
    Some(resting_on_answers(draft.done(), &phases))
}
