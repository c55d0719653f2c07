//! The messages of `inference.GRPCInferenceService`, as far as they are used: names and numbers are those of KServe's
//! `open_inference_grpc.proto` and Triton's `grpc_service.proto` and `model_config.proto`.

use std::collections::HashMap;

/// Asks for nothing in particular.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Empty {}

/// `ServerLiveResponse`, `ServerReadyResponse`, `ModelReadyResponse`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
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
    #[prost(string, repeated, tag = "3")]
    pub(super) extensions: Vec<String>,
}

/// `ModelReadyRequest`, `ModelMetadataRequest`, `ModelConfigRequest`, `ModelStatisticsRequest`.
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
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, repeated, tag = "2")]
    pub(super) versions: Vec<String>,
    #[prost(string, tag = "3")]
    pub(super) platform: String,
    #[prost(message, repeated, tag = "4")]
    pub(super) inputs: Vec<TensorMetadata>,
    #[prost(message, repeated, tag = "5")]
    pub(super) outputs: Vec<TensorMetadata>,
}

/// One tensor of it.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct TensorMetadata {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) datatype: String,
    #[prost(int64, repeated, tag = "3")]
    pub(super) shape: Vec<i64>,
}

/// `InferParameter`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Parameter {
    #[prost(oneof = "Choice", tags = "1, 2, 3, 4, 5")]
    pub(super) choice: Option<Choice>,
}

/// Its value.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Choice {
    #[prost(bool, tag = "1")]
    Bool(bool),
    #[prost(int64, tag = "2")]
    Int64(i64),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(uint64, tag = "5")]
    Uint64(u64),
}

impl Parameter {
    /// As a number, if it is one.
    pub(super) fn number(&self) -> Option<f64> {
        match self.choice.as_ref()? {
            Choice::Int64(value) => Some(*value as f64),
            Choice::Uint64(value) => Some(*value as f64),
            Choice::Double(value) => Some(*value),
            Choice::Bool(_) | Choice::Text(_) => None,
        }
    }
}

/// `InferTensorContents`: pixels come as `uint_contents`, of the rest only the numbers that must not be there are read.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Contents {
    #[prost(uint32, repeated, tag = "4")]
    pub(super) unsigned: Vec<u32>,
}

/// `ModelInferRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct InferRequest {
    #[prost(string, tag = "1")]
    pub(super) model_name: String,
    #[prost(string, tag = "2")]
    pub(super) model_version: String,
    #[prost(string, tag = "3")]
    pub(super) id: String,
    #[prost(map = "string, message", tag = "4")]
    pub(super) parameters: HashMap<String, Parameter>,
    #[prost(message, repeated, tag = "5")]
    pub(super) inputs: Vec<InputTensor>,
    #[prost(message, repeated, tag = "6")]
    pub(super) outputs: Vec<RequestedOutput>,
    #[prost(bytes = "bytes", repeated, tag = "7")]
    pub(super) raw_input_contents: Vec<axum::body::Bytes>,
}

/// One input of it.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct InputTensor {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) datatype: String,
    #[prost(int64, repeated, tag = "3")]
    pub(super) shape: Vec<i64>,
    #[prost(message, optional, tag = "5")]
    pub(super) contents: Option<Contents>,
}

/// One output that is wanted.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct RequestedOutput {
    #[prost(string, tag = "1")]
    pub(super) name: String,
}

/// `ModelInferResponse`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct InferResponse {
    #[prost(string, tag = "1")]
    pub(super) model_name: String,
    #[prost(string, tag = "2")]
    pub(super) model_version: String,
    #[prost(string, tag = "3")]
    pub(super) id: String,
    #[prost(message, repeated, tag = "5")]
    pub(super) outputs: Vec<TensorMetadata>,
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub(super) raw_output_contents: Vec<Vec<u8>>,
}

/// `ModelConfigResponse`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct ConfigResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) config: Option<ModelConfig>,
}

/// `ModelConfig`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct ModelConfig {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) platform: String,
    #[prost(string, tag = "17")]
    pub(super) backend: String,
    #[prost(int32, tag = "4")]
    pub(super) max_batch_size: i32,
    #[prost(message, repeated, tag = "5")]
    pub(super) input: Vec<ModelInput>,
    #[prost(message, repeated, tag = "6")]
    pub(super) output: Vec<ModelOutput>,
}

/// One input of it.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct ModelInput {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(int32, tag = "2")]
    pub(super) data_type: i32,
    #[prost(int64, repeated, tag = "4")]
    pub(super) dims: Vec<i64>,
}

/// One output of it.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct ModelOutput {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(int32, tag = "2")]
    pub(super) data_type: i32,
    #[prost(int64, repeated, tag = "3")]
    pub(super) dims: Vec<i64>,
}

/// `ModelStatisticsResponse`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Statistics {
    #[prost(message, repeated, tag = "1")]
    pub(super) model_stats: Vec<ModelStatistics>,
}

/// One model of it.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct ModelStatistics {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) version: String,
    #[prost(uint64, tag = "4")]
    pub(super) inference_count: u64,
    #[prost(uint64, tag = "5")]
    pub(super) execution_count: u64,
    #[prost(message, optional, tag = "6")]
    pub(super) inference_stats: Option<InferStatistics>,
}

/// `InferStatistics`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct InferStatistics {
    #[prost(message, optional, tag = "1")]
    pub(super) success: Option<Span>,
    #[prost(message, optional, tag = "2")]
    pub(super) fail: Option<Span>,
    #[prost(message, optional, tag = "3")]
    pub(super) queue: Option<Span>,
    #[prost(message, optional, tag = "4")]
    pub(super) compute_input: Option<Span>,
    #[prost(message, optional, tag = "5")]
    pub(super) compute_infer: Option<Span>,
    #[prost(message, optional, tag = "6")]
    pub(super) compute_output: Option<Span>,
    #[prost(message, optional, tag = "7")]
    pub(super) cache_hit: Option<Span>,
    #[prost(message, optional, tag = "8")]
    pub(super) cache_miss: Option<Span>,
}

/// `StatisticDuration`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Span {
    #[prost(uint64, tag = "1")]
    pub(super) count: u64,
    #[prost(uint64, tag = "2")]
    pub(super) ns: u64,
}

/// `RepositoryIndexRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct IndexRequest {
    #[prost(bool, tag = "2")]
    pub(super) ready: bool,
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
    #[prost(string, tag = "2")]
    pub(super) version: String,
    #[prost(string, tag = "3")]
    pub(super) state: String,
    #[prost(string, tag = "4")]
    pub(super) reason: String,
}

/// `RepositoryModelLoadRequest`, `RepositoryModelUnloadRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct RepositoryModel {
    #[prost(string, tag = "2")]
    pub(super) model_name: String,
}
