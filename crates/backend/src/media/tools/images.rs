//! The tools around image jobs.

use std::io::Cursor;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::videos::path_part;
use super::{Call, Outcome, needs, reference};
use crate::media::app::Media;
use crate::media::client::Ask;
use crate::media::config::Unset;
use crate::media::folder;

/// `create_image`.
pub(super) async fn create(media: &Arc<Media>, call: &mut Call) -> Outcome {
    media.begin(call);
    needs(media, &[Unset::ApiKey, Unset::ImagePath])?;
    let arguments = &call.arguments;
    let images: Vec<&str> = arguments
        .get("input_images")
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mask = arguments
        .optional("mask_filename")
        .filter(|name| !name.is_empty());
    if mask.is_some() && images.is_empty() {
        return Err("mask_filename requires input_images parameter".to_owned());
    }
    let mut tool = arguments.get("tool_config").clone();
    if !tool.is_object() {
        tool = json!({});
    }
    tool["type"] = json!("image_generation");
    if let Some(name) = mask {
        if !name.to_lowercase().ends_with(".png") {
            return Err("Mask must be PNG format with alpha channel".to_owned());
        }
        tool["input_image_mask"] = json!({ "image_url": data_url(media, name, "mask image").await? });
    }
    let prompt = arguments.text("prompt");
    let input = if images.is_empty() {
        json!(prompt)
    } else {
        let mut content = vec![json!({ "type": "input_text", "text": prompt })];
        for name in images {
            let url = data_url(media, name, "reference image").await?;
            content.push(json!({ "type": "input_image", "image_url": url, "detail": "auto" }));
        }
        json!([{ "role": "user", "content": content }])
    };
    let body = json!({
        "model": arguments.text("model"),
        "input": input,
        "tools": [tool],
        "previous_response_id": arguments.get("previous_response_id"),
        "background": true,
    });
    let response = media.ask(&Ask::post("/v1/responses", &body), call).await?;
    Ok(summary(&response))
}

/// `get_image_status`.
pub(super) async fn status(media: &Arc<Media>, call: &mut Call) -> Outcome {
    media.begin(call);
    needs(media, &[Unset::ApiKey])?;
    let id = path_part(call.arguments.text("response_id"))?;
    let response = media
        .ask(&Ask::new(Method::GET, format!("/v1/responses/{id}")), call)
        .await?;
    Ok(summary(&response))
}

/// `download_image`.
pub(super) async fn download(media: &Arc<Media>, call: &mut Call) -> Outcome {
    media.begin(call);
    needs(media, &[Unset::ImagePath, Unset::ApiKey])?;
    let id = call.arguments.text("response_id").to_owned();
    let target = format!("/v1/responses/{}", path_part(&id)?);
    let response = media.ask(&Ask::new(Method::GET, target), call).await?;
    let drawing = response["output"]
        .as_array()
        .and_then(|output| {
            output
                .iter()
                .find(|entry| entry["type"] == "image_generation_call")
        })
        .ok_or_else(|| format!("No image generation found in response {id}"))?;
    let Some(text) = drawing["result"].as_str() else {
        let status = drawing["status"].as_str().unwrap_or_default();
        return Err(format!("Image generation not completed (status: {status})"));
    };
    let bytes = STANDARD
        .decode(text)
        .map_err(|error| format!("Error decoding image: {error}"))?;
    let reader = image::ImageReader::new(Cursor::new(&bytes))
        .with_guessed_format()
        .map_err(|error| error.to_string())?;
    let format = reader
        .format()
        .and_then(|format| format.extensions_str().first())
        .map_or("unknown", |extension| *extension);
    let (width, height) = reader
        .into_dimensions()
        .map_err(|error| format!("Error reading image file: {error}"))?;
    let name = call.arguments.optional("filename").map_or_else(
        || {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs());
            format!("img_{now}.png")
        },
        str::to_owned,
    );
    let place = folder::safe(&media.folder.images(), &name, true)?;
    let mut file = media.folder.create(place, "image file").await?;
    file.write(&bytes).await?;
    let written = file.finish(&call.trail.request_id).await?;
    let filename = written.path.file_name().unwrap_or_default().to_string_lossy();
    Ok(json!({ "filename": filename, "path": written.path, "size": [width, height], "format": format }))
}

fn summary(response: &Value) -> Value {
    json!({ "id": response["id"], "status": response["status"], "created_at": response["created_at"] })
}

/// An image of the folder as a data URL.
async fn data_url(media: &Media, name: &str, what: &str) -> Result<String, String> {
    let base = media.folder.images();
    folder::no_link(&base, name, what)?;
    let path = folder::safe(&base, name, false)?;
    let mime = reference::mime(&path)
        .map_err(|_| format!("Unsupported image format: {name} (use JPEG, PNG, WEBP)"))?;
    let bytes = tokio::fs::read(&path)
        .await
        .map_err(|error| folder::told(what, &path, "reading", &error))?;
    Ok(format!("data:{mime};base64,{}", STANDARD.encode(bytes)))
}
