//! KServe V2 over gRPC: `inference.GRPCInferenceService`, one message each way.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::http::{HeaderValue, Request as HttpRequest, Response as HttpResponse};
use tonic::server::{Grpc, UnaryService};
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;

use super::super::app::{REQUEST_ID, Vision};
use super::super::engine::Asker;
use super::super::registry::Model;
use super::messages as m;
use super::request::{self, DEFAULTS, declared, filled, known_output, limit};
use super::tensors::{Declared, INPUT, OUTPUTS, Output};
use super::{EXTENSIONS, Fault, NAME, VERSION, find, platform, run, spans, unavailable};
use crate::recorder::Visit;
use crate::system::Answering;

/// The methods, each with its name in the account.
const METHODS: [(&str, &str); 11] = [
    ("ServerLive", "gRPC ServerLive"),
    ("ServerReady", "gRPC ServerReady"),
    ("ServerMetadata", "gRPC ServerMetadata"),
    ("ModelReady", "gRPC ModelReady"),
    ("ModelMetadata", "gRPC ModelMetadata"),
    ("ModelConfig", "gRPC ModelConfig"),
    ("ModelStatistics", "gRPC ModelStatistics"),
    ("ModelInfer", "gRPC ModelInfer"),
    ("RepositoryIndex", "gRPC RepositoryIndex"),
    ("RepositoryModelLoad", "gRPC RepositoryModelLoad"),
    ("RepositoryModelUnload", "gRPC RepositoryModelUnload"),
];
const SERVICE: &str = "/inference.GRPCInferenceService/";

/// One call being served.
#[derive(Debug, Clone)]
struct Call {
    server: Arc<Vision>,
    asker: Asker,
    /// Filled in by the method that does work.
    visit: Arc<Mutex<Visit>>,
}

/// Serves one request of the gRPC listener. The work goes on when the client leaves.
pub(crate) fn grpc(server: Arc<Vision>, request: HttpRequest<Body>) -> Answering {
    Box::pin(async move {
        let task = tokio::spawn(serve(server, request));
        task.await
            .unwrap_or_else(|_| Status::internal("the handler failed").into_http::<Body>())
    })
}

async fn serve(server: Arc<Vision>, request: HttpRequest<Body>) -> HttpResponse<Body> {
    let visit = server.recorder.arrive();
    let request_id = server.request_id(request.headers());
    let method = request.uri().path().strip_prefix(SERVICE).unwrap_or_default();
    let known = METHODS.iter().find(|(name, _)| *name == method);
    let endpoint = known.map_or("unrouted", |(_, endpoint)| endpoint);
    let call = Call {
        server: Arc::clone(&server),
        asker: Asker {
            request_id: request_id.clone(),
            endpoint,
        },
        visit: Arc::new(Mutex::new(visit)),
    };
    let visit = Arc::clone(&call.visit);
    let mut response = match known.map(|(name, _)| *name) {
        Some("ServerLive" | "ServerReady") => {
            call.unary(request, |_, _: m::Empty| ready(Ok(m::Whether { yes: true })))
                .await
        }
        Some("ServerMetadata") => {
            call.unary(request, |_, _: m::Empty| ready(Ok(server_metadata())))
                .await
        }
        Some("ModelReady") => {
            call.unary(request, |call, of| ready(model_ready(&call, &of)))
                .await
        }
        Some("ModelMetadata") => {
            call.unary(request, |call, of| ready(model_metadata(&call, &of)))
                .await
        }
        Some("ModelConfig") => {
            call.unary(request, |call, of| ready(model_config(&call, &of)))
                .await
        }
        Some("ModelStatistics") => {
            call.unary(request, |call, of| ready(statistics(&call, &of)))
                .await
        }
        Some("ModelInfer") => {
            call.unary(request, |call, asked| Box::pin(infer(call, asked)))
                .await
        }
        Some("RepositoryIndex") => {
            call.unary(request, |call, asked| ready(Ok(index(&call, &asked))))
                .await
        }
        Some("RepositoryModelLoad") => call.unary(request, |call, of| Box::pin(load(call, of))).await,
        Some("RepositoryModelUnload") => call.unary(request, |call, of| ready(unload(&call, &of))).await,
        _ => Status::unimplemented("there is no such method").into_http::<Body>(),
    };
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    server.leak();
    let visit = *visit.lock().unwrap_or_else(PoisonError::into_inner);
    server.recorder.finish(visit, endpoint, as_http(&response));
    response
}

