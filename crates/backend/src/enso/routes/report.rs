//! The written report.

use serde_json::json;

use super::super::app::{Answer, Enso};
use super::super::device::{Model, Pass};
use super::super::report_text::{self, Include, Report};
use super::super::search;
use super::super::slides::Slide;
use super::{Ask, settled, slide_missing};
use crate::fastapi::reply::Reply;

/// Cost of writing a report relative to an analysis.
pub(super) const SHARE: f64 = 1.25;

/// POST /api/report.
pub(super) fn report(server: &Enso, ask: &Ask) -> Answer {
    settled(write(server, ask))
}

fn write(server: &Enso, ask: &Ask) -> Result<Answer, Reply> {
    let mut fields = ask.fields(server)?;
    let slide_id = fields.string("slide_id", 1, server.id_max());
    let include = Include {
        evidence: fields.boolean("include_evidence", true),
        similar: fields.boolean("include_similar", true),
    };
    fields.finish()?;
    let slide = server.slide(&slide_id, slide_missing)?;
    let cases = search::similar(&server.cohort, slide, &slide.reading, 3, 5);
    let similar: Vec<String> = cases.into_iter().map(|case| case.slide_id).collect();
    let report = of(server, slide, &similar, include);
    let reply = Reply::json(
        &json!({ "slide_id": slide.id, "report_json": report.json, "summary_text": report.summary }),
    );
    Ok(Answer {
        reply,
        pass: Some(Pass::Model(Model::Report, SHARE)),
    })
}

/// The report that this server gives on a slide.
pub(super) fn of(server: &Enso, slide: &Slide, similar: &[String], include: Include) -> Report {
    if server.config.template_report {
        report_text::template(&slide.id)
    } else {
        report_text::compose(slide, server.score(slide), similar, include)
    }
}
