//! The tools: what they are called, what they take, what they give, and how a call goes. The audio tools of the observed server are
//! left out.

mod download;
mod images;
mod params;
mod reference;
mod results;
mod videos;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value};

use super::app::Media;
use super::client::Trail;
use super::config::Unset;
use crate::recorder::Visit;
pub(crate) use params::Arguments;
use params::{Kind, Param};

/// A call in progress.
#[derive(Debug)]
pub(crate) struct Call {
    /// Its arguments, with the defaults of those left out.
    pub(crate) arguments: Arguments,
    /// What it does at the generation service.
    pub(crate) trail: Trail,
    /// Its place in the account.
    pub(crate) visit: Visit,
}

/// What a tool gives, or what its caller is told.
pub(crate) type Outcome = Result<Value, String>;
type Running<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// One tool.
pub(crate) struct ToolDef {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its name in the account.
    pub(crate) endpoint: &'static str,
    /// What a model reads to choose it.
    pub(crate) description: &'static str,
    /// Whether it changes nothing.
    pub(crate) read_only: bool,
    params: &'static [Param],
    output: fn() -> Value,
    upstream: bool,
    run: for<'a> fn(&'a Arc<Media>, &'a mut Call) -> Running<'a>,
}

const VIDEO_ID: Param = Param::needed(
    "video_id",
    Kind::Text,
    "ID of a video, from create_video or list_videos",
);
const RESPONSE_ID: Param = Param::needed("response_id", Kind::Text, "ID of a response, from create_image");
const FILENAME: Param = Param::optional(
    "filename",
    Kind::Text,
    "Name of the file to write; made from the ID when left out",
);

