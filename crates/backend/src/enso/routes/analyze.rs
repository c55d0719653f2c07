//! Analysis of a slide and the drawing of its attention.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::super::app::{Answer, Enso};
use super::super::device::{Model, Pass};
use super::super::report_text::Include;
use super::super::search::{self, Case};
use super::super::slides::Slide;
use super::{Ask, failed, report, settled, slide_missing, tiles};
use crate::fastapi::reply::Reply;

const EVIDENCE_MAX: usize = 8;
const CASES_MAX: usize = 5;
const TOP_PATCHES: usize = 3;

/// POST /api/analyze.
pub(super) fn analyze(server: &Enso, ask: &Ask) -> Answer {
    settled(read_slide(server, ask))
}

fn read_slide(server: &Enso, ask: &Ask) -> Result<Answer, Reply> {
    let mut fields = ask.fields(server)?;
    let slide_id = fields.string("slide_id", 1, server.id_max());
    let wants_report = fields.boolean("generate_report", false);
    fields.finish()?;
    let slide = server.slide(&slide_id, slide_missing)?;
    let score = server.score(slide);
    let evidence: Vec<Value> = slide
        .reading
        .ranked()
        .into_iter()
        .take(EVIDENCE_MAX)
        .enumerate()
        .map(|(rank, index)| json!({ "rank": rank + 1, "patch_index": index, "attention_weight": slide.reading.attention[index] }))
        .collect();
    let found = search::similar(&server.cohort, slide, &slide.reading, TOP_PATCHES, CASES_MAX);
    let cases: Vec<Value> = found
        .iter()
        .map(|case| json!({ "slide_id": case.slide_id, "similarity_score": similarity(case), "distance": case.distance }))
        .collect();
    let mut answer = json!({
        "slide_id": slide.id,
        "prediction": if score > 0.5 { "RESPONDER" } else { "NON-RESPONDER" },
        "score": score,
        "confidence": (score - 0.5).abs() * 2.0,
        "patches_analyzed": slide.patches.len(),
        "top_evidence": evidence,
        "similar_cases": cases,
    });
    let mut share = 1.0;
    // As observed, the flag is read and has no effect.
    if !server.config.lenient_input {
        answer["report"] = Value::Null;
        if wants_report {
            let similar: Vec<String> = found.into_iter().map(|case| case.slide_id).collect();
            let report = report::of(
                server,
                slide,
                &similar,
                Include {
                    evidence: true,
                    similar: true,
                },
            );
            answer["report"] = json!({ "report_json": report.json, "summary_text": report.summary });
            share += report::SHARE;
        }
    }
    Ok(Answer {
        reply: Reply::json(&answer),
        pass: Some(Pass::Model(Model::Patch, share)),
    })
}

/// GET /api/heatmap/{slide_id}.
pub(super) fn heatmap(server: &Enso, ask: &Ask) -> Answer {
    settled(draw(server, ask))
}

fn draw(server: &Enso, ask: &Ask) -> Result<Answer, Reply> {
    let slide = server.slide(ask.param(0), slide_missing)?;
    let png = slide.heatmap().map_err(|error| failed("heatmap", &error))?;
    let reply = tiles::named(
        Reply::new(StatusCode::OK, "image/png", png),
        &format!("{}_heatmap.png", slide.id),
    );
    Ok(Answer {
        reply,
        pass: Some(Pass::Model(Model::Patch, 0.5)),
    })
}

/// `1 / (1 + distance)`.
pub(super) fn similarity(case: &Case) -> f64 {
    1.0 / (1.0 + f64::from(case.distance))
}

impl Enso {
    /// The model's score, or the one value that the degenerate model gives.
    pub(super) fn score(&self, slide: &Slide) -> f64 {
        if self.config.degenerate {
            0.0
        } else {
            slide.reading.score
        }
    }
}
