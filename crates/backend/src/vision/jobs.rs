//! Batch jobs: which there are, how far each has come and which is next. It runs nothing itself.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};

use super::config::Config;
use super::detect::Limits;
use super::engine::Found;
use super::identity::now;
use super::show::result_json;
use super::variants::Variant;

/// Detections kept in the results of all jobs that have ended; the oldest job is forgotten beyond.
const DETECTIONS_KEPT_MAX: usize = 1_000_000;

/// The priorities, the least first.
pub(crate) const PRIORITIES: [&str; 3] = ["low", "normal", "high"];
/// The statuses that a job may have.
pub(crate) const STATUSES: [&str; 5] = ["pending", "running", "completed", "failed", "cancelled"];

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Not begun.
    Pending,
    /// Begun.
    Running,
    /// All images were processed.
    Completed,
    /// All images were tried, and some failed.
    Failed,
    /// Ended by its client.
    Cancelled,
}

impl Status {
    /// As the API writes it.
    pub(crate) fn name(self) -> &'static str {
        STATUSES[self as usize]
    }

    fn has_ended(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }
}

/// What is to be done.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// Place of the model in the registry.
    pub(crate) model: usize,
    /// Its id.
    pub(crate) model_id: String,
    /// Images, in order.
    pub(crate) image_ids: Arc<Vec<String>>,
    /// What is wanted of each.
    pub(crate) limits: Limits,
    /// Images in flight at once.
    pub(crate) batch_size: usize,
    /// Place in [`PRIORITIES`].
    pub(crate) priority: usize,
    /// The client's own.
    pub(crate) metadata: Value,
    /// The id of the request that made it.
    pub(crate) request_id: String,
}

