//! Search by text and by resemblance, and the status of the text search.

use serde_json::{Value, json};

use super::super::app::{Answer, Enso};
use super::super::device::{Model, Pass};
use super::super::search;
use super::analyze::similarity;
use super::{Ask, checked, settled, slide_missing};
use crate::fastapi::body::problem;
use crate::fastapi::reply::Reply;

/// The model that the observed server names, and never used.
const OBSERVED_MODEL: &str = "google/siglip-so400m-patch14-384";
/// What really ranks patches here.
const MODEL: &str = "stain-lexicon-8";
/// The name under which the observed server answered.
const FALLBACK: &str = "attention-fallback";

/// POST /api/semantic-search.
pub(super) fn semantic(server: &Enso, ask: &Ask) -> Answer {
    settled(by_text(server, ask))
}

fn by_text(server: &Enso, ask: &Ask) -> Result<Answer, Reply> {
    let mut fields = ask.fields(server)?;
    let slide_id = fields.string("slide_id", 1, server.id_max());
    let query = fields.string("query", 1, Some(512));
    let top_k = fields.integer("top_k", 10, 1, 50);
    fields.finish()?;
    let slide = server.slide(&slide_id, slide_missing)?;
    let top_k = usize::try_from(top_k).unwrap_or(1);
    let hits = if server.config.ignore_query {
        search::by_attention(&slide.reading, top_k)
    } else {
        search::by_text(slide, &query, top_k)
    };
    let results: Vec<Value> = hits
        .iter()
        .map(|hit| {
            let patch = &slide.patches[hit.patch];
            json!({
                "patch_index": hit.patch,
                "similarity_score": hit.similarity,
                "coordinates": [patch.x, patch.y],
                "attention_weight": slide.reading.attention[hit.patch],
            })
        })
        .collect();
    let model = if server.config.ignore_query {
        FALLBACK
    } else {
        MODEL
    };
    let reply = Reply::json(
        &json!({ "slide_id": slide.id, "query": query, "results": results, "embedding_model": model }),
    );
    Ok(Answer {
        reply,
        pass: Some(Pass::Model(Model::Text, 0.6)),
    })
}

/// GET /api/semantic-search/status.
pub(super) fn status(server: &Enso, _: &Ask) -> Answer {
    let (model, dimensions, input) = if server.config.ignore_query {
        (OBSERVED_MODEL, 1152, 384)
    } else {
        (MODEL, 8, 224)
    };
    let loaded = !server.config.status_lies && server.device.is_loaded(Model::Text);
    let cached: Vec<&str> = if loaded {
        server
            .cohort
            .slides()
            .iter()
            .map(|slide| slide.id.as_str())
            .collect()
    } else {
        Vec::new()
    };
    Reply::json(&json!({
        "model": model,
        "model_loaded": loaded,
        "device": if server.config.cuda_available { "cuda" } else { "cpu" },
        "embedding_dim": dimensions,
        "input_size": input,
        "cached_slides": cached,
    }))
    .into()
}

/// GET /api/similar.
pub(super) fn similar(server: &Enso, ask: &Ask) -> Answer {
    settled(by_resemblance(server, ask))
}

fn by_resemblance(server: &Enso, ask: &Ask) -> Result<Answer, Reply> {
    let mut problems = Vec::new();
    let lenient = server.config.lenient_input;
    let slide_id = ask.query.string("slide_id", &mut problems);
    if !lenient && ask.query.get("slide_id") == Some("") {
        let mut entry = problem(
            "string_too_short",
            &json!(["query", "slide_id"]),
            "String should have at least 1 character",
            &json!(""),
        );
        entry["ctx"] = json!({ "min_length": 1 });
        problems.push(entry);
    }
    let k = ask
        .query
        .integer("k", 5, (!lenient).then_some((1, 20)), &mut problems);
    let top_patches = ask
        .query
        .integer("top_patches", 3, (!lenient).then_some((1, 10)), &mut problems);
    checked(&problems)?;
    let slide = server.slide(&slide_id, slide_missing)?;
    let (Ok(k), Ok(count)) = (usize::try_from(k), usize::try_from(top_patches)) else {
        return Err(Reply::unhandled());
    };
    if k == 0 || count == 0 {
        // The index refuses to look for nothing, and as observed nobody caught that.
        return Err(Reply::unhandled());
    }
    let cases: Vec<Value> = search::similar(&server.cohort, slide, &slide.reading, count, k)
        .iter()
        .map(|case| {
            json!({
                "slide_id": case.slide_id,
                "distance": case.distance,
                "similarity_score": similarity(case),
                "patch_index": case.patch_index,
            })
        })
        .collect();
    let reply =
        Reply::json(&json!({ "slide_id": slide.id, "similar_cases": cases, "num_queries": top_patches }));
    Ok(Answer {
        reply,
        pass: Some(Pass::Model(Model::Patch, 0.5)),
    })
}
