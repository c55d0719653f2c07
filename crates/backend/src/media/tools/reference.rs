//! The tools around reference images: listing them, and resizing one on a bounded number of threads.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, UNIX_EPOCH};

use image::{ImageFormat, RgbImage};
use serde_json::{Value, json};

use super::{Call, Outcome, needs};
use crate::media::app::Media;
use crate::media::config::Unset;
use crate::media::folder;
use crate::media::ledger::Activity;
use crate::media::picture::{self, Fit};

/// Edge of the largest picture that is read.
const EDGE_MAX: u32 = 16_384;

/// `list_reference_images`.
pub(super) async fn list(media: &Arc<Media>, call: &mut Call) -> Outcome {
    media.begin(call);
    needs(media, &[Unset::ImagePath])?;
    let base = media.folder.images();
    let arguments = &call.arguments;
    let pattern = arguments
        .optional("pattern")
        .filter(|pattern| !pattern.is_empty())
        .unwrap_or("*")
        .to_owned();
    let wanted = arguments.text("file_type").to_owned();
    let (by, descending) = (
        arguments.text("sort_by").to_owned(),
        arguments.text("order") == "desc",
    );
    let limit = arguments.get("limit").as_i64().unwrap_or(50);
    let listed = tokio::task::spawn_blocking(move || found(&base, &pattern, &wanted))
        .await
        .map_err(|error| error.to_string())?;
    let mut images = listed.map_err(|error| format!("Error listing images: {error}"))?;
    match by.as_str() {
        "name" => images.sort_by(|a, b| a.name.cmp(&b.name)),
        "size" => images.sort_by_key(|image| image.bytes),
        _ => images.sort_by_key(|image| image.modified_ns),
    }
    if descending {
        images.reverse();
    }
    // A negative limit leaves out so many at the end, as a slice does in the observed code.
    let count = if limit < 0 {
        images.len().saturating_sub(limit.unsigned_abs() as usize)
    } else {
        limit as usize
    };
    let data: Vec<Value> = images
        .iter()
        .take(count)
        .map(|image| {
            json!({
                "filename": image.name,
                "size_bytes": image.bytes,
                "modified_timestamp": (image.modified_ns / 1_000_000_000) as u64,
                "file_type": image.kind,
            })
        })
        .collect();
    Ok(json!({ "data": data }))
}

/// `prepare_reference_image`.
pub(super) async fn prepare(media: &Arc<Media>, call: &mut Call) -> Outcome {
    needs(media, &[Unset::ImagePath])?;
    let base = media.folder.images();
    let arguments = &call.arguments;
    let name = arguments.text("input_filename").to_owned();
    let size = arguments.text("target_size").to_owned();
    let mode = arguments.text("resize_mode").to_owned();
    folder::no_link(&base, &name, "Reference image")?;
    let input = folder::safe(&base, &name, false)?;
    mime(&input)?;
    let (width, height) = size
        .split_once('x')
        .and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)))
        .ok_or_else(|| format!("Invalid size: {size}"))?;
    let wanted = arguments.optional("output_filename").map_or_else(
        || {
            let stem = input.file_stem().unwrap_or_default().to_string_lossy();
            format!("{stem}_{size}.png")
        },
        str::to_owned,
    );
    let place = folder::safe(&base, &wanted, true)?;
    let since = Instant::now();
    let turn = media
        .threads
        .enter()
        .await
        .map_err(|_| "No thread is free".to_owned())?;
    let wait = since.elapsed();
    media.tool_times.begin(&mut call.visit, true);
    let during = media.ledger.during(Activity::Picture);
    let begun = Instant::now();
    let fit = Fit::named(&mode);
    let worked = tokio::task::spawn_blocking(move || resize(&input, &name, (width, height), fit))
        .await
        .map_err(|error| error.to_string());
    media.ledger.resized(wait, begun.elapsed());
    drop(during);
    let (original, bytes) = worked??;
    let mut file = media.folder.create(place, "output image").await?;
    file.write(&bytes).await?;
    let written = file.finish(&call.trail.request_id).await?;
    drop(turn);
    Ok(json!({
        "output_filename": written.path.file_name().unwrap_or_default().to_string_lossy(),
        "original_size": [original.0, original.1],
        "target_size": [width, height],
        "resize_mode": mode,
        "path": written.path,
    }))
}

