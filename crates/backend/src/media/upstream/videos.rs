//! The generation service's videos: jobs that are queued, in progress and done as time passes, and the list of them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::asset::{Asset, Variant};
use super::weather::mix;
use crate::media::config::Service;

/// Videos kept; beyond it the oldest is forgotten.
const VIDEOS_MAX: usize = 10_000;

/// One job and what came of it.
#[derive(Debug)]
pub(super) struct Video {
    /// Its id.
    pub(super) id: String,
    /// What it was made with.
    pub(super) wish: Wish,
    created: Instant,
    created_at: u64,
    queue: Duration,
    render: Duration,
    expires: Duration,
    fails: bool,
    assets: [OnceLock<Arc<Asset>>; 3],
}

/// What a client wants.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    /// The text.
    pub(super) prompt: String,
    /// The model.
    pub(super) model: &'static str,
    /// The length.
    pub(super) seconds: &'static str,
    /// The size.
    pub(super) size: &'static str,
    /// The video that it changes.
    pub(super) remixed_from: Option<String>,
}

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not begun.
    Queued,
    /// So many per cent.
    InProgress(u8),
    /// There is content.
    Completed,
    /// There was content.
    Expired,
    /// There will be none.
    Failed,
}

/// All of them, in the order of their creation.
#[derive(Debug)]
pub(super) struct Videos {
    service: Service,
    seed: u64,
    stock: Mutex<Stock>,
}

#[derive(Debug, Default)]
struct Stock {
    order: VecDeque<String>,
    held: HashMap<String, Arc<Video>>,
    made: u64,
}

/// A page of the list.
pub(super) struct Page {
    /// Its videos.
    pub(super) videos: Vec<Arc<Video>>,
    /// Whether there are more behind it.
    pub(super) has_more: bool,
}

impl Videos {
    /// With the completed ones that exist at the start.
    pub(super) fn new(service: &Service, seed: u64) -> Self {
        let videos = Self {
            service: service.clone(),
            seed,
            stock: Mutex::default(),
        };
        for n in 1..=service.videos {
            let wish = Wish {
                prompt: format!("An opening film, take {n}"),
                model: "sora-2",
                seconds: "4",
                size: "720x1280",
                remixed_from: None,
            };
            videos.add(wish, (Duration::ZERO, Duration::ZERO), false);
        }
        videos
    }

    /// A new job.
    pub(super) fn create(&self, wish: Wish, fails: bool) -> Arc<Video> {
        self.add(wish, (self.service.queue, self.service.render), fails)
    }

    fn add(&self, wish: Wish, (queue, render): (Duration, Duration), fails: bool) -> Arc<Video> {
        let mut stock = self.stock();
        let n = stock.made;
        stock.made += 1;
        let video = Arc::new(Video {
            id: format!(
                "video_{:016x}{:016x}",
                mix(self.seed ^ 5, n),
                mix(self.seed ^ 6, n)
            ),
            wish,
            created: Instant::now(),
            created_at: unix_s(),
            queue,
            render,
            expires: self.service.expires,
            fails,
            assets: Default::default(),
        });
        stock.order.push_back(video.id.clone());
        stock.held.insert(video.id.clone(), Arc::clone(&video));
        if stock.order.len() > VIDEOS_MAX
            && let Some(oldest) = stock.order.pop_front()
        {
            stock.held.remove(&oldest);
        }
        video
    }

    /// One of them.
    pub(super) fn get(&self, id: &str) -> Option<Arc<Video>> {
        self.stock().held.get(id).cloned()
    }

    /// Forgets one; whether there was one.
    pub(super) fn delete(&self, id: &str) -> bool {
        let mut stock = self.stock();
        let found = stock.held.remove(id).is_some();
        if found {
            stock.order.retain(|held| held != id);
        }
        found
    }

    /// A page; `None` when there is no video of the id that it is to follow.
    pub(super) fn page(&self, after: Option<&str>, limit: usize, descending: bool) -> Option<Page> {
        let stock = self.stock();
        let ids: Vec<&String> = if descending {
            stock.order.iter().rev().collect()
        } else {
            stock.order.iter().collect()
        };
        let from = match after {
            Some(id) => ids.iter().position(|held| *held == id)? + 1,
            None => 0,
        };
        let videos = ids[from..]
            .iter()
            .take(limit)
            .filter_map(|id| stock.held.get(*id).cloned())
            .collect();
        Some(Page {
            videos,
            has_more: ids.len() > from + limit,
        })
    }

    fn stock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Video {
    /// Where it is now.
    pub(super) fn phase(&self) -> Phase {
        let age = self.created.elapsed();
        let done = self.queue + self.render;
        if age < self.queue {
            Phase::Queued
        } else if age < done {
            let share = age.saturating_sub(self.queue).as_secs_f64() / self.render.as_secs_f64();
            Phase::InProgress((share * 100.0) as u8)
        } else if self.fails {
            Phase::Failed
        } else if age < done + self.expires {
            Phase::Completed
        } else {
            Phase::Expired
        }
    }

    /// Its content. The first call computes for a while.
    pub(super) fn asset(
        &self,
        variant: Variant,
        seed: u64,
        video_bytes: u64,
    ) -> image::ImageResult<Arc<Asset>> {
        let cell = &self.assets[variant as usize];
        if let Some(asset) = cell.get() {
            return Ok(Arc::clone(asset));
        }
        let asset = Arc::new(Asset::new(variant, &self.id, seed, video_bytes)?);
        Ok(Arc::clone(cell.get_or_init(|| asset)))
    }

    /// As the API shows it.
    pub(super) fn to_json(&self) -> Value {
        let (status, progress) = match self.phase() {
            Phase::Queued => ("queued", 0),
            Phase::InProgress(share) => ("in_progress", share),
            Phase::Completed | Phase::Expired => ("completed", 100),
            Phase::Failed => ("failed", 100),
        };
        let completed_at = self.created_at + (self.queue + self.render).as_secs();
        let done = status == "completed";
        json!({
            "id": self.id,
            "object": "video",
            "created_at": self.created_at,
            "status": status,
            "progress": progress,
            "model": self.wish.model,
            "seconds": self.wish.seconds,
            "size": self.wish.size,
            "prompt": self.wish.prompt,
            "completed_at": done.then_some(completed_at),
            "expires_at": done.then(|| completed_at + self.expires.as_secs()),
            "error": (status == "failed").then(|| json!({
                "code": "video_generation_failed", "message": "The video could not be generated."
            })),
            "remixed_from_video_id": self.wish.remixed_from,
        })
    }
}

/// Seconds since 1970.
pub(super) fn unix_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
