//! The page at /docs: the routes, from the OpenAPI document, with nothing loaded from elsewhere.

use std::fmt::Write as _;

use serde_json::Value;

/// Renders the page.
pub(super) fn html(openapi: &Value) -> String {
    let mut rows = String::new();
    for (path, operations) in openapi["paths"].as_object().into_iter().flatten() {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            let summary = operation["summary"].as_str().unwrap_or_default();
            // Writing to a String cannot fail.
            let _ = writeln!(
                rows,
                "<tr><td>{}</td><td><code>{path}</code></td><td>{summary}</td></tr>",
                method.to_uppercase()
            );
        }
    }
    let title = openapi["info"]["title"].as_str().unwrap_or_default();
    let about = openapi["info"]["description"].as_str().unwrap_or_default();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<title>{title}</title>\n</head>\n<body>\n\
         <h1>{title}</h1>\n<p>{about}</p>\n\
         <p>Machine-readable description: <a href=\"/openapi.json\">/openapi.json</a></p>\n<table>\n{rows}</table>\n</body>\n</html>\n"
    )
}
