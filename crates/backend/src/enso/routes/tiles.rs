//! Deep Zoom: descriptor, tiles and the thumbnail.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};

use super::super::app::{Answer, Enso};
use super::super::device::Pass;
use super::super::dzi::{self, OVERLAP, TILE};
use super::{Ask, checked, failed, image_missing, settled};
use crate::fastapi::params;
use crate::fastapi::reply::Reply;

const DEFAULT_SIZE: i64 = 512;

/// GET /api/slides/{slide_id}/dzi.
pub(super) fn descriptor(server: &Enso, ask: &Ask) -> Answer {
    let slide = match server.slide(ask.param(0), image_missing) {
        Ok(slide) => slide,
        Err(refusal) => return refusal.into(),
    };
    let size = slide.pyramid.size();
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Image xmlns=\"http://schemas.microsoft.com/deepzoom/2008\"\n  Format=\"jpeg\"\n  \
         Overlap=\"{OVERLAP}\"\n  TileSize=\"{TILE}\">\n  <Size Width=\"{}\" Height=\"{}\"/>\n</Image>",
        size.width, size.height
    );
    named(
        Reply::new(StatusCode::OK, "application/xml", xml),
        &format!("{}.dzi", slide.id),
    )
    .into()
}

/// GET /api/slides/{slide_id}/dzi_files/{level}/{tile_spec}.
pub(super) fn tile(server: &Enso, ask: &Ask) -> Answer {
    settled(cut_tile(server, ask))
}

fn cut_tile(server: &Enso, ask: &Ask) -> Result<Answer, Reply> {
    let (level, spec) = (ask.param(1), ask.param(2));
    let Some(level) = params::integer(level) else {
        return Err(Reply::invalid(&[params::not_an_integer("path", "level", level)]));
    };
    let slide = server.slide(ask.param(0), image_missing)?;
    let Some((col, row)) = coordinates(spec, server.config.lenient_input) else {
        return Err(Reply::detail(
            StatusCode::BAD_REQUEST,
            "Invalid tile specification",
        ));
    };
    let place = usize::try_from(level)
        .ok()
        .and_then(|level| Some((level, slide.pyramid.level_size(level)?)));
    let Some((level, size)) = place else {
        return Err(Reply::not_found("Invalid zoom level"));
    };
    let indices = (u32::try_from(col), u32::try_from(row));
    let (Ok(col), Ok(row)) = indices else {
        return Err(Reply::not_found("Tile coordinates out of bounds"));
    };
    let Some(rect) = dzi::tile(size, col, row) else {
        return Err(Reply::not_found("Tile coordinates out of bounds"));
    };
    let jpeg = slide
        .pyramid
        .jpeg(level, rect, 85)
        .map_err(|error| failed("tile", &error))?;
    let reply = Reply::new(StatusCode::OK, "image/jpeg", jpeg).with(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=86400"),
    );
    let reply = named(reply, &format!("{level}_{col}_{row}.jpeg"));
    Ok(Answer {
        reply,
        pass: Some(Pass::Storage),
    })
}

/// Column and row of `3_4.jpeg`. As observed any extension does and the numbers may be signed or spaced; fixed, they may not.
fn coordinates(spec: &str, lenient: bool) -> Option<(i64, i64)> {
    let (name, extension) = spec.rsplit_once('.').unwrap_or((spec, ""));
    let (col, row) = name.split_once('_')?;
    if lenient {
        if row.contains('_') || col.contains('.') || row.contains('.') {
            return None;
        }
        return Some((params::integer(col)?, params::integer(row)?));
    }
    let plain = |text: &str| {
        text.strip_prefix('-')
            .unwrap_or(text)
            .bytes()
            .all(|byte| byte.is_ascii_digit())
    };
    if !matches!(extension, "jpeg" | "jpg") || !plain(col) || !plain(row) {
        return None;
    }
    Some((params::integer(col)?, params::integer(row)?))
}

/// GET /api/slides/{slide_id}/thumbnail.
pub(super) fn thumbnail(server: &Enso, ask: &Ask) -> Answer {
    settled(draw_thumbnail(server, ask))
}

fn draw_thumbnail(server: &Enso, ask: &Ask) -> Result<Answer, Reply> {
    let mut problems = Vec::new();
    let bounds = (!server.config.lenient_input).then_some((16, 4096));
    let size = ask.query.integer("size", DEFAULT_SIZE, bounds, &mut problems);
    checked(&problems)?;
    let slide = server.slide(ask.param(0), image_missing)?;
    if size < 1 {
        // What Pillow and OpenSlide made of such a size reached the client.
        let reason = if size == 0 {
            "division by zero"
        } else {
            "height and width must be > 0"
        };
        return Err(Reply::detail(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("Failed to generate thumbnail: {reason}"),
        ));
    }
    let fit = u32::try_from(size).unwrap_or(u32::MAX);
    let jpeg = if size == DEFAULT_SIZE {
        slide.thumbnail(fit)
    } else {
        slide.pyramid.thumbnail(fit, 90)
    };
    let jpeg = jpeg.map_err(|error| failed("thumbnail", &error))?;
    let reply = Reply::new(StatusCode::OK, "image/jpeg", jpeg).with(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=3600"),
    );
    Ok(Answer {
        reply,
        pass: Some(Pass::Storage),
    })
}

/// Adds the file name that a browser would save under; a name that no header can carry is left out.
pub(super) fn named(reply: Reply, name: &str) -> Reply {
    const DISPOSITION: HeaderName = header::CONTENT_DISPOSITION;
    match HeaderValue::from_str(&format!("inline; filename={name}")) {
        Ok(value) => reply.with(DISPOSITION, value),
        Err(_) => reply,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tile_names_are_read_as_python_reads_them() {
        for (spec, lenient, strict) in [
            ("0_0.jpeg", Some((0, 0)), Some((0, 0))),
            ("3_14.jpg", Some((3, 14)), Some((3, 14))),
            ("-1_-1.jpeg", Some((-1, -1)), Some((-1, -1))),
            ("0_0.png", Some((0, 0)), None),
            ("0_0", Some((0, 0)), None),
            ("0_0_0.jpeg", None, None),
            ("a_b.jpeg", None, None),
            ("_.jpeg", None, None),
            ("", None, None),
            (" 1_2.jpeg", Some((1, 2)), None),
            (
                "99999999999999999999_0.jpeg",
                Some((i64::MAX, 0)),
                Some((i64::MAX, 0)),
            ),
        ] {
            assert_eq!(coordinates(spec, true), lenient, "{spec}");
            assert_eq!(coordinates(spec, false), strict, "{spec}");
        }
    }
}