/// Every tool.
pub(crate) static TOOLS: &[ToolDef] = &[
    ToolDef {
        name: "create_video",
        endpoint: "tools/call create_video",
        description: "Create a new video generation job. Returns at once with an id and status 'queued'; poll get_video_status, then \
                      use download_video.",
        read_only: false,
        params: &[
            Param::needed("prompt", Kind::Text, "What the video shows"),
            Param::with(
                "model",
                Kind::Choice(&["sora-2", "sora-2-pro"]),
                "sora-2",
                "Model",
            ),
            Param::optional(
                "seconds",
                Kind::Choice(&["4", "8", "12"]),
                "Duration in seconds, as a string",
            ),
            Param::optional(
                "size",
                Kind::Choice(&["720x1280", "1280x720", "1024x1792", "1792x1024"]),
                "Width x height",
            ),
            Param::optional(
                "input_reference_filename",
                Kind::Text,
                "Reference image in the image folder, of exactly the video's size",
            ),
        ],
        output: results::video,
        upstream: true,
        run: |media, call| Box::pin(videos::create(media, call)),
    },
    ToolDef {
        name: "get_video_status",
        endpoint: "tools/call get_video_status",
        description: "Get the status and progress of a video generation job.",
        read_only: true,
        params: &[VIDEO_ID],
        output: results::video,
        upstream: true,
        run: |media, call| Box::pin(videos::status(media, call)),
    },
    ToolDef {
        name: "download_video",
        endpoint: "tools/call download_video",
        description: "Download a completed video, its thumbnail or its spritesheet to the video folder.",
        read_only: false,
        params: &[
            VIDEO_ID,
            FILENAME,
            Param::with(
                "variant",
                Kind::Choice(&["video", "thumbnail", "spritesheet"]),
                "video",
                "What to download",
            ),
        ],
        output: results::download,
        upstream: true,
        run: |media, call| Box::pin(download::video(media, call)),
    },
    ToolDef {
        name: "list_videos",
        endpoint: "tools/call list_videos",
        description: "List video jobs, newest first, with cursor pagination.",
        read_only: true,
        params: &[
            Param::integer("limit", "20", (1, 100), "Most videos to return"),
            Param::optional("after", Kind::Text, "ID of the last video of the page before"),
            Param::with(
                "order",
                Kind::Choice(&["asc", "desc"]),
                "desc",
                "Order by creation time",
            ),
        ],
        output: results::list,
        upstream: true,
        run: |media, call| Box::pin(videos::list(media, call)),
    },
    ToolDef {
        name: "delete_video",
        endpoint: "tools/call delete_video",
        description: "Permanently delete a video from the generation service. Files already downloaded stay.",
        read_only: false,
        params: &[VIDEO_ID],
        output: results::deleted,
        upstream: true,
        run: |media, call| Box::pin(videos::delete(media, call)),
    },
    ToolDef {
        name: "remix_video",
        endpoint: "tools/call remix_video",
        description: "Create a new video by changing a completed one.",
        read_only: false,
        params: &[
            Param::needed(
                "previous_video_id",
                Kind::Text,
                "ID of the completed video to change",
            ),
            Param::needed("prompt", Kind::Text, "What is to change"),
        ],
        output: results::video,
        upstream: true,
        run: |media, call| Box::pin(videos::remix(media, call)),
    },
    ToolDef {
        name: "list_reference_images",
        endpoint: "tools/call list_reference_images",
        description: "List the reference images in the image folder.",
        read_only: true,
        params: &[
            Param::optional(
                "pattern",
                Kind::Text,
                "Glob pattern of file names, such as cat*.png",
            ),
            Param::with(
                "file_type",
                Kind::Choice(&["jpeg", "png", "webp", "all"]),
                "all",
                "Kind of image",
            ),
            Param::with(
                "sort_by",
                Kind::Choice(&["name", "size", "modified"]),
                "modified",
                "Sort by",
            ),
            Param::with("order", Kind::Choice(&["asc", "desc"]), "desc", "Sort order"),
            Param::integer("limit", "50", (1, 1000), "Most images to return"),
        ],
        output: results::references,
        upstream: false,
        run: |media, call| Box::pin(reference::list(media, call)),
    },
    ToolDef {
        name: "prepare_reference_image",
        endpoint: "tools/call prepare_reference_image",
        description: "Resize an image of the image folder to a video size, as a reference for create_video.",
        read_only: false,
        params: &[
            Param::needed("input_filename", Kind::Text, "Image in the image folder"),
            Param::needed(
                "target_size",
                Kind::Choice(&["720x1280", "1280x720", "1024x1792", "1792x1024"]),
                "Width x height",
            ),
            Param::optional("output_filename", Kind::Text, "Name of the PNG file to write"),
            Param::with(
                "resize_mode",
                Kind::Choice(&["crop", "pad", "rescale"]),
                "crop",
                "crop covers and cuts, pad fits inside with bars, rescale stretches",
            ),
        ],
        output: results::prepared,
        upstream: false,
        run: |media, call| Box::pin(reference::prepare(media, call)),
    },
    ToolDef {
        name: "create_image",
        endpoint: "tools/call create_image",
        description: "Create a new image generation job. Returns at once; poll get_image_status, then use download_image.",
        read_only: false,
        params: &[
            Param::needed("prompt", Kind::Text, "What the image shows, or what is to change"),
            Param::with(
                "model",
                Kind::Text,
                "gpt-5",
                "Model that calls the image generation",
            ),
            Param::optional(
                "tool_config",
                Kind::Object,
                "Settings of the image generation, such as its size",
            ),
            Param::optional("previous_response_id", Kind::Text, "ID of the response to refine"),
            Param::optional(
                "input_images",
                Kind::Texts,
                "Reference images in the image folder",
            ),
            Param::optional(
                "mask_filename",
                Kind::Text,
                "PNG mask in the image folder; needs input_images",
            ),
        ],
        output: results::image,
        upstream: true,
        run: |media, call| Box::pin(images::create(media, call)),
    },
    ToolDef {
        name: "get_image_status",
        endpoint: "tools/call get_image_status",
        description: "Get the status of an image generation job.",
        read_only: true,
        params: &[RESPONSE_ID],
        output: results::image,
        upstream: true,
        run: |media, call| Box::pin(images::status(media, call)),
    },
    ToolDef {
        name: "download_image",
        endpoint: "tools/call download_image",
        description: "Download a completed image to the image folder.",
        read_only: false,
        params: &[RESPONSE_ID, FILENAME],
        output: results::image_file,
        upstream: true,
        run: |media, call| Box::pin(images::download(media, call)),
    },
];