/// The kind of an image by its name.
pub(super) fn mime(path: &Path) -> Result<&'static str, String> {
    match suffix(path).as_str() {
        ".jpg" | ".jpeg" => Ok("image/jpeg"),
        ".png" => Ok("image/png"),
        ".webp" => Ok("image/webp"),
        other => Err(format!("Unsupported file type: {other}. Use: JPEG, PNG, or WEBP")),
    }
}

fn suffix(path: &Path) -> String {
    path.extension().map_or_else(String::new, |suffix| {
        format!(".{}", suffix.to_string_lossy().to_lowercase())
    })
}

/// The work of a thread: read, fit, encode.
fn resize(
    input: &Path,
    name: &str,
    (width, height): (u32, u32),
    fit: Fit,
) -> Result<((u32, u32), Vec<u8>), String> {
    let picture = read(input).map_err(|error| match error {
        image::ImageError::IoError(error) => folder::told("Input image", input, "reading", &error),
        other => format!("Error reading input image: {name}: {other}"),
    })?;
    let resized = picture::fit(&picture, width, height, fit);
    let mut out = Cursor::new(Vec::new());
    resized
        .write_to(&mut out, ImageFormat::Png)
        .map_err(|error| format!("Error writing output image: {error}"))?;
    Ok((picture.dimensions(), out.into_inner()))
}

fn read(path: &Path) -> image::ImageResult<RgbImage> {
    let mut reader = image::ImageReader::open(path)?.with_guessed_format()?;
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(EDGE_MAX);
    limits.max_image_height = Some(EDGE_MAX);
    reader.limits(limits);
    Ok(reader.decode()?.into_rgb8())
}

/// An image in the folder.
struct Found {
    name: String,
    bytes: u64,
    modified_ns: u128,
    kind: &'static str,
}

fn found(base: &Path, pattern: &str, wanted: &str) -> std::io::Result<Vec<Found>> {
    let mut images = Vec::new();
    for entry in std::fs::read_dir(base)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let Some(kind) = mime(&path).ok().and_then(|mime| mime.strip_prefix("image/")) else {
            continue;
        };
        let within = path.canonicalize().is_ok_and(|real| real.starts_with(base));
        if (wanted != "all" && wanted != kind) || !matches(pattern.as_bytes(), name.as_bytes()) || !within {
            continue;
        }
        // A file may be gone since it was listed.
        let Ok(about) = path.metadata() else { continue };
        if !about.is_file() {
            continue;
        }
        let modified_ns = about
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .map_or(0, |since| since.as_nanos());
        images.push(Found {
            name,
            bytes: about.len(),
            modified_ns,
            kind,
        });
    }
    Ok(images)
}

/// Whether a name fits a pattern of `*` and `?`.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut in_name) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while in_name < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, in_name));
                at += 1;
            }
            Some(wanted) if *wanted == b'?' || *wanted == name[in_name] => {
                at += 1;
                in_name += 1;
            }
            _ => match star {
                Some((place, from)) => {
                    star = Some((place, from + 1));
                    at = place + 1;
                    in_name = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_are_globs() {
        for (pattern, name, fits) in [
            ("*", "a.png", true),
            ("*.png", "a.png", true),
            ("*.png", "a.jpg", false),
            ("cat*", "cat_1.png", true),
            ("c?t.png", "cat.png", true),
            ("c?t.png", "coat.png", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "xxaxxbxx", false),
            ("", "a", false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), name.as_bytes()),
                fits,
                "{pattern} {name}"
            );
        }
    }
}
