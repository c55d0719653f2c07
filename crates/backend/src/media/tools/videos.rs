//! The tools around video jobs.

use std::sync::Arc;

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::{Call, Outcome, needs, reference};
use crate::media::app::Media;
use crate::media::client::Ask;
use crate::media::config::Unset;
use crate::media::folder;

/// Boundary of forms; no picture holds it by chance.
const BOUNDARY: &str = "----sanzaru-7f1c0d9a4b3e2f58";

/// `create_video`.
pub(super) async fn create(media: &Arc<Media>, call: &mut Call) -> Outcome {
    media.begin(call);
    needs(media, &[Unset::ApiKey])?;
    let mut fields = Map::new();
    for name in ["model", "prompt", "seconds", "size"] {
        if let Some(text) = call.arguments.optional(name) {
            fields.insert(name.to_owned(), json!(text));
        }
    }
    let ask = match call.arguments.optional("input_reference_filename") {
        None | Some("") => Ask::post("/v1/videos", &Value::Object(fields)),
        Some(name) => {
            needs(media, &[Unset::ImagePath])?;
            let base = media.folder.images();
            folder::no_link(&base, name, "Reference image")?;
            let path = folder::safe(&base, name, false)?;
            let mime = reference::mime(&path)?;
            let bytes = tokio::fs::read(&path)
                .await
                .map_err(|error| folder::told("reference image", &path, "reading", &error))?;
            Ask {
                method: Method::POST,
                target: "/v1/videos".to_owned(),
                body: Some((
                    format!("multipart/form-data; boundary={BOUNDARY}"),
                    form(&fields, mime, &bytes).into(),
                )),
            }
        }
    };
    media.ask(&ask, call).await
}

/// `get_video_status`.
pub(super) async fn status(media: &Arc<Media>, call: &mut Call) -> Outcome {
    media.begin(call);
    needs(media, &[Unset::ApiKey])?;
    let id = path_part(call.arguments.text("video_id"))?;
    media
        .ask(&Ask::new(Method::GET, format!("/v1/videos/{id}")), call)
        .await
}

/// `list_videos`.
pub(super) async fn list(media: &Arc<Media>, call: &mut Call) -> Outcome {
    media.begin(call);
    needs(media, &[Unset::ApiKey])?;
    let arguments = &call.arguments;
    let mut target = format!(
        "/v1/videos?limit={}&order={}",
        arguments.get("limit"),
        arguments.text("order")
    );
    if let Some(after) = arguments.optional("after") {
        target += "&after=";
        target += &encode(after);
    }
    let page = media.ask(&Ask::new(Method::GET, target), call).await?;
    let items: Vec<Value> = page["data"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|video| {
            let kept = [
                "id",
                "status",
                "created_at",
                "seconds",
                "size",
                "model",
                "progress",
            ];
            kept.iter()
                .map(|name| ((*name).to_owned(), video[*name].clone()))
                .collect::<Map<_, _>>()
                .into()
        })
        .collect();
    let last = items.last().map(|video| video["id"].clone());
    Ok(json!({ "data": items, "has_more": page["has_more"], "last": last }))
}

/// `delete_video`.
pub(super) async fn delete(media: &Arc<Media>, call: &mut Call) -> Outcome {
    media.begin(call);
    needs(media, &[Unset::ApiKey])?;
    let id = path_part(call.arguments.text("video_id"))?;
    media
        .ask(&Ask::new(Method::DELETE, format!("/v1/videos/{id}")), call)
        .await
}

/// `remix_video`.
pub(super) async fn remix(media: &Arc<Media>, call: &mut Call) -> Outcome {
    media.begin(call);
    needs(media, &[Unset::ApiKey])?;
    let id = path_part(call.arguments.text("previous_video_id"))?;
    let body = json!({ "prompt": call.arguments.text("prompt") });
    media
        .ask(&Ask::post(format!("/v1/videos/{id}/remix"), &body), call)
        .await
}

/// An id as a part of a path.
pub(super) fn path_part(id: &str) -> Result<String, String> {
    if id.is_empty() {
        return Err("Expected a non-empty value for `id` but received ''".to_owned());
    }
    Ok(encode(id))
}

/// Percent-encodes all but letters, digits, `-`, `_` and `~`; dots as well, so that no part is `..`.
fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

fn form(fields: &Map<String, Value>, mime: &str, file: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        let text = value.as_str().unwrap_or_default();
        body.extend(
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n")
                .bytes(),
        );
    }
    body.extend(
        format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"input_reference\"; filename=\"reference\"\r\n\
             Content-Type: {mime}\r\n\r\n"
        )
        .bytes(),
    );
    body.extend(file);
    body.extend(format!("\r\n--{BOUNDARY}--\r\n").bytes());
    body
}

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn ids_cannot_change_the_path() {
        assert_eq!(encode("video_1-a"), "video_1-a");
        assert_eq!(encode("../x?y#z/é"), "%2E%2E%2Fx%3Fy%23z%2F%C3%A9");
    }
}
