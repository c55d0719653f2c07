//! A tensor as KServe V2 (Open Inference Protocol) declares it: name, type, shape. Knows no content.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A declared tensor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TensorSpec {
    /// Its name.
    pub name: String,
    /// Its type, in KServe's words: `FP32`, `UINT8`, `BYTES`.
    pub datatype: String,
    /// Its dimensions, the outermost first; -1 is one whose size is free.
    pub shape: Vec<i64>,
}

impl TensorSpec {
    /// Bytes of one element; `None` where they differ from one to the next (`BYTES`), or the type is not known.
    pub fn element_bytes(&self) -> Option<usize> {
        Some(match self.datatype.as_str() {
            "BOOL" | "UINT8" | "INT8" => 1,
            "UINT16" | "INT16" | "FP16" | "BF16" => 2,
            "UINT32" | "INT32" | "FP32" => 4,
            "UINT64" | "INT64" | "FP64" => 8,
            _ => return None,
        })
    }

    /// Its number of elements; `None` where a dimension is free, or there are more than a number can count.
    pub fn elements(&self) -> Option<usize> {
        self.shape
            .iter()
            .try_fold(1_usize, |n, &d| n.checked_mul(usize::try_from(d).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::TensorSpec;

    #[test]
    fn sizes() {
        let of = |datatype: &str, shape: &[i64]| TensorSpec {
            name: "x".into(),
            datatype: datatype.into(),
            shape: shape.to_vec(),
        };
        assert_eq!(of("FP32", &[2, 3]).elements(), Some(6));
        assert_eq!(of("FP32", &[]).elements(), Some(1));
        assert_eq!(of("FP32", &[0, 3]).elements(), Some(0));
        assert_eq!(of("FP32", &[-1, 3]).elements(), None);
        assert_eq!(of("FP32", &[i64::MAX, i64::MAX]).elements(), None);
        assert_eq!(of("FP16", &[]).element_bytes(), Some(2));
        assert_eq!(of("BYTES", &[]).element_bytes(), None);
    }
}
