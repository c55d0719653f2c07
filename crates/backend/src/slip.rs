//! What follows one request through the tasks that serve it, so that its true times can be told by its id. It knows no preset.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::task::JoinHandle;

use crate::recorder::Visit;

tokio::task_local! {
    static CURRENT: Arc<Slip>;
}

/// One request's slip of paper.
#[derive(Debug, Default)]
pub(crate) struct Slip {
    /// The account is written later, by whoever holds the answer back.
    deferred: bool,
    told: Mutex<Option<Told>>,
}

/// What the preset said of a request when its answer was ready.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    /// Its times.
    pub(crate) visit: Visit,
    /// The endpoint's name.
    pub(crate) endpoint: &'static str,
    /// When the answer was ready.
    pub(crate) answered: Instant,
}

impl Slip {
    /// `deferred` when the account of this request is to be written only when the answer is let go.
    pub(crate) fn new(deferred: bool) -> Self {
        Self {
            deferred,
            told: Mutex::default(),
        }
    }

    /// The preset's word; returns whether the account is written later.
    pub(crate) fn tell(&self, told: Told) -> bool {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
        self.deferred
    }

    /// What was told.
    pub(crate) fn told(&self) -> Option<Told> {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The slip of the request that this task serves.
pub(crate) fn current() -> Option<Arc<Slip>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// Runs a future with a slip.
pub(crate) async fn under<F: Future>(slip: Arc<Slip>, future: F) -> F::Output {
    CURRENT.scope(slip, future).await
}

/// A task that serves the request which this one serves; a plain `tokio::spawn` would lose its slip.
pub(crate) fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match current() {
        Some(slip) => tokio::spawn(CURRENT.scope(slip, future)),
        None => tokio::spawn(future),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;

    #[tokio::test]
    async fn it_follows_into_tasks_and_defers_the_account() {
        let recorder = Arc::new(Recorder::new(true));
        let slip = Arc::new(Slip::new(true));
        let serving = Arc::clone(&recorder);
        under(Arc::clone(&slip), async move {
            spawn(async move {
                let visit = serving.arrive();
                serving.finish(visit, "GET /a", 200);
            })
            .await
            .unwrap();
        })
        .await;
        assert_eq!(recorder.to_json()["endpoints"], serde_json::json!({}));
        let told = slip.told().unwrap();
        assert_eq!(told.endpoint, "GET /a");
        assert!(current().is_none());
    }
}
