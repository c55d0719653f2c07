//! What a tensor holds: numbers as its raw bytes, and whether an output has as many as its shape takes.

use bytes::Bytes;
use half::{bf16, f16};
use prony_model::TensorSpec;
use serde_json::Value;

use super::messages::{Contents, OutputTensor};

/// A type of KServe V2 that nobody here knows, or a value that it cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value} is no value of the type {datatype:?}")]
pub struct UnknownDatatype {
    /// The type.
    pub datatype: String,
    /// The value.
    pub value: String,
}

/// The raw contents of a tensor that holds these values: numbers, truth values, or texts for `BYTES`.
pub fn raw(datatype: &str, values: &[Value]) -> Result<Vec<u8>, UnknownDatatype> {
    let mut raw = Vec::with_capacity(values.len() * 4);
    for value in values {
        put(datatype, value, &mut raw).ok_or_else(|| UnknownDatatype {
            datatype: datatype.chars().take(40).collect(),
            value: value.to_string().chars().take(40).collect(),
        })?;
    }
    Ok(raw)
}

/// Appends one value.
fn put(datatype: &str, value: &Value, raw: &mut Vec<u8>) -> Option<()> {
    let whole = || value.as_i64();
    let real = || value.as_f64();
    match datatype {
        "BOOL" => raw.push(u8::from(value.as_bool()?)),
        "UINT8" => raw.push(u8::try_from(whole()?).ok()?),
        "INT8" => raw.extend(i8::try_from(whole()?).ok()?.to_le_bytes()),
        "UINT16" => raw.extend(u16::try_from(whole()?).ok()?.to_le_bytes()),
        "INT16" => raw.extend(i16::try_from(whole()?).ok()?.to_le_bytes()),
        "UINT32" => raw.extend(u32::try_from(whole()?).ok()?.to_le_bytes()),
        "INT32" => raw.extend(i32::try_from(whole()?).ok()?.to_le_bytes()),
        "UINT64" => raw.extend(value.as_u64()?.to_le_bytes()),
        "INT64" => raw.extend(whole()?.to_le_bytes()),
        "FP16" => raw.extend(f16::from_f64(real()?).to_le_bytes()),
        "BF16" => raw.extend(bf16::from_f64(real()?).to_le_bytes()),
        "FP32" => raw.extend((real()? as f32).to_le_bytes()),
        "FP64" => raw.extend(real()?.to_le_bytes()),
        "BYTES" => {
            let text = value.as_str()?.as_bytes();
            raw.extend(u32::try_from(text.len()).ok()?.to_le_bytes());
            raw.extend(text);
        }
        _ => return None,
    }
    Some(())
}

/// Whether an output holds what its own shape and type say. The error completes "the output ...".
pub(super) fn agree(output: &OutputTensor, raw: Option<&Bytes>) -> Result<(), String> {
    let spec = TensorSpec {
        name: String::new(),
        datatype: output.datatype.clone(),
        shape: output.shape.clone(),
    };
    let Some(elements) = spec.elements() else {
        return Err(format!(
            "has the shape {}, which is none",
            super::dimensions(&output.shape)
        ));
    };
    let is_text = output.datatype == "BYTES";
    if spec.element_bytes().is_none() && !is_text {
        return Err(format!(
            "has the type {}, which is none",
            super::shown(&output.datatype)
        ));
    }
    // MLServer puts an empty message of typed contents beside raw ones.
    let typed = output
        .contents
        .as_ref()
        .filter(|typed| **typed != Contents::default());
    let got = match (raw, typed) {
        (Some(raw), None) if is_text => texts(raw).ok_or("holds texts whose lengths do not add up")?,
        (Some(raw), None) => {
            let each = spec.element_bytes().unwrap_or(1);
            let takes = elements.saturating_mul(each);
            if raw.len() != takes {
                return Err(format!(
                    "holds {} bytes, and {} of {} take {takes}",
                    raw.len(),
                    super::dimensions(&output.shape),
                    output.datatype
                ));
            }
            elements
        }
        (None, Some(contents)) => count(&output.datatype, contents),
        (Some(_), Some(_)) => return Err("has both raw and typed contents".to_owned()),
        // An empty tensor has nothing to show.
        (None, None) => 0,
    };
    if got == elements {
        Ok(())
    } else {
        let shape = super::dimensions(&output.shape);
        Err(format!("holds {got} elements, and {shape} takes {elements}"))
    }
}

/// How many texts there are, each with its length before it.
fn texts(mut raw: &[u8]) -> Option<usize> {
    let mut n = 0;
    while !raw.is_empty() {
        let (length, rest) = raw.split_first_chunk::<4>()?;
        raw = rest.get(u32::from_le_bytes(*length) as usize..)?;
        n += 1;
    }
    Some(n)
}

/// Elements in the field that belongs to a type.
fn count(datatype: &str, contents: &Contents) -> usize {
    match datatype {
        "BOOL" => contents.bools.len(),
        "INT8" | "INT16" | "INT32" => contents.ints.len(),
        "INT64" => contents.longs.len(),
        "UINT8" | "UINT16" | "UINT32" => contents.unsigned.len(),
        "UINT64" => contents.unsigned_longs.len(),
        "FP32" => contents.floats.len(),
        "FP64" => contents.doubles.len(),
        "BYTES" => contents.texts.len(),
        // Of half precision there is only the raw form.
        _ => 0,
    }
}