impl ToolDef {
    /// By its name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        TOOLS.iter().find(|tool| tool.name == name)
    }

    /// The JSON Schema of its arguments.
    pub(crate) fn input_schema(&self, lenient: bool) -> Map<String, Value> {
        params::schema(self.name, self.params, lenient)
    }

    /// The JSON Schema of its result.
    pub(crate) fn output_schema(&self, silent_retries: bool) -> Map<String, Value> {
        let mut schema = (self.output)();
        if self.upstream && !silent_retries {
            schema["properties"]["upstream"] = results::upstream();
            if let Some(required) = schema["required"].as_array_mut() {
                required.push("upstream".into());
            }
        }
        match schema {
            Value::Object(schema) => schema,
            _ => Map::new(),
        }
    }

    /// Calls it. The error is what the caller is told.
    pub(crate) async fn call(
        &'static self,
        media: &Arc<Media>,
        given: Map<String, Value>,
        request_id: String,
    ) -> Outcome {
        let begun = Instant::now();
        let mut call = Call {
            arguments: Arguments::default(),
            trail: Trail::new(request_id),
            visit: media.tool_times.arrive(),
        };
        let outcome = match params::read(self.name, self.params, given, media.config.lenient_input) {
            Ok(arguments) => {
                call.arguments = arguments;
                (self.run)(media, &mut call).await
            }
            Err(reason) => Err(reason),
        };
        let outcome = outcome
            .map(|mut value| {
                if self.upstream && !media.config.silent_retries {
                    value["upstream"] = call.trail.told();
                }
                value
            })
            .map_err(|reason| format!("Error executing tool {}: {reason}", self.name));
        media.tool_times.end(&mut call.visit);
        let status = if outcome.is_ok() { 200 } else { 500 };
        media.tool_times.finish(call.visit, self.endpoint, status);
        let told = outcome.as_ref().map_err(String::as_str);
        media
            .ledger
            .called(call.trail.entry(self.name, begun.elapsed(), told));
        outcome
    }
}

/// The settings that a tool needs, in the order in which the observed server looks for them.
pub(crate) fn needs(media: &Media, settings: &[Unset]) -> Result<(), String> {
    match settings.iter().find(|setting| **setting == media.config.unset) {
        Some(Unset::VideoPath) => Err("VIDEO_PATH environment variable is not set or is empty".to_owned()),
        Some(Unset::ImagePath) => Err("IMAGE_PATH environment variable is not set or is empty".to_owned()),
        Some(Unset::ApiKey) => Err("OPENAI_API_KEY is not set".to_owned()),
        Some(Unset::Nothing) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_has_schemas_and_a_name_of_its_own() {
        let mut names: Vec<&str> = TOOLS.iter().map(|tool| tool.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TOOLS.len());
        for tool in TOOLS {
            assert_eq!(tool.endpoint, format!("tools/call {}", tool.name));
            let input = tool.input_schema(false);
            assert_eq!(input["type"], "object", "{}", tool.name);
            assert_eq!(input["additionalProperties"], false);
            let output = tool.output_schema(false);
            assert_eq!(output["type"], "object", "{}", tool.name);
            for name in output["required"].as_array().unwrap() {
                assert!(
                    output["properties"].get(name.as_str().unwrap()).is_some(),
                    "{}: {name}",
                    tool.name
                );
            }
        }
    }
}
