//! From a request that was read to its answer: through the loop or the queue into the scheduler, and back in the client's dialect.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::agents;
use super::anthropic;
use super::app::{Outcome, Semantic, Stay};
use super::asked::{Asked, Prompt};
use super::engine::Ticket;
use super::fault::Fault;
use super::ledger::Entry;
use super::models::{Loaded, Models};
use super::openai::{self, Head};
use super::progress::{End, Progress, Seen};
use super::routes::Does;
use super::serving::{self, Embed};
use super::stream::{Format, Ordered, Stream};
use super::tokens::{Mark, Script};
use super::turns::Place;
use super::usage::Usage;
use crate::fastapi::reply::Reply;

/// An answer in the making: it was admitted.
#[derive(Debug)]
pub(super) struct Begun {
    /// How far it is.
    pub(super) progress: Arc<Progress>,
    /// What it will say.
    pub(super) script: Script,
    /// What its prompt cost.
    pub(super) usage: Usage,
    agent: String,
    ticket: Ticket,
    /// With a serial loop: the turn of a plain answer, which ends when the account has its end. A stream's ends with its tokens.
    busy: Option<oneshot::Sender<()>>,
    /// With a serial loop: told when plain answers leave.
    leave: Option<oneshot::Receiver<()>>,
}

impl Begun {
    /// It is over, or its client left: into the account with it.
    pub(super) fn over(&mut self, system: &Semantic, sent: &[Instant], stay: Option<&Stay>) {
        if self.progress.look(|seen| seen.end.is_some()) {
            self.ticket.over();
        }
        if let Some(stay) = stay {
            system.ledger.write(&Entry {
                request_id: &stay.request_id,
                endpoint: stay.endpoint,
                arrived: stay.arrived,
                prompt_tokens: self.usage.prompt,
                progress: &self.progress,
                sent,
            });
        }
    }

    /// The refusal of a request whose blocks could not be had.
    pub(super) fn exhausted(&self, blocks: usize) -> Fault {
        let agent = &self.agent;
        Fault::capacity(&format!("Failed to allocate {blocks} blocks for agent {agent}"))
    }

    /// Waits for the end.
    async fn ended(&self) -> End {
        self.progress.wait(|seen| seen.end).await
    }

    /// Waits until plain answers leave.
    async fn leave(&mut self) {
        self.busy = None;
        if let Some(leave) = self.leave.take() {
            // A loop that ended holds nobody up.
            let _ = leave.await;
        }
    }

    fn outcome(&self, end: End) -> Result<(), Fault> {
        match end {
            End::Done => Ok(()),
            End::Exhausted(blocks) => Err(self.exhausted(blocks)),
            End::Cancelled | End::Stopped => Err(Fault::capacity("the server is shutting down")),
        }
    }
}

impl Semantic {
    /// An answer in either dialect. The stay is taken by a stream, which ends it.
    pub(super) async fn infer(
        self: &Arc<Self>,
        asked: Asked,
        does: Does,
        agent: Option<&str>,
        ordered: Ordered,
        stay: &mut Option<Stay>,
    ) -> Result<Outcome, Fault> {
        if let Some((status, retry_after_s)) = ordered.orders.status() {
            return Err(Fault::ordered(status, retry_after_s));
        }
        let model = self.model(&asked.model)?;
        let (stream, include_usage) = (asked.stream, asked.include_usage);
        let mut begun = self.begin(asked, agent, stay).await?;
        let number = self.next_id.fetch_add(1, Ordering::Relaxed);
        let prefix = match does {
            Does::Completions => "cmpl-",
            Does::Responses => "resp_",
            _ => "chatcmpl-",
        };
        let head = Head {
            id: format!("{prefix}{number:016x}"),
            created: agents::now(),
            model: model.clone(),
            include_usage,
        };
        let id = format!("msg_{number:016x}");
        if stream && let Some(stay) = stay.take() {
            let delay = Duration::from_millis(ordered.orders.head_delay_ms());
            if !delay.is_zero() {
                self.alarm.sleep_until(Instant::now() + delay).await;
            }
            let format = match does {
                Does::Messages => Format::Anthropic { id, model },
                Does::Completions => Format::Completions(head),
                Does::Responses => Format::Responses(head),
                _ => Format::OpenAi(head),
            };
            return Ok(Outcome::Stream(Stream::respond(
                Arc::clone(self),
                begun,
                format,
                stay,
                ordered,
            )));
        }
        let used = self.whole(&mut begun, stay).await?;
        let (text, why) = (&begun.script.text, &begun.script.stop);
        Ok(Outcome::Reply(Reply::json(&match does {
            Does::Messages => anthropic::message(&id, &model, text, why, &used),
            Does::Completions => serving::completion(&head, text, why, &used),
            Does::Responses => serving::response(&head, Some((text, why, &used))),
            _ => openai::completion(&head, text, why, &used),
        })))
    }

