//! The service's own endpoints: probes, agents, models, administration, memory.

use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::agents::Agent;
use super::app::Semantic;
use super::fault::Fault;
use super::fields::Fields;
use super::models::{Loaded, MODELS, Models};
use super::pool::Standing;
use crate::fastapi::reply::Reply;

/// Utilisation in percent above which the pool is said to be nearly exhausted.
const NEARLY_FULL: f64 = 90.0;
/// Longest id of an agent.
pub(super) const ID_MAX: usize = 128;
/// When the models were published, in Unix seconds.
const PUBLISHED: u64 = 1_741_737_600;

/// The share of the pool, in percent, that cannot be had: pages kept for later can.
pub(super) fn utilisation(pool: &Standing) -> f64 {
    let used = pool.total - pool.free - pool.kept;
    (used as f64 / pool.total.max(1) as f64 * 1e4).round() / 100.0
}

impl Semantic {
    /// GET /health/ready.
    pub(super) fn ready(&self) -> Reply {
        let percent = utilisation(&self.engine.load().pool);
        self.metrics.probed(percent);
        let reason = if self.draining() {
            "shutting_down"
        } else if !matches!(self.models.loaded(), Loaded::Ready(_)) {
            "model_loading"
        } else if percent > NEARLY_FULL {
            "pool_near_exhaustion"
        } else {
            return Reply::json(&json!({ "status": "ready", "pool_utilization": percent }));
        };
        Reply::json_status(
            StatusCode::SERVICE_UNAVAILABLE,
            &json!({ "status": "not_ready", "reason": reason, "pool_utilization": percent }),
        )
    }

    /// GET /health/startup.
    pub(super) fn startup(&self) -> Reply {
        match self.models.loaded() {
            Loaded::Loading(_) => Reply::json_status(
                StatusCode::SERVICE_UNAVAILABLE,
                &json!({ "status": "starting", "reason": "model_loading" }),
            ),
            Loaded::Ready(_) | Loaded::Nothing => Reply::json(&json!({ "status": "started" })),
        }
    }

    /// GET /v1/models, in a shape that both dialects read.
    pub(super) fn list_models(&self) -> Value {
        let loaded = match self.models.loaded() {
            Loaded::Ready(model) | Loaded::Loading(model) => Some(model),
            Loaded::Nothing => None,
        };
        let data: Vec<Value> = MODELS
            .iter()
            .filter(|(id, _)| Some(*id) == loaded)
            .map(|(id, name)| {
                json!({
                    "id": id, "object": "model", "type": "model", "created": PUBLISHED, "owned_by": "local",
                    "display_name": name, "created_at": "2025-03-12T00:00:00Z",
                })
            })
            .chain(self.config.adapters.iter().map(|name| {
                json!({
                    "id": name, "object": "model", "type": "model", "created": PUBLISHED, "owned_by": "local",
                    "display_name": name, "created_at": "2025-03-12T00:00:00Z", "parent": loaded,
                })
            }))
            .collect();
        json!({ "object": "list", "data": data, "has_more": false, "first_id": loaded, "last_id": loaded })
    }

    /// POST /v1/agents.
    pub(super) fn create_agent(&self, body: &Map<String, Value>) -> Result<Reply, Fault> {
        let mut problems = Vec::new();
        let mut fields = Fields::new(body, &mut problems).null_refused(!self.config.lenient_input);
        let id = fields.text("agent_id", ID_MAX).map(str::to_owned);
        if id
            .as_deref()
            .is_some_and(|id| id.chars().any(|letter| letter == '/' || letter.is_control()))
        {
            fields.wrong(
                "agent_id",
                "string_pattern_mismatch",
                "String should hold no '/' and no control characters",
            );
        }
        if !self.config.lenient_input {
            fields.no_others();
        }
        if !problems.is_empty() {
            return Err(Fault::invalid(problems));
        }
        let id = id.unwrap_or_else(|| format!("agent_{:08x}", self.next_id.fetch_add(1, Ordering::Relaxed)));
        if !self.agents.create(&id) {
            let message = format!("Agent {id} already exists");
            return Err(Fault::other(
                StatusCode::CONFLICT,
                "invalid_request_error",
                message,
            ));
        }
        let told = self.agents.get(&id).map(|agent| shown(&id, &agent));
        Ok(Reply::json_status(StatusCode::CREATED, &json!(told)))
    }

    /// GET /v1/agents/list.
    pub(super) fn list_agents(&self) -> Value {
        let all: Vec<Value> = self
            .agents
            .all()
            .iter()
            .map(|(id, agent)| shown(id, agent))
            .collect();
        json!({ "total": all.len(), "agents": all })
    }