#[derive(Debug)]
struct Job {
    id: String,
    order: Order,
    variant: &'static Variant,
    status: Status,
    results: Vec<(usize, Found, String)>,
    errors: Vec<(usize, &'static str)>,
    created_at: String,
    started_at: Option<String>,
    completed_at: Option<String>,
}

/// All jobs, oldest first.
#[derive(Debug)]
pub(crate) struct Board {
    jobs: Mutex<VecDeque<Job>>,
    kept_max: usize,
    running_max: usize,
    stuck: bool,
    uncounted: bool,
}

/// Too many jobs have not ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Board {
    /// Without jobs.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            jobs: Mutex::default(),
            kept_max: config.jobs_kept_max,
            running_max: config.jobs_running_max,
            stuck: config.jobs_stuck,
            uncounted: config.jobs_uncounted,
        }
    }

    /// A new pending job.
    pub(crate) fn create(
        &self,
        id: String,
        order: Order,
        variant: &'static Variant,
    ) -> Result<Value, TooMany> {
        let mut jobs = self.lock();
        let detections = |jobs: &VecDeque<Job>| jobs.iter().map(Job::detections).sum::<usize>();
        while jobs.len() >= self.kept_max || detections(&jobs) > DETECTIONS_KEPT_MAX {
            let oldest = jobs
                .iter()
                .position(|job| job.status.has_ended())
                .ok_or(TooMany)?;
            jobs.remove(oldest);
        }
        let job = Job {
            id,
            order,
            variant,
            status: Status::Pending,
            results: Vec::new(),
            errors: Vec::new(),
            created_at: now(),
            started_at: None,
            completed_at: None,
        };
        let told = self.told(&job, true);
        jobs.push_back(job);
        Ok(told)
    }

    /// The next job to run, if one may begin: of the highest priority the oldest. It is running from now on.
    pub(crate) fn next(&self) -> Option<(String, Order)> {
        if self.stuck {
            return None;
        }
        let mut jobs = self.lock();
        let running = jobs.iter().filter(|job| job.status == Status::Running).count();
        if running >= self.running_max {
            return None;
        }
        let job = jobs
            .iter_mut()
            .filter(|job| job.status == Status::Pending)
            .reduce(|best, job| {
                if job.order.priority > best.order.priority {
                    job
                } else {
                    best
                }
            })?;
        job.status = Status::Running;
        job.started_at = Some(now());
        Some((job.id.clone(), job.order.clone()))
    }

    /// Whether it is still to be worked on.
    pub(crate) fn is_running(&self, id: &str) -> bool {
        self.lock()
            .iter()
            .any(|job| job.id == id && job.status == Status::Running)
    }

    /// One of its images is done; whether the job goes on.
    pub(crate) fn advance(&self, id: &str, image: usize, outcome: Result<Found, &'static str>) -> bool {
        let mut jobs = self.lock();
        let Some(job) = jobs
            .iter_mut()
            .find(|job| job.id == id && job.status == Status::Running)
        else {
            return false;
        };
        match outcome {
            Ok(found) => job.results.push((image, found, now())),
            Err(why) => job.errors.push((image, why)),
        }
        if job.results.len() + job.errors.len() == job.order.image_ids.len() {
            job.results.sort_by_key(|one| one.0);
            job.errors.sort_by_key(|one| one.0);
            job.status = if job.errors.is_empty() || self.uncounted {
                Status::Completed
            } else {
                Status::Failed
            };
            job.completed_at = Some(now());
            return false;
        }
        true
    }

    /// Ends a job that has not ended; `None` when there is none of that id.
    pub(crate) fn cancel(&self, id: &str) -> Option<Result<Value, Status>> {
        let mut jobs = self.lock();
        let job = jobs.iter_mut().find(|job| job.id == id)?;
        if job.status.has_ended() {
            return Some(Err(job.status));
        }
        job.status = Status::Cancelled;
        job.completed_at = Some(now());
        job.results.sort_by_key(|one| one.0);
        Some(Ok(self.told(job, true)))
    }

    /// One job with its results.
    pub(crate) fn get(&self, id: &str) -> Option<Value> {
        let jobs = self.lock();
        jobs.iter()
            .find(|job| job.id == id)
            .map(|job| self.told(job, true))
    }

    /// A page of jobs, without their results, and how many there are.
    pub(crate) fn page(
        &self,
        status: Option<&str>,
        model_id: Option<&str>,
        limit: usize,
        offset: usize,
    ) -> (Vec<Value>, usize) {
        let jobs = self.lock();
        let wanted: Vec<&Job> = jobs
            .iter()
            .filter(|job| status.is_none_or(|status| job.status.name() == status))
            .filter(|job| model_id.is_none_or(|id| job.order.model_id == id))
            .collect();
        let page = wanted
            .iter()
            .skip(offset)
            .take(limit)
            .map(|job| self.told(job, false))
            .collect();
        (page, wanted.len())
    }

    /// How many jobs have each status, and the truth of each image of the last ones.
    pub(crate) fn to_json(&self) -> Value {
        let jobs = self.lock();
        let counts: Map<String, Value> = [
            Status::Pending,
            Status::Running,
            Status::Completed,
            Status::Failed,
            Status::Cancelled,
        ]
        .iter()
        .map(|status| {
            (
                status.name().to_owned(),
                json!(jobs.iter().filter(|job| job.status == *status).count()),
            )
        })
        .collect();
        let last: Vec<Value> = jobs
            .iter()
            .rev()
            .take(100)
            .map(|job| {
                json!({
                    "id": job.id, "status": job.status.name(), "images": job.order.image_ids.len(),
                    "succeeded": job.results.len(), "failed": job.errors.len(),
                })
            })
            .collect();
        json!({ "by_status": counts, "last": last })
    }

    fn told(&self, job: &Job, with_results: bool) -> Value {
        let order = &job.order;
        let total = order.image_ids.len();
        let failed = job.errors.len();
        let processed = job.results.len() + failed;
        let errors: Vec<Value> = job
            .errors
            .iter()
            .map(|(image, why)| json!({ "image_id": order.image_ids[*image], "error": why }))
            .collect();
        let results: Vec<Value> = job
            .results
            .iter()
            .filter(|_| with_results)
            .map(|(image, found, at)| result_json(&order.image_ids[*image], job.variant, found, at))
            .collect();
        let hidden = self.uncounted;
        let message = (failed > 0 && !hidden).then(|| format!("{failed} of {total} images failed"));
        json!({
            "job_id": job.id,
            "status": job.status.name(),
            "image_ids": *order.image_ids,
            "model_id": order.model_id,
            "total_images": total,
            "processed_images": processed,
            "failed_images": if hidden { 0 } else { failed },
            "errors": if hidden { Vec::new() } else { errors },
            "created_at": job.created_at,
            "started_at": job.started_at,
            "completed_at": job.completed_at,
            "results": results,
            "error_message": message,
            "progress_percentage": (1000.0 * processed as f64 / total.max(1) as f64).round() / 10.0,
            "estimated_completion_time": null,
            "priority": PRIORITIES[order.priority],
            "metadata": order.metadata,
        })
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    fn detections(&self) -> usize {
        self.results.iter().map(|one| one.1.detections.len()).sum()
    }
}
