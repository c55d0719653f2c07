//! The scheduler's thread: it sleeps to the end of each step on a clock of its own, so that a late wake-up delays one token and not all
//! that follow. Requests come in through a bounded inbox. It knows no formats.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::config::Config;
use super::core::{Core, Load};
use super::disk::Disk;
use super::meters::Meters;
use super::pool::Pool;
use super::progress::{End, Progress};
use super::sequence::Job;
use crate::error::BackendError;

/// The clock of the steps may lag behind the machine's by this much before it is set anew.
const LAG_MAX: Duration = Duration::from_millis(50);

/// The running scheduler. Dropping it ends its thread and everything that still runs.
#[derive(Debug)]
pub(super) struct Engine {
    shared: Arc<Shared>,
    queue_max: usize,
    next_id: AtomicU64,
    /// What is measured of every request.
    pub(super) meters: Arc<Meters>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    inbox: Mutex<Inbox>,
    arrived: Condvar,
    closed: AtomicBool,
    load: Mutex<Load>,
}

#[derive(Debug, Default)]
struct Inbox {
    orders: Vec<Order>,
    /// Jobs among the orders.
    pending: usize,
    /// Jobs that waited in the scheduler when it looked last.
    held: usize,
}

#[derive(Debug)]
enum Order {
    Submit(Job),
    Cancel(u64),
    Barrier(u64, oneshot::Sender<()>),
    Clear(oneshot::Sender<usize>),
    Place(Vec<u64>, oneshot::Sender<Vec<(bool, bool)>>),
    Sleep(oneshot::Sender<()>),
    Wake,
    Adapters(oneshot::Sender<(Vec<String>, Vec<String>)>),
}

/// Too many wait.
#[derive(Debug)]
pub(super) struct Full;

/// A job handed in; dropping it unfinished cancels it, unless its work is to go on.
#[derive(Debug)]
pub(super) struct Ticket {
    id: u64,
    shared: Option<Arc<Shared>>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.order(Order::Cancel(self.id));
        }
    }
}

impl Ticket {
    /// It ended: there is nothing to cancel.
    pub(super) fn over(&mut self) {
        self.shared = None;
    }
}

impl Engine {
    /// Starts the thread.
    pub(super) fn start(config: &Config) -> Result<Self, BackendError> {
        let disk = match &config.cache_dir {
            Some(folder) => {
                let refused = |error: std::io::Error| BackendError::BadKnob {
                    name: "cache_dir",
                    value: folder.display().to_string(),
                    reason: format!("the folder cannot be used: {error}"),
                };
                Some(Disk::open(folder, config.block_tokens).map_err(refused)?)
            }
            None => None,
        };
        let pool = Pool::new(config.blocks, config.layers, config.block_tokens, disk);
        let core = Core::new(config, pool);
        let meters = Arc::clone(&core.meters);
        let shared = Arc::new(Shared::default());
        shared.publish(core.load());
        let working = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("scheduler".to_owned())
            .spawn(move || {
                // Where the kernel refuses it, a sleep may end 50 us late.
                let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
                work(&working, core);
            })?;
        Ok(Self {
            shared,
            // With the loop serial, the loop bounds what is taken up.
            queue_max: if config.serial {
                usize::MAX
            } else {
                config.queue_max
            },
            next_id: AtomicU64::new(1),
            meters,
            thread: Some(thread),
        })
    }