    /// POST /v1/embeddings: the prompts go through the scheduler, which makes one token of each.
    pub(super) async fn embed(&self, body: &Map<String, Value>) -> Result<Value, Fault> {
        let asked = Embed::read(body).map_err(Fault::invalid)?;
        let model = self.model(&asked.model)?;
        let mut jobs = Vec::new();
        for input in &asked.inputs {
            if input.len() > self.config.prompt_max() {
                let message = format!("an input is longer than {} tokens", self.config.prompt_max());
                return Err(Fault::bad_request(message));
            }
            let progress = Arc::new(Progress::new(false, 0, None));
            let tokens = [&input[..], &[0]].concat();
            let (since, told) = (Instant::now(), Arc::clone(&progress));
            let ticket = self
                .engine
                .submit(tokens, input.len(), since, told, None, false)
                .map_err(|_| Fault::capacity("too many requests waiting"))?;
            jobs.push((progress, ticket));
        }
        for (progress, mut ticket) in jobs {
            let end = progress.wait(|seen| seen.end).await;
            ticket.over();
            if end != End::Done {
                return Err(Fault::capacity("the inputs found no room"));
            }
        }
        Ok(asked.answer(&model))
    }

    /// POST /v1/agents/{agent_id}/generate.
    pub(super) async fn agent_generate(
        self: &Arc<Self>,
        id: &str,
        text: &str,
        max_tokens: usize,
        stay: &mut Option<Stay>,
    ) -> Result<Value, Fault> {
        let agent = self
            .agents
            .get(id)
            .ok_or_else(|| Fault::not_found(format!("Agent {id} not found")))?;
        let model = self.model("")?;
        let mut turn = Prompt::new();
        turn.turn(Mark::User, text);
        let turn = turn.finish();
        // The mark at the very beginning is there once.
        let prompt = if agent.context.is_empty() {
            turn
        } else {
            [agent.context, turn[1..].to_vec()].concat()
        };
        let asked = Asked {
            model,
            prompt: prompt.clone(),
            max_tokens,
            stops: Vec::new(),
            stream: false,
            include_usage: true,
            session: None,
        };
        let deadline = Instant::now() + self.config.generate_max;
        let work = async {
            let mut begun = self.begin(asked, Some(id), stay).await?;
            let used = self.whole(&mut begun, stay).await?;
            Ok((begun, used))
        };
        let (begun, used) = tokio::select! {
            done = work => done?,
            () = self.alarm.sleep_until(deadline) => {
                let message = "Generation timed out";
                return Err(Fault::other(StatusCode::GATEWAY_TIMEOUT, "timeout_error", message));
            }
        };
        let mut context = [prompt, begun.script.ids.clone()].concat();
        context.extend(Prompt::closing());
        let cached = context.len();
        self.agents.remember(id, context);
        Ok(json!({
            "agent_id": id,
            "text": begun.script.text,
            "tokens_generated": used.output,
            "prompt_tokens": used.prompt,
            "cached_tokens": used.cache_read,
            "finish_reason": if begun.script.stop == super::tokens::Stop::MaxTokens { "length" } else { "stop" },
            "cache_size_tokens": cached,
        }))
    }

