//! Embeddings of patches that the client sends.

use std::io::Cursor;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use image::{ImageReader, Limits, RgbImage};
use serde_json::json;

use super::super::app::{Answer, Enso};
use super::super::device::{Model, Pass};
use super::super::features::{DIMENSIONS, PATCH, measure};
use super::super::stain::Separation;
use super::{Ask, settled};
use crate::fastapi::reply::Reply;

const PATCHES_MAX: usize = 128;
/// Largest side of a patch that is decoded, against decompression bombs.
const SIDE_MAX: u32 = 1024;
const OBSERVED_MODEL: &str = "google/path-foundation";
const MODEL: &str = "stain-texture-384";

/// Padding may be left out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// POST /api/embed.
pub(super) fn embed(server: &Enso, ask: &Ask) -> Answer {
    settled(embed_patches(server, ask))
}

fn embed_patches(server: &Enso, ask: &Ask) -> Result<Answer, Reply> {
    let mut fields = ask.fields(server)?;
    let patches = fields.strings("patches", 1, PATCHES_MAX);
    let wanted = fields.boolean("return_embeddings", true);
    fields.finish()?;
    let separation = Separation::new();
    let mut embeddings = Vec::with_capacity(patches.len());
    for (index, patch) in patches.iter().enumerate() {
        let image = decode(patch).map_err(|reason| {
            Reply::detail(
                StatusCode::BAD_REQUEST,
                format!("Failed to decode patch {index}: {reason}"),
            )
        })?;
        embeddings.push(measure(&image, &separation, 0, 0, PATCH, PATCH).embedding);
    }
    let reply = Reply::json(&json!({
        "num_patches": patches.len(),
        "embedding_dim": DIMENSIONS,
        "embeddings": wanted.then_some(embeddings),
    }));
    Ok(Answer {
        reply,
        pass: Some(Pass::Model(Model::Patch, 0.4)),
    })
}

/// GET /api/embed/status.
pub(super) fn status(server: &Enso, _: &Ask) -> Answer {
    Reply::json(&json!({
        "model": if server.config.status_lies { OBSERVED_MODEL } else { MODEL },
        "model_loaded": !server.config.status_lies && server.device.is_loaded(Model::Patch),
        "device": if server.config.cuda_available { "cuda" } else { "cpu" },
        "embedding_dim": DIMENSIONS,
        "input_size": PATCH,
    }))
    .into()
}

/// From base64, bare or as a data URI, to 224 x 224 RGB.
fn decode(text: &str) -> Result<RgbImage, String> {
    let text = text.split_once(',').map_or(text, |(_, data)| data);
    let bytes = BASE64.decode(text.trim()).map_err(|error| error.to_string())?;
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| error.to_string())?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(16 * 1024 * 1024);
    reader.limits(limits);
    let image = reader
        .decode()
        .map_err(|error| format!("cannot identify image file: {error}"))?
        .to_rgb8();
    if (image.width(), image.height()) == (PATCH, PATCH) {
        return Ok(image);
    }
    Ok(image::imageops::resize(
        &image,
        PATCH,
        PATCH,
        image::imageops::FilterType::Lanczos3,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::ImageFormat;

    fn picture(side: u32) -> String {
        let mut bytes = Cursor::new(Vec::new());
        RgbImage::from_pixel(side, side, image::Rgb([150, 90, 150]))
            .write_to(&mut bytes, ImageFormat::Png)
            .unwrap();
        BASE64.encode(bytes.into_inner())
    }

    #[test]
    fn decodes_bare_and_data_uris_and_resizes() {
        for text in [
            picture(224),
            picture(50),
            format!("data:image/png;base64,{}", picture(224)),
            picture(10).trim_end_matches('=').to_owned(),
        ] {
            let image = decode(&text).unwrap();
            assert_eq!((image.width(), image.height()), (PATCH, PATCH));
        }
        for text in ["", "!!!", "aGVsbG8=", "data:,"] {
            assert!(decode(text).is_err(), "{text}");
        }
        assert!(decode(&picture(SIDE_MAX + 1)).is_err());
    }
}
