//! The nouns of Prony: time, request, plan, sample, outcome, finding, run.
//!
//! No I/O, no clock reads, no async, no arithmetic beyond conversions. Every other crate of the tool speaks
//! in these types; the reference backend does not know them.

mod advice;
mod finding;
mod form;
mod http_version;
mod judgement;
mod launch;
mod origin;
mod outcome;
mod placeholder;
mod plan;
mod prompt;
mod request;
mod rpc;
mod run;
mod sample;
mod stream;
mod suite;
mod summary;
mod surface;
mod tensor;
mod time;
mod validity;
mod verdict;
mod words;
mod workload;

pub use advice::{Advice, MetricNames, ProbeAddress, Setting, Unmeasured};
pub use finding::{Evidence, Figure, Finding, Recommendation, Severity, Source, Table};
pub use form::{ImageFormat, ImageKind, ImageSpec, PartSpec};
pub use http_version::HttpVersion;
pub use judgement::{ClaimResult, GateResult, Upheld};
pub use launch::{LaunchSpec, StopSignal};
pub use origin::{OriginSpec, S3Sign, SignSpec};
pub use outcome::{Outcome, OutcomeClass};
pub use placeholder::{Piece, Placeholder, Slot, pieces};
pub use plan::{
    Abandon, Arrivals, Capture, Credentials, Item, Limits, Order, Phase, Scenario, Shape, Stage, TimeUnit,
};
pub use prompt::{
    AnthropicSpec, DatasetFormat, DatasetSpec, Drawn, Length, ModelMix, ModelPick, ModelSpec, OpenaiApi,
    OpenaiSpec, OutputSpec, PromptImages, PromptSpec, SessionSpec, SharedSpec, TraceFormat, TraceSpec,
};
pub use request::{Body, BodyCheck, Expect, Header, JsonText, Request, Secret};
pub use rpc::{json_in, rpc_failure, unwrapped};
pub use run::{
    Captured, Event, MEMORY_SOURCES, MemorySource, PhaseResult, Progress, Reading, RunHeader, SystemSnapshot,
};
pub use sample::{SAMPLE_BYTES, Sample, SampleFlags};
pub use stream::{
    FinishReason, StreamEvent, StreamEventKind, StreamExpect, StreamProtocol, StreamRecord, StreamSummary,
    Timeline, TokenUsage,
};
pub use suite::{
    Budget, Claim, DziPick, DziSpec, EndpointSpec, Gate, HttpSpec, KserveSpec, Objective, PhaseSpec, RunSpec,
    ScenarioKind, ScenarioSpec, StepSpec, Suite, TargetSpec,
};
pub use summary::{Distribution, PhaseSummary, Quantile, SummaryRow};
pub use surface::{EarlyCalls, Endpoint, JobApi, Parameter, Place, Protection, Role, SampleRequest, Surface};
pub use tensor::TensorSpec;
pub use time::Nanos;
pub use validity::{Validity, ValidityIssue};
pub use verdict::{ExitCode, Verdict};
pub use words::name_words;
pub use workload::{Carry, Feed, FeedOrder, FeedPer, Flow, Generate, Retry, RetryOn, Slots, Step, Until};