    /// The name under which the model answers.
    fn model(&self, asked: &str) -> Result<String, Fault> {
        if self.draining() {
            return Err(Fault::capacity("the server is shutting down"));
        }
        let loaded = match self.models.loaded() {
            Loaded::Ready(model) => model,
            Loaded::Loading(_) => return Err(Fault::capacity("the model is loading")),
            Loaded::Nothing => return Err(Fault::capacity("no model is loaded")),
        };
        if asked.is_empty() {
            Ok(loaded.to_owned())
        } else if self.config.lenient_input
            || asked == loaded
            || self.config.adapters.iter().any(|name| name == asked)
        {
            Ok(asked.to_owned())
        } else if Models::find(asked).is_some() {
            Err(Fault::not_found(format!("model: {asked} is not loaded")))
        } else {
            Err(Fault::no_model(asked))
        }
    }

    /// Through the loop or the queue until it is admitted.
    async fn begin(
        &self,
        asked: Asked,
        agent: Option<&str>,
        stay: &mut Option<Stay>,
    ) -> Result<Begun, Fault> {
        let config = &self.config;
        let prompt_len = asked.prompt.len();
        if !config.leak && prompt_len > config.prompt_max() {
            return Err(Fault::bad_request(format!(
                "prompt is too long: {prompt_len} tokens > {} maximum",
                config.prompt_max()
            )));
        }
        let agent = agent
            .map(str::to_owned)
            .or(asked.session)
            .unwrap_or_else(|| agents::name(&asked.prompt));
        let (since, busy, leave) = match &self.turns {
            None => (Instant::now(), None, None),
            Some(turns) => match turns.enter().await {
                Place::Refused => return Err(Fault::capacity("too many requests waiting")),
                Place::Turn(turn) => (turn.since, Some(turn.busy), Some(turn.leave)),
            },
        };
        let script = Script::new(
            &asked.prompt,
            self.seed,
            config.answer_tokens,
            asked.max_tokens,
            &asked.stops,
        );
        let known = self.agents.prompt(&agent, &asked.prompt, config.block_tokens);
        let (turn, busy) = if asked.stream { (busy, None) } else { (None, busy) };
        let progress = Arc::new(Progress::new(asked.stream, config.truth_events, turn));
        let tokens = [&asked.prompt[..], &script.ids].concat();
        let adapter = config.adapters.iter().find(|name| **name == asked.model).cloned();
        let ticket = self
            .engine
            .submit(
                tokens,
                prompt_len,
                since,
                Arc::clone(&progress),
                adapter,
                config.serial,
            )
            .map_err(|_| Fault::capacity("too many requests waiting"))?;
        let mut begun = Begun {
            progress,
            script,
            usage: Usage::default(),
            agent,
            ticket,
            busy,
            leave,
        };
        let admitted = |seen: &Seen| match (seen.admitted, seen.end) {
            (Some((_, found)), _) => Some(Ok(found)),
            (None, Some(end)) => Some(Err(end)),
            (None, None) => None,
        };
        let found = match begun.progress.wait(admitted).await {
            Ok(found) => found,
            Err(end) => {
                begun.over(self, &[], stay.as_ref());
                begun.leave().await;
                begun.outcome(end)?;
                return Err(Fault::capacity("the answer ended before it began"));
            }
        };
        begun.usage = Usage::new(config, prompt_len, found.tokens, known);
        self.metrics.looked_up(begun.usage.cache_read > 0);
        if let Some(stay) = stay {
            stay.begin();
        }
        Ok(begun)
    }

    /// The end of an answer that is not streamed.
    async fn whole(&self, begun: &mut Begun, stay: &mut Option<Stay>) -> Result<Usage, Fault> {
        let end = begun.ended().await;
        if let Some(stay) = stay {
            stay.end();
        }
        begun.over(self, &[], stay.as_ref());
        begun.leave().await;
        begun.outcome(end)?;
        Ok(begun.usage.with_output(&self.config, begun.script.len()))
    }
}
