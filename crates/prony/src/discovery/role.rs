//! What an operation is for, judged from its method, path and schema.

use prony_model::{Place, Role};

use super::effects;
use super::openapi::Operation;

/// Last path segments that mean the state of the whole.
const STATUS: &[&str] = &["status", "state"];
const DOCS: &[&str] = &[
    "",
    "docs",
    "redoc",
    "openapi.json",
    "swagger.json",
    "version",
    "favicon.ico",
];
/// Words in a path that mean an image or other bytes.
const MEDIA: &[&str] = &[
    "thumbnail",
    "thumb",
    "heatmap",
    "image",
    "preview",
    "download",
    "content",
    "audio",
    "video",
    "file",
];

/// Why an operation is not called at all; `None` when it may be.
pub(super) fn left_alone(operation: &Operation) -> Option<&'static str> {
    if !matches!(operation.method.as_str(), "GET" | "POST") {
        return Some("its method changes or deletes things");
    }
    if effects::of_operation(&operation.method, &operation.path, &operation.id) {
        return Some("its name says that it has side effects");
    }
    is_endless(operation).then_some("its answer is a stream of events that may have no end")
}

/// Whether a GET that takes nothing to work on declares a stream of events.
fn is_endless(operation: &Operation) -> bool {
    let takes_input = operation.body.is_some()
        || operation
            .parameters
            .iter()
            .any(|p| p.place == Place::Query && p.required);
    let mut types = operation.success_types.iter();
    operation.method == "GET" && !takes_input && types.any(|kind| kind.starts_with("text/event-stream"))
}

/// The role of an operation.
pub(super) fn of(operation: &Operation) -> Role {
    let path = operation.path.to_lowercase();
    let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    let last = segments.last().copied().unwrap_or_default();
    let has_path_parameter = path.contains('{');
    if operation.method != "GET" {
        return Role::Inference;
    }
    if !has_path_parameter {
        if DOCS.contains(&last) {
            return Role::Docs;
        }
        if Role::HEALTH_SEGMENTS.contains(&last) {
            return Role::Health;
        }
        if last == "metrics" {
            return Role::Metrics;
        }
    }
    if STATUS.contains(&last) {
        return if has_path_parameter {
            Role::Resource
        } else {
            Role::Status
        };
    }
    if is_tile(operation) {
        return Role::Tile;
    }
    let bytes = operation.success_types.iter().any(|t| {
        ["image/", "audio/", "video/", "application/octet-stream"]
            .iter()
            .any(|prefix| t.starts_with(prefix))
    });
    let media_word = segments.iter().any(|s| MEDIA.contains(s));
    let says_json =
        operation.success_types.iter().any(|t| t.contains("json")) && !operation.success_schema.is_null();
    let empty_schema = operation
        .success_schema
        .as_object()
        .is_some_and(serde_json::Map::is_empty);
    if has_path_parameter {
        return if bytes || (media_word && (!says_json || empty_schema)) {
            Role::Media
        } else {
            Role::Resource
        };
    }
    let required_query = operation
        .parameters
        .iter()
        .any(|p| p.place == Place::Query && p.required);
    if required_query {
        return Role::Inference;
    }
    if bytes { Role::Media } else { Role::Listing }
}

/// Whether the path addresses a tile: level and column/row, or z/x/y.
fn is_tile(operation: &Operation) -> bool {
    let has = |names: &[&str]| {
        operation
            .parameters
            .iter()
            .any(|p| p.place == Place::Path && names.contains(&p.name.to_lowercase().as_str()))
    };
    let level = has(&["level", "z", "zoom"]);
    let position = (has(&["col", "column", "x"]) && has(&["row", "y"]))
        || has(&["tile", "tile_spec", "tile_name", "tilespec", "coords"]);
    level && position
}

#[cfg(test)]
mod tests {
    use prony_model::{JsonText, Parameter, Place, Role};
    use serde_json::json;

    use super::{Operation, left_alone, of};

    fn operation(method: &str, path: &str, parameters: &[(&str, Place)]) -> Operation {
        Operation {
            method: method.into(),
            path: path.into(),
            parameters: parameters
                .iter()
                .map(|&(name, place)| Parameter {
                    name: name.into(),
                    place,
                    required: true,
                    schema: JsonText::default(),
                })
                .collect(),
            ..Operation::default()
        }
    }

    #[test]
    fn roles() {
        let path = |name| (name, Place::Path);
        for (method, template, parameters, role) in [
            ("GET", "/api/health", vec![], Role::Health),
            ("GET", "/", vec![], Role::Docs),
            ("GET", "/api/embed/status", vec![], Role::Status),
            ("GET", "/jobs/{id}/status", vec![path("id")], Role::Resource),
            ("GET", "/api/slides", vec![], Role::Listing),
            ("GET", "/api/slides/{id}/info", vec![path("id")], Role::Resource),
            ("GET", "/api/slides/{id}/thumbnail", vec![path("id")], Role::Media),
            (
                "GET",
                "/t/{z}/{x}/{y}",
                vec![path("z"), path("x"), path("y")],
                Role::Tile,
            ),
            (
                "GET",
                "/s/{id}/f/{level}/{tile_spec}.jpeg",
                vec![path("level"), path("tile_spec")],
                Role::Tile,
            ),
            (
                "GET",
                "/api/similar",
                vec![("slide_id", Place::Query)],
                Role::Inference,
            ),
            ("POST", "/api/analyze", vec![], Role::Inference),
        ] {
            assert_eq!(
                of(&operation(method, template, &parameters)),
                role,
                "{method} {template}"
            );
        }
        let mut image = operation("GET", "/x/{id}", &[path("id")]);
        image.success_types = vec!["image/png".into()];
        assert_eq!(of(&image), Role::Media);
        image.success_schema = json!({});
        assert_eq!(of(&image), Role::Media);
    }

    #[test]
    fn side_effects_are_left_alone() {
        assert!(left_alone(&operation("DELETE", "/x", &[])).is_some());
        assert!(left_alone(&operation("POST", "/models/unload", &[])).is_some());
        assert!(left_alone(&operation("POST", "/api/analyze", &[])).is_none());
        assert!(left_alone(&operation("GET", "/admin/list", &[])).is_none());
        assert!(left_alone(&operation("GET", "/items/{id}/delete", &[("id", Place::Path)])).is_some());
        let mut named = operation("POST", "/items/{id}", &[("id", Place::Path)]);
        named.id = "removeItem".into();
        assert!(left_alone(&named).is_some());
    }

    #[test]
    fn streams_of_events_that_take_nothing_are_left_alone() {
        let streams = |method: &str, parameters: &[(&str, Place)]| {
            let mut streams = operation(method, "/events", parameters);
            streams.success_types = vec!["text/event-stream; charset=utf-8".into()];
            left_alone(&streams)
        };
        assert!(streams("GET", &[]).is_some());
        assert!(streams("GET", &[("prompt", Place::Query)]).is_none());
        assert!(streams("POST", &[]).is_none());
    }
}
