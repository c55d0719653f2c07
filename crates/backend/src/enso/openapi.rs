//! The OpenAPI document. The observed one is what FastAPI 0.128 generates for the observed application; the fixed one declares in
//! addition every bound, content type and error status that the fixed server has.

use serde_json::{Map, Value, json};

use super::config::Config;

/// FastAPI's document for the application at commit 82733f7.
const OBSERVED: &str = include_str!("../../data/enso/openapi.json");

/// The smallest PNG, so that the document can show a request that works.
const ONE_PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// The document of a server with this configuration.
pub(crate) fn document(config: &Config) -> Value {
    let mut document: Value = serde_json::from_str(OBSERVED).unwrap_or(Value::Null);
    if config.long_id_500 {
        for name in ["AnalyzeRequest", "ReportRequest", "SemanticSearchRequest"] {
            if let Some(schema) =
                document["components"]["schemas"][name]["properties"]["slide_id"].as_object_mut()
            {
                schema.remove("maxLength");
            }
        }
    }
    if !config.lenient_input {
        complete(&mut document);
    }
    document
}

fn complete(document: &mut Value) {
    document["info"]["description"] = json!(
        "Pathology slides, Deep Zoom tiles and pixel statistics on generated or supplied images. Research demonstration, not for clinical use."
    );
    let schemas = &mut document["components"]["schemas"];
    for name in [
        "AnalyzeRequest",
        "ReportRequest",
        "SemanticSearchRequest",
        "EmbedRequest",
    ] {
        schemas[name]["additionalProperties"] = json!(false);
    }
    schemas["EmbedRequest"]["properties"]["patches"]["items"] = json!({ "type": "string", "minLength": 1, "contentEncoding": "base64", "contentMediaType": "image/png" });
    schemas["EmbedRequest"]["examples"] = json!([{ "patches": [ONE_PIXEL], "return_embeddings": true }]);
    schemas["SemanticSearchRequest"]["description"] = json!("Request for text-to-patch semantic search.");
    schemas["SemanticSearchResponse"]["properties"]["embedding_model"] =
        json!({ "type": "string", "title": "Embedding Model" });
    schemas["SemanticSearchResponse"]["required"] =
        json!(["slide_id", "query", "results", "embedding_model"]);
    schemas["AnalyzeResponse"]["properties"]["report"] = json!({
        "anyOf": [{ "$ref": "#/components/schemas/AnalyzeReport" }, { "type": "null" }], "title": "Report"
    });
    schemas["AnalyzeReport"] = json!({
        "properties": { "report_json": { "type": "object", "additionalProperties": true }, "summary_text": { "type": "string" } },
        "type": "object", "required": ["report_json", "summary_text"], "title": "AnalyzeReport"
    });
    schemas["HTTPError"] = json!({
        "properties": { "detail": { "type": "string", "title": "Detail" } }, "type": "object", "required": ["detail"], "title": "HTTPError"
    });
    for (name, schema) in plain_schemas() {
        schemas[name] = schema;
    }
    let Some(paths) = document["paths"].as_object_mut() else {
        return;
    };
    for (path, operations) in paths {
        for (method, operation) in operations.as_object_mut().into_iter().flatten() {
            complete_operation(path, method, operation);
        }
    }
}

fn complete_operation(path: &str, method: &str, operation: &mut Value) {
    match path {
        "/api/report" => {
            operation["description"] = json!("Compose a structured report from the slide's measurements.");
        }
        "/api/embed" => operation["description"] = json!("Generate embeddings for patch images."),
        "/api/embed/status" => operation["description"] = json!("Check the status of the patch embedder."),
        "/api/semantic-search" => {
            operation["description"] = json!("Rank patches by how well they fit a text.");
        }
        "/api/semantic-search/status" => {
            operation["description"] = json!("Check the status of the text search.");
        }
        _ => {}
    }
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        let bounds = match parameter["name"].as_str() {
            Some("k") => json!({ "minimum": 1, "maximum": 20 }),
            Some("top_patches") => json!({ "minimum": 1, "maximum": 10 }),
            Some("size") => json!({ "minimum": 16, "maximum": 4096 }),
            Some("slide_id") => json!({ "minLength": 1 }),
            Some("tile_spec") => json!({ "pattern": "^[0-9]+_[0-9]+\\.jpe?g$" }),
            _ => json!({}),
        };
        for (key, value) in bounds.as_object().into_iter().flatten() {
            parameter["schema"][key] = value.clone();
        }
    }
    let responses = &mut operation["responses"];
    if let Some((content_type, schema)) = success_content(path) {
        let mut content = Map::new();
        content.insert(content_type.to_owned(), json!({ "schema": schema }));
        responses["200"]["content"] = Value::Object(content);
    }
    for (status, description) in errors(path, method) {
        responses[*status] = json!({
            "description": description,
            "content": { "application/json": { "schema": { "$ref": "#/components/schemas/HTTPError" } } }
        });
    }
}

