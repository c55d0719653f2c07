//! The Model Context Protocol around the tools: the handler of its requests, over streamable HTTP and over standard input and output.
//! Protocol, sessions and versions are the rmcp crate's.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{Request, Response};
use http_body_util::combinators::BoxBody;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool, ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler};

use super::app::{Media, request_id};
use super::tools::{TOOLS, ToolDef};

/// Answers the requests of one connection or session.
#[derive(Debug, Clone)]
pub(super) struct Handler {
    media: Arc<Media>,
    tools: Arc<Vec<Tool>>,
}

/// The HTTP endpoint.
pub(super) enum Endpoint {
    Stateless(StreamableHttpService<Handler, NeverSessionManager>),
    Sessions(StreamableHttpService<Handler, LocalSessionManager>),
}

impl Endpoint {
    /// As the knobs say; `any_host` when it listens beyond loopback, where no list of host names can be known.
    pub(super) fn new(media: &Arc<Media>, any_host: bool) -> Self {
        let handler = Handler::new(media);
        let factory = move || Ok(handler.clone());
        let mut config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(media.config.sessions)
            .with_json_response(!media.config.event_streams);
        if any_host {
            config = config.disable_allowed_hosts();
        }
        if media.config.sessions {
            Self::Sessions(StreamableHttpService::new(factory, Arc::default(), config))
        } else {
            Self::Stateless(StreamableHttpService::new(factory, Arc::default(), config))
        }
    }

    /// Serves one request.
    pub(super) async fn handle(
        &self,
        request: Request<Body>,
    ) -> Response<BoxBody<Bytes, std::convert::Infallible>> {
        match self {
            Self::Stateless(service) => service.handle(request).await,
            Self::Sessions(service) => service.handle(request).await,
        }
    }

    /// Ends sessions and open streams.
    pub(super) fn stop(&self) {
        let config = match self {
            Self::Stateless(service) => &service.config,
            Self::Sessions(service) => &service.config,
        };
        config.cancellation_token.cancel();
    }
}

/// Speaks over this process's standard input and output until the input ends.
pub(super) async fn over_stdio(media: Arc<Media>) -> io::Result<()> {
    match rmcp::serve_server(Handler::new(&media), rmcp::transport::stdio()).await {
        Ok(running) => running.waiting().await.map(|_| ()).map_err(io::Error::other),
        // A client that closes before it has begun wanted nothing.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => Ok(()),
        Err(error) => Err(io::Error::other(error)),
    }
}

impl Handler {
    fn new(media: &Arc<Media>) -> Self {
        let tools = TOOLS.iter().map(|def| tool(media, def)).collect();
        Self {
            media: Arc::clone(media),
            tools: Arc::new(tools),
        }
    }
}

fn tool(media: &Media, def: &'static ToolDef) -> Tool {
    let config = &media.config;
    Tool::new(
        def.name,
        def.description,
        Arc::new(def.input_schema(config.lenient_input)),
    )
    .with_raw_output_schema(Arc::new(def.output_schema(config.silent_retries)))
    .with_annotations(ToolAnnotations::new().read_only(def.read_only))
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("sanzaru", "0.2.0"))
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools.as_ref().clone()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.tools.iter().find(|tool| tool.name == name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(def) = ToolDef::named(&request.name) else {
            return Err(ErrorData::invalid_params(
                format!("Unknown tool: {}", request.name),
                None,
            ));
        };
        let id = match context.extensions.get::<Parts>() {
            Some(parts) => request_id(&parts.headers),
            None => format!("stdio-{}", context.id),
        };
        let media = Arc::clone(&self.media);
        // In a task of its own: the work goes on when the client leaves, as it would on a real server.
        let task =
            tokio::spawn(async move { def.call(&media, request.arguments.unwrap_or_default(), id).await });
        let outcome = task
            .await
            .map_err(|_| ErrorData::internal_error("the tool failed", None))?;
        let result = match outcome {
            Ok(value) => CallToolResult::structured(value),
            Err(reason) => CallToolResult::error(vec![ContentBlock::text(reason)]),
        };
        Ok(result.into())
    }
}
