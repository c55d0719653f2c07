//! The generation service's images: background responses that hold one picture when they are done.

use std::collections::{HashMap, VecDeque};
use std::io::Cursor;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::ImageFormat;
use serde_json::{Value, json};

use super::fields::Fields;
use super::refusal::bad_field;
use super::videos::unix_s;
use super::weather::mix;
use crate::fastapi::reply::Reply;
use crate::media::config::Service;
use crate::media::picture;

/// Responses kept; beyond it the oldest is forgotten.
const IMAGES_MAX: usize = 10_000;

/// One response.
#[derive(Debug)]
pub(super) struct Drawing {
    id: String,
    model: String,
    previous: Option<String>,
    key: u64,
    size: (u32, u32),
    created: Instant,
    created_at: u64,
    queue: Duration,
    render: Duration,
    fails: bool,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Images {
    service: Service,
    seed: u64,
    stock: Mutex<Stock>,
}

#[derive(Debug, Default)]
struct Stock {
    order: VecDeque<String>,
    held: HashMap<String, Arc<Drawing>>,
    made: u64,
}

impl Images {
    /// None yet.
    pub(super) fn new(service: &Service, seed: u64) -> Self {
        Self {
            service: service.clone(),
            seed,
            stock: Mutex::default(),
        }
    }

    /// A new response, if the request is right.
    pub(super) fn create(&self, fields: &Fields, fails: bool) -> Result<Arc<Drawing>, Reply> {
        let model = match fields.get("model") {
            Some(Value::String(model)) if !model.is_empty() => model.clone(),
            _ => return Err(bad_field("model", "'model' must be a non-empty string.")),
        };
        let input = match fields.get("input") {
            Some(input @ (Value::String(_) | Value::Array(_)))
                if input != &json!("") && input != &json!([]) =>
            {
                input.to_string()
            }
            _ => {
                return Err(bad_field(
                    "input",
                    "'input' must be a non-empty string or a list of messages.",
                ));
            }
        };
        if fields.get("background") != Some(&json!(true)) {
            return Err(bad_field(
                "background",
                "Only background responses are served here: send true.",
            ));
        }
        let previous = match fields.get("previous_response_id") {
            None => None,
            Some(Value::String(id)) if self.get(id).is_some() => Some(id.clone()),
            Some(other) => {
                let message = format!("Previous response with id {other} not found.");
                return Err(bad_field("previous_response_id", &message));
            }
        };
        let size = self.size(fields.get("tools"))?;
        let mut stock = self.stock();
        let n = stock.made;
        stock.made += 1;
        let drawing = Arc::new(Drawing {
            id: format!(
                "resp_{:016x}{:016x}",
                mix(self.seed ^ 7, n),
                mix(self.seed ^ 8, n)
            ),
            model,
            previous,
            key: input
                .bytes()
                .fold(self.seed, |key, byte| mix(key, u64::from(byte))),
            size,
            created: Instant::now(),
            created_at: unix_s(),
            queue: self.service.queue,
            render: self.service.render,
            fails,
        });
        stock.order.push_back(drawing.id.clone());
        stock.held.insert(drawing.id.clone(), Arc::clone(&drawing));
        if stock.order.len() > IMAGES_MAX
            && let Some(oldest) = stock.order.pop_front()
        {
            stock.held.remove(&oldest);
        }
        Ok(drawing)
    }

    /// The size that the one tool asks for.
    fn size(&self, tools: Option<&Value>) -> Result<(u32, u32), Reply> {
        let tool = tools
            .and_then(Value::as_array)
            .and_then(|tools| tools.iter().find(|tool| tool["type"] == "image_generation"))
            .ok_or_else(|| bad_field("tools", "'tools' must hold one tool of type 'image_generation'."))?;
        let edge = self.service.image_px;
        match tool["size"].as_str() {
            None | Some("auto") => Ok((edge, edge)),
            Some("1024x1024") => Ok((1024, 1024)),
            Some("1024x1536") => Ok((1024, 1536)),
            Some("1536x1024") => Ok((1536, 1024)),
            Some(other) => Err(bad_field(
                "tools[0].size",
                &format!(
                    "Invalid value: '{other}'. Supported values are: '1024x1024', '1024x1536', '1536x1024', 'auto'."
                ),
            )),
        }
    }

    /// One of them.
    pub(super) fn get(&self, id: &str) -> Option<Arc<Drawing>> {
        self.stock().held.get(id).cloned()
    }

    fn stock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drawing {
    /// As the API shows it; with the picture it computes for a while.
    pub(super) fn to_json(&self) -> image::ImageResult<Value> {
        let age = self.created.elapsed();
        let (status, call) = if age < self.queue {
            ("queued", None)
        } else if age < self.queue + self.render {
            ("in_progress", Some(("in_progress", None)))
        } else if self.fails {
            ("failed", Some(("failed", None)))
        } else {
            ("completed", Some(("completed", Some(self.picture()?))))
        };
        let output: Vec<Value> = call
            .into_iter()
            .map(|(status, result)| {
                json!({ "id": format!("ig_{}", &self.id[5..]), "type": "image_generation_call", "status": status, "result": result })
            })
            .collect();
        Ok(json!({
            "id": self.id,
            "object": "response",
            "created_at": self.created_at,
            "status": status,
            "background": true,
            "model": self.model,
            "previous_response_id": self.previous,
            "output": output,
            "error": (status == "failed").then(|| json!({
                "code": "server_error", "message": "The image could not be generated."
            })),
        }))
    }

    fn picture(&self) -> image::ImageResult<String> {
        let mut out = Cursor::new(Vec::new());
        picture::paint(self.key, self.size.0, self.size.1).write_to(&mut out, ImageFormat::Png)?;
        Ok(STANDARD.encode(out.into_inner()))
    }
}
