//! The page at /docs: what the service is and its routes, from the OpenAPI document, with nothing loaded from elsewhere.

use std::fmt::Write as _;

use serde_json::Value;

/// Renders the page.
pub(crate) fn html(openapi: &Value) -> String {
    let mut rows = String::new();
    for (path, operations) in openapi["paths"].as_object().into_iter().flatten() {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            let summary = operation["summary"].as_str().unwrap_or_default();
            let method = method.to_uppercase();
            // Writing to a String cannot fail.
            let _ = writeln!(
                rows,
                "<tr><td>{method}</td><td><code>{path}</code></td><td>{summary}</td></tr>"
            );
        }
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<title>ML Evaluation Platform API</title>\n</head>\n<body>\n\
         <h1>ML Evaluation Platform API</h1>\n<p>Object detection and segmentation by a small network with fixed, untrained weights: \
         what it finds follows from the pixels and means nothing.</p>\n\
         <p>Machine-readable description: <a href=\"/openapi.json\">/openapi.json</a></p>\n<table>\n{rows}</table>\n</body>\n</html>\n"
    )
}
