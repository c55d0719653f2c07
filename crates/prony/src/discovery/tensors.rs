//! Inference requests with tensors of the declared names, types and shapes. A tensor that has the shape of a picture holds one.

use std::collections::BTreeMap;

use prony_model::{ImageFormat, ImageKind, ImageSpec, Request, SampleRequest};
use serde_json::{Value, json};

use super::protocols::PROMPTS;
use crate::pictures;

/// Requests with different content.
const SAMPLES: usize = 6;
/// Most numbers in the tensors of a request.
const NUMBERS_MAX: i64 = 4_000_000;
/// A text takes as much as so many numbers.
const NUMBERS_OF_TEXT: i64 = 16;
/// Sides of a picture whose size is free.
const FREE_SIDES: [u32; 2] = [96, 64];
const KINDS: [(ImageKind, &str); 3] = [
    (ImageKind::Medium, "medium"),
    (ImageKind::Simple, "simple"),
    (ImageKind::Complex, "complex"),
];

/// Requests that differ in what their tensors hold; none where they are too large.
pub(super) fn samples(path: &str, inputs: &[Value]) -> Vec<SampleRequest> {
    if !fit(inputs) {
        return Vec::new();
    }
    let sample = |k: usize| {
        let tensors: Vec<Value> = inputs.iter().map(|input| tensor(input, k)).collect();
        SampleRequest {
            request: Request::json("POST", path, &json!({ "inputs": tensors })),
            inputs: BTreeMap::from([(
                "inputs".to_owned(),
                format!("content {k}, {}", KINDS[k % KINDS.len()].1),
            )]),
        }
    };
    (0..SAMPLES).map(sample).collect()
}

/// Requests for TensorFlow Serving: one row, a value for each input, with the name of each where there are several.
pub(super) fn rows(path: &str, inputs: &[Value]) -> Vec<SampleRequest> {
    if inputs.is_empty() || !fit(inputs) {
        return Vec::new();
    }
    let sample = |k: usize| {
        let value = |input: &Value| {
            let name = input.get("name").and_then(Value::as_str).unwrap_or_default();
            // Such a tensor holds an encoded picture, by the convention of that server.
            if name.ends_with("_bytes") {
                return json!({"b64": super::value::picture_base64(k)});
            }
            let made = tensor(input, k);
            let shape: Vec<usize> = made["shape"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|side| side.as_u64().unwrap_or(1) as usize)
                .collect();
            let data = made["data"].as_array().map_or(&[][..], Vec::as_slice);
            nested(shape.get(1..).unwrap_or_default(), data)
        };
        let row = match inputs {
            [only] => value(only),
            several => several
                .iter()
                .map(|input| {
                    (
                        input["name"].as_str().unwrap_or_default().to_owned(),
                        value(input),
                    )
                })
                .collect::<serde_json::Map<_, _>>()
                .into(),
        };
        SampleRequest {
            request: Request::json("POST", path, &json!({ "instances": [row] })),
            inputs: BTreeMap::from([(
                "instances".to_owned(),
                format!("content {k}, {}", KINDS[k % KINDS.len()].1),
            )]),
        }
    };
    (0..SAMPLES).map(sample).collect()
}

/// The first of the numbers as lists within lists of these lengths.
fn nested(sides: &[usize], data: &[Value]) -> Value {
    let [side, rest @ ..] = sides else {
        return data.first().cloned().unwrap_or_default();
    };
    let each: usize = rest.iter().product();
    let part = |i: usize| nested(rest, data.get(i * each..).unwrap_or_default());
    (0..*side).map(part).collect::<Vec<_>>().into()
}

/// Whether these tensors can be made up, all of them for one request.
pub(crate) fn fit(inputs: &[Value]) -> bool {
    let numbers = |input: &Value| {
        let each = if datatype(input) == "BYTES" {
            NUMBERS_OF_TEXT
        } else {
            1
        };
        declared(input)
            .iter()
            .fold(each, |n, d| n.saturating_mul((*d).max(1)))
    };
    inputs.iter().map(numbers).fold(0, i64::saturating_add) <= NUMBERS_MAX
}

/// A tensor as declared; a free dimension is 1, unless it is the side of a picture. Only of those that [`fit`].
pub(crate) fn tensor(input: &Value, k: usize) -> Value {
    let (declared, datatype) = (declared(input), datatype(input));
    let (shape, data) = match picture(&declared, datatype, k) {
        Some(made) => made,
        None => numbers(&declared, datatype, k),
    };
    json!({"name": input.get("name"), "datatype": datatype, "shape": shape, "data": data})
}

fn declared(input: &Value) -> Vec<i64> {
    input.get("shape").and_then(Value::as_array).map_or_else(
        || vec![1],
        |dims| dims.iter().map(|d| d.as_i64().unwrap_or(-1)).collect(),
    )
}

fn datatype(input: &Value) -> &str {
    input.get("datatype").and_then(Value::as_str).unwrap_or("FP32")
}

