//! Bodies that are forms or pictures: what a suite says of them. It must not know how a picture is made.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One part of a `multipart/form-data` body. Exactly one of `value`, `file` and `image`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PartSpec {
    /// Name of the field.
    pub name: String,
    /// Plain text; `{{name}}` takes a value of `values`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// File whose bytes are the part; the path starts from the suite's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// A generated picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageSpec>,
    /// File name that is told; by default that of `file`, or one made from the picture's size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Content type of the part; by default that of the picture, `application/octet-stream` for a file, none for a value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
}

/// A picture that is generated: the same numbers give the same bytes everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageSpec {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// How much there is to see.
    #[serde(default)]
    pub kind: ImageKind,
    /// How it is written.
    #[serde(default)]
    pub format: ImageFormat,
    /// Another number gives another picture of the same kind.
    #[serde(default)]
    pub seed: u64,
}

impl ImageSpec {
    /// Longest side of a generated picture.
    pub const SIDE_MAX: u32 = 8192;
}

/// How much there is to see in a generated picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ImageKind {
    /// A few discs on a plain ground.
    #[default]
    Simple,
    /// Many discs and boxes on a gradient.
    Medium,
    /// Shapes under noise: every pixel differs from its neighbours.
    Complex,
}

/// How a generated picture is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ImageFormat {
    /// PNG, without loss.
    #[default]
    Png,
    /// JPEG of quality 85.
    Jpeg,
}

impl ImageFormat {
    /// Its content type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
        }
    }

    /// Its extension.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
        }
    }
}
