//! What the answered tiles allow to say.

use std::collections::BTreeMap;

use prony_model::{Finding, Nanos, PhaseResult, Severity, Verdict};

use super::{MALFORMED, NAME, OUTSIDE, Pyramid, VALID};
use crate::answer::{Answer, answers};
use crate::draft::{Draft, source};
use crate::dzi::Tile;
use crate::image_header::{image_size, is_cut_image};

/// Pixels by which a tile may differ: makers of pyramids round the sides of the levels differently.
const PIXELS_OFF: u32 = 1;

/// All findings about one pyramid, the overview first.
pub(super) fn findings(pyramid: &Pyramid, phase: &PhaseResult) -> Vec<Finding> {
    let valid: Vec<(Tile, Answer<'_>)> = answers(phase, VALID)
        .into_iter()
        .filter_map(|a| Some((*pyramid.valid.get(a.item as usize)?, a)))
        .collect();
    let outside = answers(phase, OUTSIDE);
    let malformed = answers(phase, MALFORMED);
    let mut found: Vec<Finding> = [
        missing(pyramid, &valid, phase),
        wrong_size(pyramid, &valid, phase),
        cut(pyramid, &valid, phase),
    ]
    .into_iter()
    .flatten()
    .collect();
    found.extend(served(pyramid, &outside, OUTSIDE, phase));
    found.extend(served(pyramid, &malformed, MALFORMED, phase));
    found.insert(0, overview(pyramid, &valid, &outside, &found, phase));
    found
}

fn missing(pyramid: &Pyramid, valid: &[(Tile, Answer<'_>)], phase: &PhaseResult) -> Option<Finding> {
    let bad: Vec<&(Tile, Answer<'_>)> = valid.iter().filter(|(_, a)| !a.is_ok()).collect();
    let (_, first) = bad.first()?;
    let here = source(phase, VALID);
    Some(
        Draft::new(NAME, "tile-missing", &pyramid.endpoint)
            .verdict(Verdict::Fail, Severity::High)
            .title(format!(
                "{} of {} valid tiles are not served as images",
                bad.len(),
                valid.len()
            ))
            .detail(format!(
                "These tiles exist by the descriptor's own figures. For example, {} {}.",
                first.request.label(),
                first.sample.outcome.says()
            ))
            .figure("valid tiles not served", bad.len() as f64, "", valid.len(), &here)
            .quote("answer", &first.message(), &here)
            .advice(
                "Compare the tile arithmetic with the Deep Zoom format.",
                "A viewer shows a hole for each.",
            )
            .done(),
    )
}

fn wrong_size(pyramid: &Pyramid, valid: &[(Tile, Answer<'_>)], phase: &PhaseResult) -> Option<Finding> {
    let mut read = 0;
    let mut rows = Vec::new();
    for (tile, answer) in valid.iter().filter(|(_, a)| a.is_ok()) {
        let size = answer.captured.and_then(|c| image_size(&c.head));
        let (Some(got), Some(wanted)) = (size, pyramid.descriptor.tile_dimensions(*tile)) else {
            continue;
        };
        read += 1;
        if got.0.abs_diff(wanted.0).max(got.1.abs_diff(wanted.1)) > PIXELS_OFF {
            rows.push(vec![
                format!("{}/{}_{}", tile.level, tile.col, tile.row),
                format!("{} x {}", wanted.0, wanted.1),
                format!("{} x {}", got.0, got.1),
            ]);
        }
    }
    if rows.is_empty() {
        return None;
    }
    let here = source(phase, VALID);
    let n = rows.len();
    rows.truncate(10);
    Some(
        Draft::new(NAME, "tile-wrong-size", &pyramid.endpoint)
            .verdict(Verdict::Fail, Severity::Medium)
            .title(format!(
                "{n} of {read} tiles have another size than the descriptor promises"
            ))
            .detail("A viewer stretches such a tile or leaves a seam.")
            .figure("tiles of the wrong size", n as f64, "", read, &here)
            .table("Sizes in pixels", &["Tile", "Promised", "Served"], rows, &here)
            .advice(
                "Cut edge tiles to the pixels that are there, and add the overlap at inner edges only.",
                "",
            )
            .done(),
    )
}

/// Tiles whose image does not end, though the answer does.
fn cut(pyramid: &Pyramid, valid: &[(Tile, Answer<'_>)], phase: &PhaseResult) -> Option<Finding> {
    let good = || valid.iter().filter(|(_, a)| a.is_ok());
    let bad: Vec<&Tile> = good()
        .filter(|(_, a)| a.captured.is_some_and(is_cut_image))
        .map(|(tile, _)| tile)
        .collect();
    let first = bad.first()?;
    let here = source(phase, VALID);
    Some(
        Draft::new(NAME, "tile-cut-short", &pyramid.endpoint)
            .verdict(Verdict::Fail, Severity::High)
            .title(format!("{} of {} tiles end before their image does", bad.len(), good().count()))
            .detail(format!(
                "The status is good and the length is as declared, but the image has no end: for example tile {}/{}_{}. A viewer shows \
                 part of it, or nothing.",
                first.level, first.col, first.row
            ))
            .figure("tiles that are cut", bad.len() as f64, "", good().count(), &here)
            .advice("Look for tiles that were written half, and for a cache that keeps them.", "")
            .done(),
    )
}

/// Tiles that cannot exist, and yet were not refused.
fn served(pyramid: &Pyramid, asked: &[Answer<'_>], scenario: &str, phase: &PhaseResult) -> Option<Finding> {
    let bad: Vec<&Answer<'_>> = asked.iter().filter(|a| !a.is_ok()).collect();
    let first = bad.iter().max_by_key(|a| a.sample.status)?;
    let here = source(phase, scenario);
    let crashed = bad
        .iter()
        .filter(|a| a.sample.status >= 500 || a.sample.status == 0)
        .count();
    let (id, title) = if crashed > 0 {
        (
            "tile-server-error",
            format!(
                "{crashed} of {} {scenario} end in a server error or no answer",
                asked.len()
            ),
        )
    } else {
        (
            "tile-out-of-range-served",
            format!("{} of {} {scenario} are not refused", bad.len(), asked.len()),
        )
    };
    Some(
        Draft::new(NAME, id, &pyramid.endpoint)
            .verdict(Verdict::Fail, Severity::Medium)
            .title(title)
            .detail(format!(
                "Expected was 404. For example, {} {}.",
                first.request.label(),
                first.sample.outcome.says()
            ))
            .figure("not refused", bad.len() as f64, "", asked.len(), &here)
            .quote("answer", &first.message(), &here)
            .advice(
                "Check level, column and row against the pyramid and answer with 404.",
                "",
            )
            .done(),
    )
}

fn overview(
    pyramid: &Pyramid,
    valid: &[(Tile, Answer<'_>)],
    outside: &[Answer<'_>],
    found: &[Finding],
    phase: &PhaseResult,
) -> Finding {
    let here = source(phase, VALID);
    let there = source(phase, OUTSIDE);
    let d = &pyramid.descriptor;
    let ok: Vec<&Answer<'_>> = valid.iter().map(|(_, a)| a).filter(|a| a.is_ok()).collect();
    let refused: Vec<&Answer<'_>> = outside.iter().filter(|a| a.is_ok()).collect();
    let mut levels: BTreeMap<u32, Vec<&Answer<'_>>> = BTreeMap::new();
    for (tile, answer) in valid {
        levels.entry(tile.level).or_default().push(answer);
    }
    let mut rows: Vec<Vec<String>> = levels
        .into_iter()
        .map(|(level, asked)| {
            let (width, height) = d.level_size(level).unwrap_or_default();
            let (cols, rows) = d.grid(level).unwrap_or_default();
            let good: Vec<&Answer<'_>> = asked.iter().copied().filter(|a| a.is_ok()).collect();
            vec![
                level.to_string(),
                format!("{width} x {height}"),
                format!("{cols} x {rows}"),
                format!("{} of {}", good.len(), asked.len()),
                median(&good).map_or_else(|| "-".to_owned(), |t| t.to_string()),
            ]
        })
        .collect();
    rows.push(vec![
        "outside".to_owned(),
        "-".to_owned(),
        "-".to_owned(),
        format!("{} of {} refused", refused.len(), outside.len()),
        median(&refused).map_or_else(|| "-".to_owned(), |t| t.to_string()),
    ]);
    let verdict = if valid.is_empty() {
        Verdict::Inconclusive
    } else {
        Verdict::worst(found.iter().map(Finding::counted))
    };
    let mut draft = Draft::new(NAME, "tiles", &pyramid.endpoint)
        .verdict(verdict, Severity::Info)
        .advisory()
        .title(format!(
            "{} of {} valid tiles are served, {} of {} outside the pyramid are refused",
            ok.len(),
            valid.len(),
            refused.len(),
            outside.len()
        ))
        .detail(format!(
            "The descriptor promises {} x {} pixels in tiles of {} with {} shared, so {} tiles on {} levels. The tiles \
             asked for were spread over all levels, corners included. Times of served tiles and of refusals are \
             kept apart.",
            d.width,
            d.height,
            d.tile_size,
            d.overlap,
            d.tile_count(),
            d.level_count()
        ));
    if let Some(time) = median(&ok) {
        draft = draft.figure(
            "median time of a served tile",
            time.as_millis_f64(),
            "ms",
            ok.len(),
            &here,
        );
    }
    if let Some(time) = median(&refused) {
        draft = draft.figure(
            "median time of a refusal",
            time.as_millis_f64(),
            "ms",
            refused.len(),
            &there,
        );
    }
    draft
        .table(
            "Tiles by level",
            &["Level", "Pixels", "Tiles", "Served", "Median time"],
            rows,
            &here,
        )
        .done()
}

/// The middle service time.
fn median(answers: &[&Answer<'_>]) -> Option<Nanos> {
    let mut times: Vec<Nanos> = answers.iter().map(|a| a.sample.service()).collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}
