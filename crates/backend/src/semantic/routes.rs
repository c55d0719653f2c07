//! The table of routes: method and path to what is to be done, and how each is treated on the way. It knows no handler.

use axum::http::Method;

use super::config::Config;
use super::fault::Dialect;
use crate::fastapi::params::percent_decode;

/// What a route does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Does {
    /// The Messages API.
    Messages,
    /// Its token counter.
    CountTokens,
    /// The Chat Completions API.
    Chat,
    /// Plain completions.
    Completions,
    /// The Responses API.
    Responses,
    /// Vectors.
    Embeddings,
    /// A text in tokens.
    Tokenize,
    /// Tokens as a text.
    Detokenize,
    /// Stands still.
    Sleep,
    /// Goes on.
    WakeUp,
    /// Whether it stands still.
    IsSleeping,
    /// Forgets what is cached.
    ResetCache,
    /// The models.
    Models,
    /// Makes an agent.
    AgentCreate,
    /// All agents.
    AgentList,
    /// Figures over all agents.
    AgentStats,
    /// One agent.
    AgentGet,
    /// Forgets one.
    AgentDelete,
    /// An agent's answer.
    AgentGenerate,
    /// A probe.
    Health,
    /// A probe.
    Live,
    /// A probe.
    Ready,
    /// A probe.
    Startup,
    /// Prometheus.
    Metrics,
    /// The loaded model.
    AdminCurrent,
    /// Models that could be loaded.
    AdminAvailable,
    /// Loads another.
    AdminSwap,
    /// Unloads it.
    AdminOffload,
    /// Empties the cache.
    AdminCaches,
    /// The pool in bytes.
    DebugMemory,
    /// The OpenAPI document.
    OpenApi,
    /// The page of documentation.
    Docs,
    /// What this is.
    Root,
}

/// One route.
#[derive(Debug)]
pub(super) struct Route {
    /// Method and path template, its name in the account.
    pub(super) endpoint: &'static str,
    /// What it does.
    pub(super) does: Does,
}

/// Every route; the first that fits counts.
pub(super) static ROUTES: &[Route] = &[
    route("POST /v1/messages", Does::Messages),
    route("POST /v1/messages/count_tokens", Does::CountTokens),
    route("POST /v1/chat/completions", Does::Chat),
    route("GET /v1/models", Does::Models),
    route("POST /v1/completions", Does::Completions),
    route("POST /v1/responses", Does::Responses),
    route("POST /v1/embeddings", Does::Embeddings),
    route("POST /tokenize", Does::Tokenize),
    route("POST /detokenize", Does::Detokenize),
    route("POST /sleep", Does::Sleep),
    route("POST /wake_up", Does::WakeUp),
    route("GET /is_sleeping", Does::IsSleeping),
    route("POST /reset_prefix_cache", Does::ResetCache),
    route("POST /v1/agents", Does::AgentCreate),
    route("GET /v1/agents/list", Does::AgentList),
    route("GET /v1/agents/stats", Does::AgentStats),
    route("GET /v1/agents/{agent_id}", Does::AgentGet),
    route("DELETE /v1/agents/{agent_id}", Does::AgentDelete),
    route("POST /v1/agents/{agent_id}/generate", Does::AgentGenerate),
    route("GET /health", Does::Health),
    route("GET /health/live", Does::Live),
    route("GET /health/ready", Does::Ready),
    route("GET /health/startup", Does::Startup),
    route("GET /metrics", Does::Metrics),
    route("GET /admin/models/current", Does::AdminCurrent),
    route("GET /admin/models/available", Does::AdminAvailable),
    route("POST /admin/models/swap", Does::AdminSwap),
    route("POST /admin/models/offload", Does::AdminOffload),
    route("DELETE /admin/caches", Does::AdminCaches),
    route("GET /debug/memory", Does::DebugMemory),
    route("GET /openapi.json", Does::OpenApi),
    route("GET /docs", Does::Docs),
    route("GET /", Does::Root),
];

const fn route(endpoint: &'static str, does: Does) -> Route {
    Route { endpoint, does }
}

/// What the table says of a request.
#[derive(Debug)]
pub(super) enum Found {
    /// Its route, and the path parameter if there is one.
    Route(&'static Route, String),
    /// Another method would do.
    Method(&'static str),
    /// No such path.
    Nothing,
}

/// Looks a request up.
pub(super) fn find(config: &Config, method: &Method, raw_path: &str) -> Found {
    let path = percent_decode(raw_path, false);
    let mut allow = None;
    for route in ROUTES.iter().filter(|route| route.is_served(config)) {
        let Some(parameter) = route.fits(&path) else {
            continue;
        };
        if method.as_str() == route.method() {
            return Found::Route(route, parameter);
        }
        allow.get_or_insert(route.method());
    }
    allow.map_or(Found::Nothing, Found::Method)
}

impl Route {
    fn method(&self) -> &'static str {
        self.endpoint.split_once(' ').map_or("", |(method, _)| method)
    }

    /// The path parameter, empty when the route has none.
    fn fits(&self, path: &str) -> Option<String> {
        let (_, template) = self.endpoint.split_once(' ')?;
        let mut parameter = String::new();
        let (mut wanted, mut given) = (template.split('/'), path.split('/'));
        loop {
            match (wanted.next(), given.next()) {
                (None, None) => return Some(parameter),
                (Some(wanted), Some(given)) if wanted.starts_with('{') && !given.is_empty() => {
                    given.clone_into(&mut parameter);
                }
                (Some(wanted), Some(given)) if wanted == given => {}
                _ => return None,
            }
        }
    }

    /// Whether the knobs have it.
    pub(super) fn is_served(&self, config: &Config) -> bool {
        match self.does {
            Does::Completions | Does::Responses | Does::Embeddings | Does::Tokenize | Does::Detokenize => {
                config.serving_api
            }
            Does::Sleep | Does::WakeUp | Does::IsSleeping | Does::ResetCache => config.dev_api,
            _ => true,
        }
    }

    /// A probe answers for the process, not for its model.
    pub(super) fn is_probe(&self) -> bool {
        matches!(
            self.does,
            Does::Health | Does::Live | Does::Ready | Does::Startup | Does::Metrics
        )
    }

    /// No key and no limit.
    pub(super) fn is_public(&self) -> bool {
        self.is_probe() || matches!(self.does, Does::OpenApi | Does::Docs | Does::Root)
    }

    /// Its own key.
    pub(super) fn is_admin(&self) -> bool {
        matches!(
            self.does,
            Does::AdminCurrent
                | Does::AdminAvailable
                | Does::AdminSwap
                | Does::AdminOffload
                | Does::AdminCaches
        )
    }

    /// A body belongs to it.
    pub(super) fn reads_body(&self) -> bool {
        let bodiless = matches!(
            self.does,
            Does::AdminOffload | Does::Sleep | Does::WakeUp | Does::ResetCache
        );
        self.method() == "POST" && !bodiless
    }
}

/// Whose shapes are spoken at a path.
pub(super) fn dialect(path: &str, anthropic: bool) -> Dialect {
    let openai = [
        "/v1/chat/",
        "/v1/completions",
        "/v1/responses",
        "/v1/embeddings",
        "/tokenize",
        "/detokenize",
    ]
    .iter()
    .any(|prefix| path.starts_with(prefix))
        || (path.starts_with("/v1/models") && !anthropic);
    if openai {
        Dialect::OpenAi
    } else {
        Dialect::Anthropic
    }
}