    /// Hands a job in that could be worked on from `since` on. `detached` work goes on when nobody waits for it any more.
    pub(super) fn submit(
        &self,
        tokens: Vec<u32>,
        prompt_len: usize,
        since: Instant,
        progress: Arc<Progress>,
        adapter: Option<String>,
        detached: bool,
    ) -> Result<Ticket, Full> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let job = Job {
            id,
            tokens,
            prompt_len,
            since,
            adapter,
            progress,
        };
        let mut inbox = self.shared.lock();
        if inbox.waiting() >= self.queue_max {
            return Err(Full);
        }
        inbox.pending += 1;
        inbox.orders.push(Order::Submit(job));
        drop(inbox);
        self.shared.arrived.notify_one();
        Ok(Ticket {
            id,
            shared: (!detached).then(|| Arc::clone(&self.shared)),
        })
    }

    /// Waits until every job handed in before is over.
    pub(super) async fn settled(&self) {
        let (done, told) = oneshot::channel();
        let last = self.next_id.load(Ordering::Relaxed).saturating_sub(1);
        self.shared.order(Order::Barrier(last, done));
        // An engine that ended has nothing in progress.
        let _ = told.await;
    }

    /// Gives up every kept page, on disk too; tells how many were in memory.
    pub(super) async fn clear(&self) -> usize {
        let (done, told) = oneshot::channel();
        self.shared.order(Order::Clear(done));
        told.await.unwrap_or(0)
    }

    /// For each page, whether it is in memory and whether it is on disk.
    pub(super) async fn places(&self, pages: Vec<u64>) -> Vec<(bool, bool)> {
        let (done, told) = oneshot::channel();
        self.shared.order(Order::Place(pages, done));
        told.await.unwrap_or_default()
    }

    /// Everything stands still from the end of the step in progress on.
    pub(super) async fn sleep(&self) {
        let (done, told) = oneshot::channel();
        self.shared.order(Order::Sleep(done));
        // An engine that ended does nothing any more.
        let _ = told.await;
    }

    /// It goes on.
    pub(super) fn wake(&self) {
        self.shared.order(Order::Wake);
    }

    /// Adapters in use, then those only loaded.
    pub(super) async fn adapters(&self) -> (Vec<String>, Vec<String>) {
        let (done, told) = oneshot::channel();
        self.shared.order(Order::Adapters(done));
        told.await.unwrap_or_default()
    }

    /// How it stands, as of the last step.
    pub(super) fn load(&self) -> Load {
        let mut load = *self.shared.load.lock().unwrap_or_else(PoisonError::into_inner);
        load.waiting = self.shared.lock().waiting();
        load
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        drop(self.shared.lock());
        self.shared.arrived.notify_one();
        if let Some(thread) = self.thread.take() {
            // A scheduler that panicked has ended, too.
            let _ = thread.join();
        }
    }
}

impl Inbox {
    fn waiting(&self) -> usize {
        self.pending + self.held
    }

    fn take(&mut self) -> Vec<Order> {
        self.held += std::mem::take(&mut self.pending);
        std::mem::take(&mut self.orders)
    }
}

impl Shared {
    fn order(&self, order: Order) {
        self.lock().orders.push(order);
        self.arrived.notify_one();
    }

    fn publish(&self, load: Load) {
        *self.load.lock().unwrap_or_else(PoisonError::into_inner) = load;
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn work(shared: &Shared, mut core: Core) {
    let mut clock = Instant::now();
    while !shared.closed.load(Ordering::Acquire) {
        let orders = shared.lock().take();
        follow(&mut core, orders);
        let step = core.plan(Instant::now());
        let load = core.load();
        shared.lock().held = load.waiting;
        shared.publish(load);
        core.tell();
        if let Some((length, since)) = step {
            let not_before = Instant::now().checked_sub(LAG_MAX).unwrap_or(clock);
            let due = clock.max(since).max(not_before) + length;
            sleep_until(due, &mut core);
            clock = due;
            core.complete(due);
            shared.publish(core.load());
            core.tell();
            core.tell_due(due);
        } else {
            let now = Instant::now();
            let next = [core.tell_due(now), core.next_ready(now)]
                .into_iter()
                .flatten()
                .min();
            let inbox = shared.lock();
            if inbox.orders.is_empty() && !shared.closed.load(Ordering::Acquire) {
                match next {
                    None => drop(shared.arrived.wait(inbox)),
                    Some(next) => drop(
                        shared
                            .arrived
                            .wait_timeout(inbox, next.saturating_duration_since(now)),
                    ),
                }
            }
        }
    }
    core.stop();
    core.tell();
    for order in shared.lock().take() {
        if let Order::Submit(job) = order {
            job.progress.end(End::Stopped);
        }
    }
}

fn follow(core: &mut Core, orders: Vec<Order>) {
    for order in orders {
        match order {
            Order::Submit(job) => core.submit(job),
            Order::Cancel(id) => core.cancel(id),
            Order::Barrier(id, done) => core.barrier(id, done),
            Order::Clear(done) => {
                // Who no longer waits need not be told.
                let _ = done.send(core.pool.clear());
            }
            Order::Sleep(done) => {
                core.sleep();
                let _ = done.send(());
            }
            Order::Wake => core.wake(),
            Order::Adapters(done) => {
                let _ = done.send(core.adapter_names());
            }
            Order::Place(pages, done) => {
                let places = pages.into_iter().map(|page| core.pool.place(page)).collect();
                let _ = done.send(places);
            }
        }
    }
}

/// Sleeps to the end of the step, and tells meanwhile what the step before it made.
fn sleep_until(end: Instant, core: &mut Core) {
    loop {
        let now = Instant::now();
        let next = core.tell_due(now);
        if end <= now {
            break;
        }
        let wake = next.map_or(end, |next| next.min(end));
        std::thread::sleep(wake.saturating_duration_since(now));
    }
}