/// What a 200 carries where FastAPI's document leaves it open.
fn success_content(path: &str) -> Option<(&'static str, Value)> {
    let binary = json!({ "type": "string", "format": "binary" });
    let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    match path {
        "/health" | "/api/health" => Some(("application/json", reference("Health"))),
        "/" => Some(("application/json", reference("Root"))),
        "/api/slides/{slide_id}/info" => Some(("application/json", reference("SlideDetails"))),
        "/api/semantic-search/status" => Some(("application/json", reference("SearchStatus"))),
        "/api/embed/status" => Some(("application/json", reference("EmbedStatus"))),
        "/api/heatmap/{slide_id}" => Some(("image/png", binary)),
        "/api/slides/{slide_id}/dzi" => Some(("application/xml", json!({ "type": "string" }))),
        "/api/slides/{slide_id}/dzi_files/{level}/{tile_spec}" | "/api/slides/{slide_id}/thumbnail" => {
            Some(("image/jpeg", binary))
        }
        _ => None,
    }
}

fn errors(path: &str, method: &str) -> &'static [(&'static str, &'static str)] {
    const BUSY: (&str, &str) = ("503", "Model not loaded, or too many requests waiting");
    const FAILED: (&str, &str) = ("500", "The answer could not be produced");
    const MISSING: (&str, &str) = ("404", "No such slide");
    const UNREADABLE: (&str, &str) = ("400", "The body could not be parsed");
    const LARGE: (&str, &str) = ("413", "The body is too large");
    const SLOW: (&str, &str) = ("408", "The body did not arrive in time");
    match (path, method) {
        ("/api/embed", _) => &[UNREADABLE, SLOW, LARGE, FAILED, BUSY],
        (_, "post") => &[UNREADABLE, MISSING, SLOW, LARGE, FAILED, BUSY],
        ("/api/similar" | "/api/heatmap/{slide_id}" | "/api/slides/{slide_id}/thumbnail", _) => {
            &[MISSING, FAILED, BUSY]
        }
        ("/api/slides/{slide_id}/dzi_files/{level}/{tile_spec}", _) => &[
            ("400", "Invalid tile specification"),
            ("404", "No such slide, level or tile"),
            FAILED,
            BUSY,
        ],
        ("/api/slides/{slide_id}/dzi" | "/api/slides/{slide_id}/info", _) => &[MISSING],
        _ => &[],
    }
}

fn plain_schemas() -> [(&'static str, Value); 5] {
    let object = |title: &str, properties: Value| {
        let required: Vec<String> = properties
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.clone())
            .collect();
        json!({ "title": title, "type": "object", "properties": properties, "required": required })
    };
    let (text, flag, whole) = (
        json!({ "type": "string" }),
        json!({ "type": "boolean" }),
        json!({ "type": "integer" }),
    );
    [
        (
            "Health",
            object(
                "Health",
                json!({ "status": text, "version": text, "model_loaded": flag, "cuda_available": flag, "slides_available": whole }),
            ),
        ),
        (
            "Root",
            object("Root", json!({ "name": text, "version": text, "docs": text })),
        ),
        (
            "SlideDetails",
            object(
                "SlideDetails",
                json!({
                    "slide_id": text,
                    "has_wsi": flag,
                    "dimensions": { "type": "object", "properties": { "width": whole, "height": whole }, "required": ["width", "height"] },
                    "level_count": whole,
                    "level_dimensions": { "type": "array", "items": { "type": "array", "items": whole } },
                    "properties": { "type": "object", "additionalProperties": text },
                    "dzi": {
                        "type": "object",
                        "properties": { "tile_size": whole, "overlap": whole, "level_count": whole },
                        "required": ["tile_size", "overlap", "level_count"]
                    },
                }),
            ),
        ),
        (
            "SearchStatus",
            object(
                "SearchStatus",
                json!({
                    "model": text, "model_loaded": flag, "device": text, "embedding_dim": whole, "input_size": whole,
                    "cached_slides": { "type": "array", "items": text },
                }),
            ),
        ),
        (
            "EmbedStatus",
            object(
                "EmbedStatus",
                json!({ "model": text, "model_loaded": flag, "device": text, "embedding_dim": whole, "input_size": whole }),
            ),
        ),
    ]
}
