//! The report: composed from what was measured on the slide, or the constant template that stands in when the generator is missing.

use serde_json::{Value, json};

use super::features::{Patch, Sign};
use super::mil::{Reading, scale};
use super::slides::Slide;

/// The name under which composed reports are signed.
pub(crate) const GENERATOR: &str = "stain-findings-1";
const TASK: &str = "Bevacizumab treatment response prediction";
const CALIBRATION: &str = "Model probability requires external validation.";
const SAFETY: &str = "This is a research tool, not for clinical use. All findings require validation by qualified pathologists.";
const EVIDENCE_MAX: usize = 5;

/// What a request asked to be included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Include {
    /// The patches behind the answer.
    pub(crate) evidence: bool,
    /// Similar slides, by id.
    pub(crate) similar: bool,
}

/// A report as JSON and as text.
#[derive(Debug)]
pub(crate) struct Report {
    /// `report_json`.
    pub(crate) json: Value,
    /// `summary_text`.
    pub(crate) summary: String,
}

/// The answer of a server whose generator failed: the same words for every slide.
pub(crate) fn template(slide_id: &str) -> Report {
    let evidence: Vec<Value> =
        (0..EVIDENCE_MAX).map(|rank| json!({ "patch_id": format!("patch_{rank}"), "attention_weight": 0.2, "coordinates": [0, 0] })).collect();
    let json = json!({
        "case_id": slide_id,
        "task": TASK,
        "model_output": { "label": "non-responder", "probability": 0.0, "calibration_note": CALIBRATION },
        "evidence": evidence,
        "limitations": limitations(),
        "safety_statement": SAFETY,
    });
    let summary = "Prediction: NON-RESPONDER\nScore: 0.000\n\nThis analysis examined the tissue patches of the slide. The top 5\n\
                   patches by attention weight show consistent morphological patterns associated with\n\
                   non-responder cases in the training cohort.\n\n\
                   IMPORTANT: This is a research tool for decision support only. All findings must be\n\
                   reviewed and validated by qualified pathologists before any clinical decision-making.";
    Report {
        json,
        summary: summary.to_owned(),
    }
}

/// A report written from the slide's own measurements. `score` is the one that the other endpoints give.
pub(crate) fn compose(slide: &Slide, score: f64, similar: &[String], include: Include) -> Report {
    let reading = &slide.reading;
    let label = if score > 0.5 { "responder" } else { "non-responder" };
    let findings = findings(reading);
    let top: Vec<usize> = reading.ranked().into_iter().take(EVIDENCE_MAX).collect();
    let evidence: Vec<Value> = if include.evidence {
        top.iter()
            .map(|index| {
                let patch = &slide.patches[*index];
                json!({
                    "patch_id": format!("patch_{index}"),
                    "attention_weight": reading.attention[*index],
                    "coordinates": [patch.x, patch.y],
                    "description": describe(patch),
                })
            })
            .collect()
    } else {
        Vec::new()
    };
    let mut json = json!({
        "case_id": slide.id,
        "task": TASK,
        "report_generator": GENERATOR,
        "model_output": { "label": label, "probability": score, "calibration_note": CALIBRATION },
        "findings": findings,
        "evidence": evidence,
        "limitations": limitations(),
        "safety_statement": SAFETY,
    });
    if include.similar {
        json["similar_cases"] = json!(similar);
    }
    let closest = match (include.similar, similar.first()) {
        (true, Some(id)) => format!("The closest other slide by texture and stain is {id}.\n"),
        _ => String::new(),
    };
    let summary = format!(
        "Case: {}\nPrediction: {}\nScore: {score:.3}\n\n{} patches of tissue were read. {}\nMost attention: patch {} ({}).\n{closest}\n\
         IMPORTANT: This is a research tool, not for clinical use. All findings must be reviewed by qualified pathologists.",
        slide.id,
        label.to_uppercase(),
        slide.patches.len(),
        findings.join(" "),
        top[0],
        describe(&slide.patches[top[0]]),
    );
    Report { json, summary }
}

/// One sentence per property that the attended tissue shows, each with its number.
fn findings(reading: &Reading) -> Vec<String> {
    let level = |value: f32, low: &str, middle: &str, high: &str| {
        let word = if value < -0.5 {
            low
        } else if value > 0.5 {
            high
        } else {
            middle
        };
        format!("{word} ({value:+.2} spreads from typical)")
    };
    let mut sentences = vec![
        format!(
            "Nuclear density of the attended tissue is {}.",
            level(reading.sign(Sign::Nuclei), "low", "moderate", "high")
        ),
        format!(
            "Lymphocyte-like dark nuclei are {}.",
            level(reading.sign(Sign::Dark), "sparse", "present", "frequent")
        ),
        format!(
            "Stroma runs in a pattern that is {}.",
            level(reading.sign(Sign::Fibres), "disordered", "mixed", "fibrous")
        ),
    ];
    let acellular = reading.sign(Sign::Acellular);
    if acellular > 0.0 {
        sentences.push(format!(
            "Eosinophilic areas without nuclei, as in necrosis, are {}.",
            level(acellular, "rare", "limited", "extensive")
        ));
    }
    let very_dark = reading.sign(Sign::VeryDark);
    if very_dark > 0.0 {
        sentences.push(format!(
            "Very dark, mitosis-like figures are {}.",
            level(very_dark, "rare", "occasional", "numerous")
        ));
    }
    sentences
}

/// What stands out in one patch.
fn describe(patch: &Patch) -> String {
    const WORDS: [(Sign, &str); 6] = [
        (Sign::Nuclei, "dense nuclei"),
        (Sign::Dark, "lymphocyte-like nuclei"),
        (Sign::VeryDark, "mitosis-like figures"),
        (Sign::Eosin, "strong eosin"),
        (Sign::Fibres, "parallel fibres"),
        (Sign::Acellular, "necrosis-like areas"),
    ];
    let scaled = scale(&patch.signs);
    let (sign, words) = WORDS
        .iter()
        .copied()
        .max_by(|a, b| scaled[a.0 as usize].total_cmp(&scaled[b.0 as usize]))
        .unwrap_or(WORDS[0]);
    format!(
        "{words}, {:+.1} spreads from typical; nuclei cover {:.0} % of the patch",
        scaled[sign as usize],
        patch.signs[0] * 100.0
    )
}

fn limitations() -> Value {
    json!([
        "Research tool only",
        "Not clinically validated",
        "Requires pathologist review"
    ])
}