/// The status of HTTP that comes nearest. A refusal has no body, and its status is among its headers.
fn as_http(response: &HttpResponse<Body>) -> u16 {
    let told = response
        .headers()
        .get("grpc-status")
        .map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()));
    match told {
        Code::Ok => 200,
        Code::InvalidArgument | Code::OutOfRange => 400,
        Code::NotFound => 404,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        _ => 500,
    }
}

type Telling<T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send>>;

fn ready<T: Send + 'static>(told: Result<T, Fault>) -> Telling<T> {
    Box::pin(std::future::ready(told))
}

struct Method<A, B> {
    call: Call,
    answer: fn(Call, A) -> Telling<B>,
}

impl<A: Send + 'static, B: Send + 'static> UnaryService<A> for Method<A, B> {
    type Response = B;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, Status>> + Send>>;

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let told = (self.answer)(self.call.clone(), request.into_inner());
        Box::pin(async move { told.await.map(Response::new).map_err(status) })
    }
}

impl Call {
    async fn unary<A, B>(
        &self,
        request: HttpRequest<Body>,
        answer: fn(Self, A) -> Telling<B>,
    ) -> HttpResponse<Body>
    where
        A: prost::Message + Default + Send + 'static,
        B: prost::Message + Default + Send + 'static,
    {
        let method = Method {
            call: self.clone(),
            answer,
        };
        let mut grpc = Grpc::new(ProstCodec::<B, A>::default())
            .max_decoding_message_size(self.server.config.body_max_bytes);
        grpc.unary(method, request).await.map(Body::new)
    }
}

fn status(fault: Fault) -> Status {
    match fault {
        Fault::Bad(why) => Status::invalid_argument(why),
        Fault::Unknown(why) => Status::not_found(why),
        Fault::Unavailable(why) => Status::unavailable(why),
        Fault::Failed(why) => Status::internal(why),
        Fault::Busy => Status::unavailable("Exceeds maximum queue size"),
    }
}

fn server_metadata() -> m::ServerMetadata {
    m::ServerMetadata {
        name: NAME.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        extensions: EXTENSIONS.map(str::to_owned).to_vec(),
    }
}

fn model_ready(call: &Call, of: &m::OfModel) -> Result<m::Whether, Fault> {
    let model = find(&call.server, &of.name, &of.version)?;
    Ok(m::Whether {
        yes: model.is_loaded(),
    })
}

fn model_metadata(call: &Call, of: &m::OfModel) -> Result<m::ModelMetadata, Fault> {
    let model = find(&call.server, &of.name, &of.version)?;
    Ok(m::ModelMetadata {
        name: model.variant.key.to_owned(),
        versions: vec![VERSION.to_owned()],
        platform: platform(&call.server).to_owned(),
        inputs: vec![tensor(&INPUT, INPUT.shape)],
        outputs: OUTPUTS
            .iter()
            .map(|output| tensor(output, output.shape))
            .collect(),
    })
}

fn tensor(declared: &Declared, shape: &[i64]) -> m::TensorMetadata {
    m::TensorMetadata {
        name: declared.name.to_owned(),
        datatype: declared.datatype.to_owned(),
        shape: shape.to_vec(),
    }
}

fn model_config(call: &Call, of: &m::OfModel) -> Result<m::ConfigResponse, Fault> {
    let model = find(&call.server, &of.name, &of.version)?;
    // The numbers of `DataType` in model_config.proto.
    let kind = |declared: &Declared| match declared.datatype {
        "UINT8" => 2,
        "INT32" => 8,
        "INT64" => 9,
        _ => 11,
    };
    let (input, output) = (
        |one: &Declared| m::ModelInput {
            name: one.name.to_owned(),
            data_type: kind(one),
            dims: one.shape.to_vec(),
        },
        |one: &Declared| m::ModelOutput {
            name: one.name.to_owned(),
            data_type: kind(one),
            dims: one.shape.to_vec(),
        },
    );
    Ok(m::ConfigResponse {
        config: Some(m::ModelConfig {
            name: model.variant.key.to_owned(),
            platform: platform(&call.server).to_owned(),
            backend: "cpu".to_owned(),
            max_batch_size: 0,
            input: vec![input(&INPUT)],
            output: OUTPUTS.iter().map(output).collect(),
        }),
    })
}

