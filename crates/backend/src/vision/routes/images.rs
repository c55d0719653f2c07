//! Uploading images and asking for them.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::super::app::Vision;
use super::super::identity::now;
use super::super::pictures::{Picture, SPLITS};
use super::super::pixels::{self, Head};
use super::ask::{Ask, missing, refuse, uuid};
use crate::fastapi::body::problem;
use crate::fastapi::reply::Reply;

/// Most parts of one form, as Starlette has it.
const PARTS_MAX: usize = 1000;
/// Longest file name that is kept.
const NAME_MAX: usize = 255;

/// The parts of a form that are understood.
#[derive(Debug, Default)]
struct Form {
    files: Vec<(String, Bytes)>,
    split: Option<String>,
    problems: Vec<Value>,
}

pub(super) async fn upload(server: &Arc<Vision>, ask: Ask) -> Result<Reply, Reply> {
    let form = read(server, ask).await?;
    if form.files.iter().all(|(name, _)| name.is_empty()) {
        return Err(refuse(StatusCode::BAD_REQUEST, "No files provided"));
    }
    let split = form.split.as_deref().unwrap_or(SPLITS[0]);
    let Some(split) = SPLITS.iter().copied().find(|known| *known == split) else {
        let shown: String = split.chars().take(64).collect();
        return Err(refuse(
            StatusCode::BAD_REQUEST,
            &format!("Invalid dataset split: {shown}"),
        ));
    };
    let total = form.files.len();
    let mut kept = Vec::new();
    for (filename, bytes) in form.files {
        if let Some(head) = look(server, &bytes).await {
            let picture = Picture {
                id: server.new_uuid(),
                filename: if server.config.lenient_input {
                    filename
                } else {
                    plain_name(&filename)
                },
                split,
                head,
                bytes,
                uploaded_at: now(),
            };
            kept.push(server.pictures.add(picture).to_json());
        }
    }
    if kept.is_empty() {
        return Err(refuse(StatusCode::BAD_REQUEST, "No valid image files provided"));
    }
    let succeeded = kept.len();
    Ok(Reply::json_status(
        StatusCode::CREATED,
        &json!({
            "uploaded_images": kept, "total_count": total,
            "success_count": succeeded, "failed_count": total - succeeded,
        }),
    ))
}

async fn read(server: &Vision, ask: Ask) -> Result<Form, Reply> {
    let unreadable = |_| refuse(StatusCode::BAD_REQUEST, "There was an error parsing the body");
    let declared = ask.content_type.unwrap_or_default();
    let mut form = Form::default();
    if !declared
        .trim_start()
        .to_ascii_lowercase()
        .starts_with("multipart/form-data")
    {
        return Ok(form);
    }
    let boundary = multer::parse_boundary(&declared).map_err(unreadable)?;
    let mut parts = multer::Multipart::new(Body::from(ask.body).into_data_stream(), boundary);
    let mut count = 0;
    while let Some(part) = parts.next_field().await.map_err(unreadable)? {
        count += 1;
        if count > PARTS_MAX {
            return Err(refuse(
                StatusCode::BAD_REQUEST,
                "Too many files. Maximum number of files is 1000.",
            ));
        }
        let name = part.name().unwrap_or_default().to_owned();
        let filename = part.file_name().map(str::to_owned);
        let bytes = part.bytes().await.map_err(unreadable)?;
        form.take(&name, filename, bytes, server.config.lenient_input);
    }
    if form.problems.is_empty() {
        Ok(form)
    } else {
        Err(Reply::invalid(&form.problems))
    }
}

impl Form {
    fn take(&mut self, name: &str, filename: Option<String>, bytes: Bytes, lenient: bool) {
        let text = || String::from_utf8_lossy(&bytes).into_owned();
        match (name, filename) {
            ("files", Some(filename)) => self.files.push((filename, bytes)),
            ("files", None) => {
                let message = "Value error, Expected UploadFile, received: <class 'str'>";
                let at = json!(["body", "files", self.files.len()]);
                self.problems
                    .push(problem("value_error", &at, message, &json!(text())));
            }
            ("dataset_split", None) => self.split = Some(text()),
            ("dataset_split", Some(_)) => {
                let at = json!(["body", "dataset_split"]);
                self.problems.push(problem(
                    "string_type",
                    &at,
                    "Input should be a valid string",
                    &Value::Null,
                ));
            }
            (_, _) if lenient => {}
            (other, _) => {
                let message = "Extra inputs are not permitted";
                self.problems.push(problem(
                    "extra_forbidden",
                    &json!(["body", other]),
                    message,
                    &Value::Null,
                ));
            }
        }
    }
}

/// As observed only the head of a file is read; otherwise its pixels must be whole.
async fn look(server: &Vision, bytes: &Bytes) -> Option<Head> {
    let head = pixels::head(bytes)?;
    if server.config.lenient_input {
        return Some(head);
    }
    let _turn = server.decoding.acquire().await.ok()?;
    let bytes = bytes.clone();
    let whole = tokio::task::spawn_blocking(move || pixels::decode(&bytes).is_some()).await;
    whole.unwrap_or(false).then_some(head)
}

/// The last part of a path, without what could do harm when it is shown.
fn plain_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last.chars().filter(|c| !c.is_control()).take(NAME_MAX).collect();
    if plain.is_empty() {
        "image".to_owned()
    } else {
        plain
    }
}

pub(super) fn list(server: &Vision, ask: &Ask) -> Result<Reply, Reply> {
    let split = ask.word("dataset_split", "dataset split", &SPLITS)?;
    let (limit, offset) = ask.page()?;
    let (page, total) = server.pictures.page(split, limit, offset);
    let images: Vec<Value> = page.iter().map(|picture| picture.to_json()).collect();
    Ok(Reply::json(
        &json!({ "images": images, "total_count": total, "limit": limit, "offset": offset }),
    ))
}

pub(super) fn get(server: &Vision, ask: &Ask) -> Result<Reply, Reply> {
    let id = uuid(ask.param(0))?;
    let picture = server
        .pictures
        .get(&id)
        .ok_or_else(|| missing("Image not found", &format!("No image found with ID: {id}")))?;
    Ok(Reply::json(&picture.to_json()))
}
