//! The page at /docs: what the service is and its routes, from the OpenAPI document, with nothing loaded from elsewhere.

use std::fmt::Write as _;

use serde_json::Value;

/// Renders the page.
pub(super) fn html(openapi: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut rows = String::new();
    for (path, operations) in openapi["paths"].as_object().into_iter().flatten() {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            // Writing to a string cannot fail.
            let _ = writeln!(
                rows,
                "<tr><td>{}</td><td><code>{path}</code></td><td>{}</td></tr>",
                method.to_uppercase(),
                text(&operation["summary"])
            );
        }
    }
    let (title, description) = (
        text(&openapi["info"]["title"]),
        text(&openapi["info"]["description"]),
    );
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<title>{title}</title>\n</head>\n<body>\n\
         <h1>{title}</h1>\n<p>{description}</p>\n\
         <p>Machine-readable description: <a href=\"/openapi.json\">/openapi.json</a></p>\n<table>\n{rows}</table>\n</body>\n</html>\n"
    )
}
