//! `download_video`: from the generation service to a file, as observed (whatever comes is the file) or verified.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::json;

use super::videos::path_part;
use super::{Call, Outcome, needs};
use crate::media::app::Media;
use crate::media::client::{Ask, Failure};
use crate::media::config::Unset;
use crate::media::folder::{self, Writing};
use crate::media::ledger::Activity;

/// A transfer that stands still so long is given up.
const STILL_MAX: Duration = Duration::from_secs(600);

/// The tool.
pub(super) async fn video(media: &Arc<Media>, call: &mut Call) -> Outcome {
    needs(media, &[Unset::VideoPath, Unset::ApiKey])?;
    let id = call.arguments.text("video_id").to_owned();
    let variant = call.arguments.text("variant").to_owned();
    let suffix = match variant.as_str() {
        "thumbnail" => "webp",
        "spritesheet" => "jpg",
        _ => "mp4",
    };
    let name = call
        .arguments
        .optional("filename")
        .map_or_else(|| format!("{id}.{suffix}"), str::to_owned);
    let place = folder::safe(&media.folder.videos(), &name, true)?;
    let ask = Ask::new(
        Method::GET,
        format!("/v1/videos/{}/content?variant={variant}", path_part(&id)?),
    );
    let _turn = match &media.download_lock {
        Some(lock) => Some(if let Ok(turn) = lock.try_lock() {
            turn
        } else {
            let since = Instant::now();
            let turn = lock.lock().await;
            media.ledger.waited_for_lock(since.elapsed());
            turn
        }),
        None => None,
    };
    media.tool_times.begin(&mut call.visit, true);
    let during = media.ledger.during(Activity::Download);
    let written = if media.config.unverified_downloads {
        trusting(media, &ask, place, call).await?
    } else {
        verified(media, &ask, place, call).await?
    };
    drop(during);
    let written = written.finish(&call.trail.request_id).await?;
    let filename = if media.config.direct_write {
        name
    } else {
        written
            .path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let mut result = json!({ "filename": filename, "path": written.path, "variant": variant });
    if !media.config.unverified_downloads {
        result["bytes"] = json!(written.bytes);
        result["sha256"] = json!(written.sha256);
    }
    Ok(result)
}

/// As observed: the bytes end when they end.
async fn trusting(
    media: &Arc<Media>,
    ask: &Ask,
    place: std::path::PathBuf,
    call: &mut Call,
) -> Result<Writing, String> {
    let response = open(media, ask, call).await?;
    let wanted = length(&response);
    let mut writing = media.folder.create(place, "video file").await?;
    let mut body = response.into_body();
    while let Some(piece) = next(&mut body).await {
        match piece {
            Ok(bytes) => writing.write(&bytes).await?,
            // A broken connection is taken for the end.
            Err(_) => break,
        }
    }
    call.trail.received = Some((writing.bytes(), wanted.unwrap_or(0)));
    Ok(writing)
}

/// Until the length is that of the head and the digest that of the tag; what is missing is asked for again.
async fn verified(
    media: &Arc<Media>,
    ask: &Ask,
    place: std::path::PathBuf,
    call: &mut Call,
) -> Result<Writing, String> {
    let mut writing: Option<Writing> = None;
    let mut tag: Option<HeaderValue> = None;
    let mut retries = 0;
    loop {
        let have = writing.as_ref().map_or(0, Writing::bytes);
        let failed = match media
            .client
            .attempt(ask, resume(have, tag.as_ref()), &mut call.trail)
            .await
        {
            Err(failed) => failed,
            Ok(response) => {
                let file = match &mut writing {
                    Some(file) => file,
                    empty => empty.insert(media.folder.create(place.clone(), "video file").await?),
                };
                let partial = response.status() == StatusCode::PARTIAL_CONTENT;
                if !partial && file.bytes() > 0 {
                    file.restart().await?;
                }
                tag = response.headers().get(header::ETAG).cloned();
                let whole = if partial {
                    whole_length(&response)
                } else {
                    length(&response)
                };
                let broken = fill(response, file).await?;
                let (have, want) = (file.bytes(), whole.unwrap_or(0));
                call.trail.received = Some((have, want));
                if broken.is_none() && whole.is_none_or(|whole| whole == have) {
                    let digest = format!("\"{}\"", file.sha256());
                    let same = tag.as_ref().and_then(digest_of).is_none_or(|tag| tag == digest);
                    if same && let Some(file) = writing {
                        return Ok(file);
                    }
                    // A whole answer of other bytes: its length was wrong or its content is.
                    file_restart(&mut writing).await?;
                    (
                        Failure::Incomplete("the digest is not that of the ETag".to_owned()),
                        None,
                    )
                } else {
                    let reason = broken.unwrap_or_else(|| "the connection ended".to_owned());
                    (
                        Failure::Incomplete(format!("got {have} of {want} bytes: {reason}")),
                        None,
                    )
                }
            }
        };
        media
            .client
            .pause(failed, &mut retries, &mut call.trail)
            .await
            .map_err(|failure| failure.to_string())?;
    }
}

async fn file_restart(writing: &mut Option<Writing>) -> Result<(), String> {
    match writing {
        Some(file) => file.restart().await,
        None => Ok(()),
    }
}

/// The head of the content, after as many repetitions as it takes and may take.
async fn open(media: &Arc<Media>, ask: &Ask, call: &mut Call) -> Result<Response<Incoming>, String> {
    let mut retries = 0;
    loop {
        match media.client.attempt(ask, HeaderMap::new(), &mut call.trail).await {
            Ok(response) => return Ok(response),
            Err(failed) => media
                .client
                .pause(failed, &mut retries, &mut call.trail)
                .await
                .map_err(|failure| failure.to_string())?,
        }
    }
}

/// Asks for the rest of what is there, if it is still the same.
fn resume(have: u64, tag: Option<&HeaderValue>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let (Some(tag), true) = (tag, have > 0)
        && let Ok(range) = HeaderValue::from_str(&format!("bytes={have}-"))
    {
        headers.insert(header::RANGE, range);
        headers.insert(header::IF_RANGE, tag.clone());
    }
    headers
}

/// Writes a body to its end; why it broke off, if it did. The error is one of the file.
async fn fill(response: Response<Incoming>, file: &mut Writing) -> Result<Option<String>, String> {
    let mut body = response.into_body();
    while let Some(piece) = next(&mut body).await {
        match piece {
            Ok(bytes) => file.write(&bytes).await?,
            Err(reason) => return Ok(Some(reason)),
        }
    }
    Ok(None)
}

async fn next(body: &mut Incoming) -> Option<Result<Bytes, String>> {
    loop {
        let frame = match tokio::time::timeout(STILL_MAX, body.frame()).await {
            Err(_) => return Some(Err("it stood still".to_owned())),
            Ok(frame) => frame?,
        };
        match frame {
            Ok(frame) => {
                if let Ok(bytes) = frame.into_data() {
                    return Some(Ok(bytes));
                }
            }
            Err(error) => return Some(Err(error.to_string())),
        }
    }
}

fn length(response: &Response<Incoming>) -> Option<u64> {
    response
        .headers()
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// The length after the slash of Content-Range.
fn whole_length(response: &Response<Incoming>) -> Option<u64> {
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.rsplit_once('/')?.1.parse().ok()
}

/// A tag that is a SHA-256; others say nothing of the content.
fn digest_of(tag: &HeaderValue) -> Option<String> {
    let text = tag.to_str().ok()?;
    let digits = text.strip_prefix('"')?.strip_suffix('"')?;
    (digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| text.to_owned())
}