/// Pixels for `[N, H, W, 3]` and `[N, 3, H, W]` of one picture: bytes, or shares of one.
fn picture(declared: &[i64], datatype: &str, k: usize) -> Option<(Vec<i64>, Vec<Value>)> {
    let (sides, channels_first) = match declared {
        [..=1, height, width, 3] => ([*width, *height], false),
        [..=1, 3, height, width] => ([*width, *height], true),
        _ => return None,
    };
    let is_share = datatype.starts_with("FP");
    if !is_share && datatype != "UINT8" {
        return None;
    }
    let side = |at: usize| match u32::try_from(sides[at]) {
        Ok(fixed @ 1..=1024) => Some(fixed),
        Ok(_) => None,
        Err(_) => Some(FREE_SIDES[at]),
    };
    let (width, height) = (side(0)?, side(1)?);
    let drawn = pictures::draw(&ImageSpec {
        width,
        height,
        kind: KINDS[k % KINDS.len()].0,
        format: ImageFormat::Png,
        seed: k as u64 + 11,
    });
    let number = |byte: u8| {
        if is_share {
            json!((f64::from(byte) / 255.0 * 1000.0).round() / 1000.0)
        } else {
            json!(byte)
        }
    };
    let (w, h) = (i64::from(width), i64::from(height));
    if channels_first {
        let planes = (0..3).flat_map(|c| drawn.pixels().map(move |pixel| pixel.0[c]));
        return Some((vec![1, 3, h, w], planes.map(number).collect()));
    }
    Some((
        vec![1, h, w, 3],
        drawn.into_raw().into_iter().map(number).collect(),
    ))
}

fn numbers(declared: &[i64], datatype: &str, k: usize) -> (Vec<i64>, Vec<Value>) {
    let shape: Vec<i64> = declared.iter().map(|&d| d.max(1)).collect();
    let count = shape.iter().product::<i64>() as usize;
    let data = (0..count)
        .map(|i| match datatype {
            "BYTES" => json!(PROMPTS[(i + k) % PROMPTS.len()]),
            "BOOL" => json!((i + k).is_multiple_of(2)),
            d if d.starts_with("FP") || d == "BF16" => json!(((i * 31 + k * 17) % 100) as f64 / 100.0),
            _ => json!((i * 31 + k * 17) % 100),
        })
        .collect();
    (shape, data)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{NUMBERS_MAX, fit, rows, samples, tensor};

    #[test]
    fn tensors_have_the_declared_shape() {
        let x = tensor(&json!({"name": "x", "datatype": "FP32", "shape": [-1, 3, 2]}), 1);
        assert_eq!(x["shape"], json!([1, 3, 2]));
        assert_eq!(x["data"].as_array().unwrap().len(), 6);
        let s = tensor(&json!({"name": "s", "datatype": "BYTES", "shape": [-1]}), 1);
        assert!(s["data"][0].is_string());
    }

    #[test]
    fn a_tensor_that_can_be_a_picture_is_one() {
        let last = tensor(
            &json!({"name": "i", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}),
            0,
        );
        assert_eq!(last["shape"], json!([1, 64, 96, 3]));
        assert_eq!(last["data"].as_array().unwrap().len(), 64 * 96 * 3);
        let first = tensor(
            &json!({"name": "i", "datatype": "FP32", "shape": [1, 3, 8, 6]}),
            0,
        );
        assert_eq!(first["shape"], json!([1, 3, 8, 6]));
        let data = first["data"].as_array().unwrap();
        assert_eq!(data.len(), 3 * 8 * 6);
        assert!(
            data.iter()
                .all(|v| v.as_f64().is_some_and(|v| (0.0..=1.0).contains(&v)))
        );
    }

    #[test]
    fn a_long_dimension_and_a_batch_are_as_declared() {
        let long = tensor(&json!({"name": "x", "datatype": "FP32", "shape": [1, 16000]}), 0);
        assert_eq!(long["data"].as_array().unwrap().len(), 16000);
        let batch = tensor(
            &json!({"name": "i", "datatype": "UINT8", "shape": [2, 8, 6, 3]}),
            0,
        );
        assert_eq!(batch["shape"], json!([2, 8, 6, 3]));
        assert_eq!(batch["data"].as_array().unwrap().len(), 2 * 8 * 6 * 3);
    }

    #[test]
    fn what_is_too_large_is_not_made_up() {
        let of = |datatype: &str, shape: &[i64]| json!({"name": "x", "datatype": datatype, "shape": shape});
        assert!(fit(&[of("FP32", &[-1, NUMBERS_MAX])]));
        assert!(!fit(&[of("FP32", &[NUMBERS_MAX]), of("FP32", &[1])]));
        assert!(!fit(&[of("BYTES", &[NUMBERS_MAX / 2])]));
        let vast = [of("FP32", &[i64::MAX, i64::MAX])];
        assert!(samples("/", &vast).is_empty() && rows("/", &vast).is_empty());
    }

    #[test]
    fn samples_differ() {
        let made = samples(
            "/v2/models/m/infer",
            &[json!({"name": "i", "datatype": "UINT8", "shape": [1, 8, 8, 3]})],
        );
        for (i, a) in made.iter().enumerate() {
            for b in &made[i + 1..] {
                assert_ne!(a.request.body, b.request.body);
                assert_ne!(a.inputs, b.inputs);
            }
        }
    }
}