    /// GET /v1/agents/{agent_id}.
    pub(super) fn get_agent(&self, id: &str) -> Result<Value, Fault> {
        let agent = self.agents.get(id);
        agent.map(|agent| shown(id, &agent)).ok_or_else(|| missing(id))
    }

    /// DELETE /v1/agents/{agent_id}.
    pub(super) fn delete_agent(&self, id: &str) -> Result<Reply, Fault> {
        if !self.agents.remove(id) {
            return Err(missing(id));
        }
        Ok(Reply {
            status: StatusCode::NO_CONTENT,
            headers: Vec::new(),
            body: axum::body::Bytes::new(),
        })
    }

    /// GET /v1/agents/stats.
    pub(super) async fn agent_stats(&self) -> Value {
        let all = self.agents.all();
        let pages: Vec<u64> = all.iter().filter_map(|(_, agent)| agent.page).collect();
        let places = self.engine.places(pages).await;
        let count = |wanted: fn(&(bool, bool)) -> bool| places.iter().filter(|place| wanted(place)).count();
        let pool = self.engine.load().pool;
        let cached = pool.total - pool.free;
        json!({
            "hot_count": count(|(memory, _)| *memory),
            "warm_count": count(|(memory, disk)| !memory && *disk),
            "total_count": all.len(),
            "dirty_count": if self.config.cache_dir.is_some() { count(|(memory, disk)| *memory && !disk) } else { 0 },
            "pool_utilization_pct": utilisation(&pool),
            "total_cache_size_mb": self.mib(cached),
        })
    }

    /// GET /debug/memory.
    pub(super) fn memory(&self) -> Value {
        let load = self.engine.load();
        let pool = load.pool;
        json!({
            "active_mb": self.mib(pool.total - pool.free - pool.kept),
            "cache_mb": self.mib(pool.kept),
            "budget_mb": self.mib(pool.total),
            "pool": {
                "total_blocks": pool.total,
                "available_blocks": pool.free + pool.kept,
                "utilization_pct": utilisation(&pool),
            },
            "requests": { "running": load.running, "waiting": load.waiting },
        })
    }

    /// GET /admin/models/current.
    pub(super) fn current_model(&self) -> Value {
        let (model, status) = match self.models.loaded() {
            Loaded::Ready(model) => (Some(model), "loaded"),
            Loaded::Loading(model) => (Some(model), "loading"),
            Loaded::Nothing => (None, "offloaded"),
        };
        json!({ "model_id": model, "status": status, "layers": self.config.layers, "block_tokens": self.config.block_tokens })
    }

    /// GET /admin/models/available.
    pub(super) fn available_models() -> Value {
        let models: Vec<&str> = MODELS.iter().map(|(id, _)| *id).collect();
        json!({ "models": models })
    }

    /// POST /admin/models/swap: what runs is finished, the cache belongs to the old model.
    pub(super) async fn swap(&self, body: &Map<String, Value>) -> Result<Value, Fault> {
        let mut problems = Vec::new();
        let mut fields = Fields::new(body, &mut problems).null_refused(!self.config.lenient_input);
        let wanted = fields.needed_text("model_id", 256).unwrap_or_default().to_owned();
        if !self.config.lenient_input {
            fields.no_others();
        }
        if !problems.is_empty() {
            return Err(Fault::invalid(problems));
        }
        let model = Models::find(&wanted).ok_or_else(|| Fault::no_model(&wanted))?;
        let before = self.current_model()["model_id"].clone();
        let begun = Instant::now();
        self.engine.settled().await;
        let ready = self.models.put(Some(model), self.config.load);
        self.engine.clear().await;
        self.alarm.sleep_until(ready).await;
        Ok(json!({
            "status": "swapped", "previous_model_id": before, "model_id": model,
            "took_ms": begun.elapsed().as_millis() as u64,
        }))
    }

    /// POST /admin/models/offload.
    pub(super) async fn offload(&self) -> Value {
        let before = self.current_model()["model_id"].clone();
        self.models.put(None, std::time::Duration::ZERO);
        self.engine.settled().await;
        self.engine.clear().await;
        json!({ "status": "offloaded", "model_id": before })
    }

    /// DELETE /admin/caches.
    pub(super) async fn clear_caches(&self) -> Value {
        let pages = self.engine.clear().await;
        json!({ "status": "cleared", "blocks_freed": pages * self.config.layers })
    }

    fn mib(&self, blocks: usize) -> f64 {
        blocks as f64 * self.config.block_bytes as f64 / (1024.0 * 1024.0)
    }
}

fn shown(id: &str, agent: &Agent) -> Value {
    json!({ "agent_id": id, "created": agent.created, "requests": agent.requests, "context_tokens": agent.context.len() })
}

fn missing(id: &str) -> Fault {
    let shown: String = id.chars().take(ID_MAX).collect();
    Fault::not_found(format!("Agent {shown} not found"))
}
