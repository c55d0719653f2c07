//! The messages, as far as they are used; what else is in them is skipped. No logic.

use bytes::Bytes;
use prony_model::TensorSpec;

/// The number of the field `raw_output_contents` of [`InferResponse`].
pub(super) const RAW_OUTPUT_CONTENTS: u32 = 6;

/// `ServerLiveResponse`, `ServerReadyResponse`, `ModelReadyResponse`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct Whether {
    #[prost(bool, tag = "1")]
    pub(super) yes: bool,
}

/// `ServerMetadataResponse`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct ServerMetadata {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) version: String,
}

/// `ModelReadyRequest`, `ModelMetadataRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct OfModel {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) version: String,
}

/// `ModelMetadataResponse`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct ModelMetadata {
    #[prost(message, repeated, tag = "4")]
    pub(super) inputs: Vec<Tensor>,
    #[prost(message, repeated, tag = "5")]
    pub(super) outputs: Vec<Tensor>,
}

/// `TensorMetadata` and `InferInputTensor`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Tensor {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) datatype: String,
    #[prost(int64, repeated, tag = "3")]
    pub(super) shape: Vec<i64>,
}

impl From<Tensor> for TensorSpec {
    fn from(tensor: Tensor) -> Self {
        let Tensor {
            name,
            datatype,
            shape,
        } = tensor;
        Self {
            name,
            datatype,
            shape,
        }
    }
}

impl From<TensorSpec> for Tensor {
    fn from(spec: TensorSpec) -> Self {
        let TensorSpec {
            name,
            datatype,
            shape,
        } = spec;
        Self {
            name,
            datatype,
            shape,
        }
    }
}

/// `ModelInferRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct InferRequest {
    #[prost(string, tag = "1")]
    pub(super) model_name: String,
    #[prost(string, tag = "2")]
    pub(super) model_version: String,
    #[prost(message, repeated, tag = "5")]
    pub(super) inputs: Vec<Tensor>,
    #[prost(message, repeated, tag = "6")]
    pub(super) outputs: Vec<RequestedOutput>,
    #[prost(bytes = "vec", repeated, tag = "7")]
    pub(super) raw_input_contents: Vec<Vec<u8>>,
}

/// `InferRequestedOutputTensor`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct RequestedOutput {
    #[prost(string, tag = "1")]
    pub(super) name: String,
}

/// `ModelInferResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct InferResponse {
    #[prost(message, repeated, tag = "5")]
    pub(super) outputs: Vec<OutputTensor>,
    #[prost(bytes = "bytes", repeated, tag = "6")]
    pub(super) raw_output_contents: Vec<Bytes>,
}

/// `InferOutputTensor`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct OutputTensor {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) datatype: String,
    #[prost(int64, repeated, tag = "3")]
    pub(super) shape: Vec<i64>,
    #[prost(message, optional, tag = "5")]
    pub(super) contents: Option<Contents>,
}

/// `InferTensorContents`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Contents {
    #[prost(bool, repeated, tag = "1")]
    pub(super) bools: Vec<bool>,
    #[prost(int32, repeated, tag = "2")]
    pub(super) ints: Vec<i32>,
    #[prost(int64, repeated, tag = "3")]
    pub(super) longs: Vec<i64>,
    #[prost(uint32, repeated, tag = "4")]
    pub(super) unsigned: Vec<u32>,
    #[prost(uint64, repeated, tag = "5")]
    pub(super) unsigned_longs: Vec<u64>,
    #[prost(float, repeated, tag = "6")]
    pub(super) floats: Vec<f32>,
    #[prost(double, repeated, tag = "7")]
    pub(super) doubles: Vec<f64>,
    #[prost(bytes = "bytes", repeated, tag = "8")]
    pub(super) texts: Vec<Bytes>,
}

/// `RepositoryIndexResponse`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct IndexResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) models: Vec<ModelIndex>,
}

/// One model of it.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct ModelIndex {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "3")]
    pub(super) state: String,
}