/// Of one model, or of every one where none is named.
fn statistics(call: &Call, of: &m::OfModel) -> Result<m::Statistics, Fault> {
    let engine = &call.server.engine;
    let models = if of.name.is_empty() {
        engine.registry.models()
    } else {
        std::slice::from_ref(find(&call.server, &of.name, &of.version)?)
    };
    let counts = engine.counts();
    let one = |model: &Model| {
        let count = counts[model.index];
        let [
            success,
            fail,
            queue,
            compute_input,
            compute_infer,
            compute_output,
            cache_hit,
            cache_miss,
        ] = spans(&count).map(|(_, count, ns)| Some(m::Span { count, ns }));
        m::ModelStatistics {
            name: model.variant.key.to_owned(),
            version: VERSION.to_owned(),
            inference_count: count.images,
            execution_count: count.requests,
            inference_stats: Some(m::InferStatistics {
                success,
                fail,
                queue,
                compute_input,
                compute_infer,
                compute_output,
                cache_hit,
                cache_miss,
            }),
        }
    };
    Ok(m::Statistics {
        model_stats: models.iter().map(one).collect(),
    })
}

fn index(call: &Call, asked: &m::IndexRequest) -> m::IndexResponse {
    let registry = &call.server.engine.registry;
    let models = registry
        .models()
        .iter()
        .filter(|model| !asked.ready || model.is_loaded())
        .map(|model| {
            let (state, reason) = if model.is_loaded() {
                ("READY", "")
            } else {
                ("UNAVAILABLE", "unloaded")
            };
            m::ModelIndex {
                name: model.variant.key.to_owned(),
                version: VERSION.to_owned(),
                state: state.to_owned(),
                reason: reason.to_owned(),
            }
        })
        .collect();
    m::IndexResponse { models }
}

async fn load(call: Call, of: m::RepositoryModel) -> Result<m::Empty, Fault> {
    let model = find(&call.server, &of.model_name, "")?;
    call.server
        .engine
        .registry
        .load(model)
        .await
        .map_err(|why| unavailable(model, why))?;
    Ok(m::Empty {})
}

fn unload(call: &Call, of: &m::RepositoryModel) -> Result<m::Empty, Fault> {
    let model = find(&call.server, &of.model_name, "")?;
    call.server.engine.registry.unload(model);
    Ok(m::Empty {})
}

async fn infer(call: Call, asked: m::InferRequest) -> Result<m::InferResponse, Fault> {
    let model = find(&call.server, &asked.model_name, &asked.model_version)?;
    let name = model.variant.key;
    let mut limits = DEFAULTS;
    for (name, value) in &asked.parameters {
        limit(&mut limits, name, value.number())?;
    }
    for output in &asked.outputs {
        known_output(name, &output.name)?;
    }
    let [input] = asked.inputs.as_slice() else {
        let got = asked.inputs.len();
        return Err(Fault::Bad(format!(
            "expected 1 inputs but got {got} inputs for model '{name}'"
        )));
    };
    let needed = declared(name, &input.name, &input.datatype, &input.shape)?;
    let images = match (asked.raw_input_contents.as_slice(), &input.contents) {
        ([raw], None) => filled(&input.shape, raw, needed)?,
        ([], Some(contents)) => {
            let bytes: Option<Vec<u8>> = contents
                .unsigned
                .iter()
                .map(|value| u8::try_from(*value).ok())
                .collect();
            let bytes = bytes.ok_or_else(|| Fault::Bad("a value of 'images' is no UINT8".to_owned()))?;
            filled(&input.shape, &bytes, needed)?
        }
        _ => {
            return Err(Fault::Bad(
                "an input needs either raw contents or contents".to_owned(),
            ));
        }
    };
    let mut visit = *call.visit.lock().unwrap_or_else(PoisonError::into_inner);
    let told = run(
        &call.server,
        &call.asker,
        &mut visit,
        model,
        request::Request { images, limits },
    )
    .await;
    *call.visit.lock().unwrap_or_else(PoisonError::into_inner) = visit;
    let told: Vec<Output> = told?
        .into_iter()
        .filter(|output| {
            asked.outputs.is_empty() || asked.outputs.iter().any(|one| one.name == output.declared.name)
        })
        .collect();
    Ok(m::InferResponse {
        model_name: name.to_owned(),
        model_version: VERSION.to_owned(),
        id: asked.id,
        outputs: told
            .iter()
            .map(|output| tensor(output.declared, &output.shape))
            .collect(),
        raw_output_contents: told.iter().map(|output| output.data.to_bytes()).collect(),
    })
}
