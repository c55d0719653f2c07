//! The one event loop of the observed server. What needs no model is answered when the loop is free. Inference is taken up together
//! with what arrives in the same moment; one after the other runs to its end, nothing else happens meanwhile, and the plain answers
//! leave together when all are done. It knows neither requests nor times of service.

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

/// The way to the loop.
#[derive(Debug)]
pub(super) struct Turns {
    queue: mpsc::UnboundedSender<Waiting>,
}

#[derive(Debug)]
enum Waiting {
    Light(oneshot::Sender<()>),
    Heavy(oneshot::Sender<Place>),
}

/// What comes of asking for a turn.
#[derive(Debug)]
pub(super) enum Place {
    /// It is its turn.
    Turn(Turn),
    /// More came at once than are taken up.
    Refused,
}

/// The loop is his who holds this.
#[derive(Debug)]
pub(super) struct Turn {
    /// When its round began.
    pub(super) since: Instant,
    /// To be dropped when the work is done.
    pub(super) busy: oneshot::Sender<()>,
    /// Told when answers leave.
    pub(super) leave: oneshot::Receiver<()>,
}

impl Turns {
    /// Starts the loop. It must run inside the runtime.
    pub(super) fn start(room: usize, gather: Duration) -> Self {
        let (queue, waiting) = mpsc::unbounded_channel();
        tokio::spawn(run(waiting, room, gather));
        Self { queue }
    }

    /// Waits until the loop is free.
    pub(super) async fn pass(&self) {
        let (free, told) = oneshot::channel();
        // A loop that ended holds nobody up.
        if self.queue.send(Waiting::Light(free)).is_ok() {
            let _ = told.await;
        }
    }

    /// Waits for a turn.
    pub(super) async fn enter(&self) -> Place {
        let (place, told) = oneshot::channel();
        if self.queue.send(Waiting::Heavy(place)).is_ok() {
            told.await.unwrap_or(Place::Refused)
        } else {
            Place::Refused
        }
    }
}

async fn run(mut waiting: mpsc::UnboundedReceiver<Waiting>, room: usize, gather: Duration) {
    while let Some(first) = waiting.recv().await {
        let mut round = Vec::new();
        sort(first, &mut round, room);
        while !round.is_empty() {
            // It ends when nothing came for so long, or the service stops.
            match tokio::time::timeout(gather, waiting.recv()).await {
                Ok(Some(next)) => sort(next, &mut round, room),
                Ok(None) | Err(_) => break,
            }
        }
        let since = Instant::now();
        let mut leaving = Vec::new();
        for place in round {
            let (busy, done) = oneshot::channel();
            let (leave, told) = oneshot::channel();
            let turn = Turn {
                since,
                busy,
                leave: told,
            };
            if place.send(Place::Turn(turn)).is_ok() {
                // The sender is dropped, never used.
                let _ = done.await;
                leaving.push(leave);
            }
        }
        for leave in leaving {
            // A client that left takes no answer.
            let _ = leave.send(());
        }
    }
}

/// A light one passes, a heavy one joins the round while there is room.
fn sort(waiting: Waiting, round: &mut Vec<oneshot::Sender<Place>>, room: usize) {
    // Who left is not told.
    match waiting {
        Waiting::Light(free) => drop(free.send(())),
        Waiting::Heavy(place) if round.len() < room => round.push(place),
        Waiting::Heavy(place) => drop(place.send(Place::Refused)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[tokio::test]
    async fn answers_leave_together_and_what_is_too_much_is_refused_at_once() {
        let turns = Arc::new(Turns::start(3, Duration::from_millis(50)));
        let story = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = (0..5)
            .map(|number| {
                let (turns, story) = (Arc::clone(&turns), Arc::clone(&story));
                tokio::spawn(async move {
                    let tell = |what: &'static str| story.lock().unwrap().push((what, number));
                    match turns.enter().await {
                        Place::Refused => tell("refused"),
                        Place::Turn(turn) => {
                            tell("begins");
                            tokio::task::yield_now().await;
                            drop(turn.busy);
                            turn.leave.await.unwrap();
                            tell("leaves");
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let words: Vec<_> = story.lock().unwrap().iter().map(|(what, _)| *what).collect();
        assert_eq!(words[..2], ["refused", "refused"]);
        assert_eq!(words[2..5], ["begins", "begins", "begins"]);
        assert_eq!(words[5..], ["leaves", "leaves", "leaves"]);
    }

    #[tokio::test]
    async fn what_is_light_waits_for_the_round() {
        let turns = Arc::new(Turns::start(3, Duration::from_millis(1)));
        turns.pass().await;
        let Place::Turn(turn) = turns.enter().await else {
            panic!("there was room");
        };
        let passing = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { turns.pass().await }
        });
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert!(!passing.is_finished());
        drop(turn.busy);
        passing.await.unwrap();
    }
}
