//! Running the jobs of the board: images of one batch at once, batch after batch, until all are done or the job is cancelled.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::app::Vision;
use super::engine::{Asker, Found, Refusal, Source, Unseen};
use super::jobs::Order;

/// Name of the work on one image of a job in the account.
const ENDPOINT: &str = "batch image";

/// Starts as many jobs as may run.
pub(crate) fn pump(server: &Arc<Vision>) {
    while let Some((id, order)) = server.board.next() {
        let server = Arc::clone(server);
        tokio::spawn(async move {
            run(&server, &id, &order).await;
            pump(&server);
        });
    }
}

async fn run(server: &Arc<Vision>, id: &str, order: &Order) {
    let indices: Vec<usize> = (0..order.image_ids.len()).collect();
    for batch in indices.chunks(order.batch_size) {
        let mut images = JoinSet::new();
        for index in batch.iter().copied() {
            let (server, id, order) = (Arc::clone(server), id.to_owned(), order.clone());
            images.spawn(async move {
                // A cancelled job takes no more turns.
                if server.board.is_running(&id) {
                    let outcome = one(&server, &order, index).await;
                    server.board.advance(&id, index, outcome);
                }
            });
        }
        while images.join_next().await.is_some() {}
        if !server.board.is_running(id) {
            return;
        }
    }
}

async fn one(server: &Arc<Vision>, order: &Order, index: usize) -> Result<Found, &'static str> {
    let picture = server
        .pictures
        .get(&order.image_ids[index])
        .ok_or("Image not found")?;
    let asker = Asker {
        request_id: order.request_id.clone(),
        endpoint: ENDPOINT,
    };
    let mut visit = server.recorder.arrive();
    let model = &server.engine.registry.models()[order.model];
    let outcome = server
        .engine
        .infer(
            &asker,
            &mut visit,
            model,
            vec![Source::Stored(picture)],
            order.limits,
        )
        .await;
    let outcome = match outcome {
        Ok(results) => match results.into_iter().next() {
            Some(Ok(found)) => Ok(found),
            Some(Err(Unseen::Failed(_))) => Err("Inference failed"),
            Some(Err(Unseen::Undecodable)) | None => Err("Image could not be decoded"),
        },
        Err(Refusal::Busy) => Err("Too many requests waiting"),
        Err(Refusal::Model(_)) => Err("Model is not available"),
    };
    server
        .recorder
        .finish(visit, ENDPOINT, if outcome.is_ok() { 200 } else { 422 });
    outcome
}
