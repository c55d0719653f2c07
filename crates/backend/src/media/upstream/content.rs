//! `GET /v1/videos/{id}/content`: which content, whether there is any, and which part of it (RFC 9110: ETag, If-None-Match, Range,
//! If-Range).

use axum::body::Bytes;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};

use super::asset::Variant;
use super::range::{self, Asked};
use super::refusal::{bad_field, refusal};
use super::transfer::Plan;
use super::videos::Phase;
use super::weather::End;
use super::{Answer, Upstream};
use crate::fastapi::params::Query;
use crate::fastapi::reply::Reply;

impl Upstream {
    /// The answer.
    pub(super) async fn content(&self, id: &str, query: &Query, parts: &Parts) -> Result<Answer, Reply> {
        let video = self.video(id)?;
        let name = query.get("variant").unwrap_or("video");
        let variant = Variant::named(name).ok_or_else(|| {
            bad_field(
                "variant",
                "'variant' must be 'video', 'thumbnail' or 'spritesheet'.",
            )
        })?;
        let gone = |message: &str, code| {
            Err(refusal(
                StatusCode::NOT_FOUND,
                message,
                Some("video_id"),
                Some(code),
            ))
        };
        match video.phase() {
            Phase::Completed => {}
            Phase::Expired => {
                return gone(
                    "The video has expired and is no longer available.",
                    "video_expired",
                );
            }
            Phase::Failed => return gone("The video failed and has no content.", "video_failed"),
            Phase::Queued | Phase::InProgress(_) => {
                let message = "Video is not ready yet, use GET /v1/videos/{video_id} to check status.";
                return gone(message, "video_not_ready");
            }
        }
        let (seed, video_bytes) = (self.seed, self.service.video_bytes);
        let asset = tokio::task::spawn_blocking(move || video.asset(variant, seed, video_bytes))
            .await
            .map_err(|_| Reply::unhandled())?
            .map_err(|_| Reply::unhandled())?;
        let value = |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
        let head = |status| {
            Reply {
                status,
                headers: Vec::new(),
                body: Bytes::new(),
            }
            .with(header::ETAG, value(asset.etag()))
            .with(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"))
        };
        let asked = |name| {
            parts
                .headers
                .get(name)
                .and_then(|value: &HeaderValue| value.to_str().ok())
        };
        if asked(header::IF_NONE_MATCH)
            .is_some_and(|tags| tags == "*" || tags.split(',').any(|tag| tag.trim() == asset.etag()))
        {
            return Ok(head(StatusCode::NOT_MODIFIED).into());
        }
        let same = asked(header::IF_RANGE).is_none_or(|tag| tag == asset.etag());
        let length = asset.length();
        let typed = HeaderValue::from_static(asset.content_type());
        let (reply, from, length) = match range::read(asked(header::RANGE).filter(|_| same), length) {
            Asked::Whole => (head(StatusCode::OK), 0, length),
            Asked::Part(from, to) => {
                let told = value(&format!("bytes {from}-{to}/{length}"));
                let reply = head(StatusCode::PARTIAL_CONTENT).with(header::CONTENT_RANGE, told);
                (reply, from, to - from + 1)
            }
            Asked::Nothing => {
                let told = value(&format!("bytes */{length}"));
                let reply = refusal(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    "The requested range cannot be satisfied.",
                    None,
                    None,
                );
                return Ok(reply.with(header::CONTENT_RANGE, told).into());
            }
        };
        let way = self.weather.transfer();
        match way.end {
            End::Whole => {}
            End::Cut => self.ledger.truncated("cut"),
            End::Short => self.ledger.truncated("short"),
        }
        if way.throttled {
            self.ledger.throttled();
        }
        let plan = Plan {
            asset,
            from,
            length,
            way,
        };
        Ok(Answer::Transfer(reply.with(header::CONTENT_TYPE, typed), plan))
    }
}
