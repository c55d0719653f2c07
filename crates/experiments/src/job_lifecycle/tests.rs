//! Jobs of a fake service with one fault at a time.

use std::collections::BTreeMap;

use prony_model::{
    Budget, Endpoint, Expect, Finding, JobApi, JsonText, Request, Role, SampleRequest, Surface, Verdict,
};
use serde_json::{Value, json};

use crate::fake::{Reply, body_json, complaints, run};

const GOOD: [&str; 2] = [
    "11111111-1111-4111-8111-111111111111",
    "22222222-2222-4222-8222-222222222222",
];

#[derive(Clone, Copy, Default)]
struct Faults {
    stuck: bool,
    hides: bool,
    miscounts: bool,
    back: bool,
    ignores_cancel: bool,
    any_id: bool,
    slow: bool,
    refuses_bad: bool,
}

struct Jobs {
    faults: Faults,
    /// Ids of the items, looks so far, cancelled.
    jobs: Vec<(Vec<String>, u64, bool)>,
}

impl Jobs {
    fn answer(&mut self, request: &Request) -> Reply {
        let segments: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        match (request.method.as_str(), segments.as_slice()) {
            ("POST", ["scans"]) => self.start(request),
            ("GET", ["jobs", id]) => self.status(id),
            ("POST", ["jobs", id, "cancel"]) => {
                let k: usize = id.trim_start_matches("job-").parse().unwrap();
                self.jobs[k].2 = !self.faults.ignores_cancel;
                Reply::json(200, &json!({}))
            }
            _ => Reply::json(404, &json!({})),
        }
    }

    fn start(&mut self, request: &Request) -> Reply {
        let ids: Vec<String> = body_json(request).unwrap()["image_ids"]
            .as_array()
            .unwrap()
            .iter()
            .map(|id| id.as_str().unwrap().to_owned())
            .collect();
        if self.faults.refuses_bad && ids.iter().any(|id| !GOOD.contains(&id.as_str())) {
            return Reply::json(422, &json!({"detail": "unknown image"}));
        }
        self.jobs.push((ids, 0, false));
        Reply::json(
            202,
            &json!({"job_id": format!("job-{}", self.jobs.len() - 1), "status": "pending"}),
        )
    }

    fn status(&mut self, id: &str) -> Reply {
        let faults = self.faults;
        let known = id
            .trim_start_matches("job-")
            .parse()
            .ok()
            .filter(|&k: &usize| k < self.jobs.len());
        let Some(k) = known else {
            let status = if faults.any_id { 200 } else { 404 };
            return Reply::json(status, &json!({"status": "pending"}));
        };
        let (ids, looks, cancelled) = &mut self.jobs[k];
        *looks += 1;
        let total = ids.len() as u64;
        let bad = ids.iter().filter(|id| !GOOD.contains(&id.as_str())).count() as u64;
        let (word, share): (&str, u64) = match *looks {
            _ if *cancelled => ("cancelled", 0),
            _ if faults.stuck => ("pending", 0),
            1 => ("pending", 0),
            2 => ("running", 50),
            3 if faults.back => ("running", 20),
            _ if faults.slow => ("running", 50),
            _ if bad > 0 && !faults.hides => ("failed", 100),
            _ => ("completed", 100),
        };
        let failed = if faults.hides || share < 100 { 0 } else { bad };
        let processed = if faults.miscounts && share == 100 && bad == 0 {
            total - 1
        } else {
            total * share / 100
        };
        Reply::json(
            200,
            &json!({"job_id": id, "status": word, "total": total, "processed": processed, "failed": failed,
                "progress": share, "error": Value::Null}),
        )
    }
}

fn surface() -> Surface {
    let submit = Endpoint {
        name: "POST /scans".into(),
        method: "POST".into(),
        path: "/scans".into(),
        role: Role::Inference,
        parameters: Vec::new(),
        body_schema: Some(JsonText(json!({"type": "object"}))),
        declared_statuses: vec![202],
        samples: vec![SampleRequest {
            request: Request::json("POST", "/scans", &json!({"image_ids": GOOD})),
            inputs: BTreeMap::new(),
        }],
        expect: Expect::default(),
    };
    Surface {
        found_by: vec!["openapi at /openapi.json".into()],
        jobs: vec![JobApi {
            submit: submit.name.clone(),
            id_key: "job_id".into(),
            status: "/jobs/{job_id}".into(),
            parameter: "job_id".into(),
            cancel: Some(("POST".into(), "/jobs/{job_id}/cancel".into())),
        }],
        endpoints: vec![submit],
        ..Surface::default()
    }
}

fn judged(faults: Faults) -> Vec<Finding> {
    let mut jobs = Jobs {
        faults,
        jobs: Vec::new(),
    };
    run(&["coverage", "job-lifecycle"], &surface(), Budget::Quick, |r| {
        jobs.answer(r)
    })
    .1
}

#[test]
fn nothing_is_said_against_honest_jobs() {
    for refuses_bad in [false, true] {
        let findings = judged(Faults {
            refuses_bad,
            ..Faults::default()
        });
        assert_eq!(complaints(&findings), [""; 0], "{findings:#?}");
        let overview = findings.iter().find(|f| f.id == "job-lifecycle").unwrap();
        assert!(overview.title.ends_with("came to an end"), "{}", overview.title);
    }
}

#[test]
fn each_fault_is_found_alone() {
    let none = Faults::default();
    for (faults, id, verdict) in [
        (Faults { stuck: true, ..none }, "job-stuck", Verdict::Fail),
        (
            Faults { hides: true, ..none },
            "job-hides-failures",
            Verdict::Fail,
        ),
        (
            Faults {
                miscounts: true,
                ..none
            },
            "job-counts-wrong",
            Verdict::Fail,
        ),
        (Faults { back: true, ..none }, "job-goes-back", Verdict::Warn),
        (Faults { any_id: true, ..none }, "job-unknown-id", Verdict::Warn),
        (
            Faults { slow: true, ..none },
            "job-unfinished",
            Verdict::Inconclusive,
        ),
    ] {
        let findings = judged(faults);
        let found: Vec<&Finding> = findings
            .iter()
            .filter(|f| {
                f.verdict > Verdict::Pass && f.id != "job-lifecycle" && f.experiment == "job-lifecycle"
            })
            .collect();
        assert_eq!(found.len(), 1, "{id}: {findings:#?}");
        assert_eq!((found[0].id.as_str(), found[0].verdict), (id, verdict));
    }
}

#[test]
fn a_cancel_that_changes_nothing_is_seen_while_the_job_goes_on() {
    let findings = judged(Faults {
        slow: true,
        ignores_cancel: true,
        ..Faults::default()
    });
    assert!(
        findings.iter().any(|f| f.id == "job-cancel-ignored"),
        "{findings:#?}"
    );
}

/// One worker that takes jobs in their order, so many requests for each; it never takes those that it loses.
struct OneWorker {
    takes: u64,
    loses: fn(usize) -> bool,
    clock: u64,
    /// When each job begins and ends.
    jobs: Vec<Option<(u64, u64)>>,
}

impl OneWorker {
    fn new(takes: u64, loses: fn(usize) -> bool) -> Self {
        Self {
            takes,
            loses,
            clock: 0,
            jobs: Vec::new(),
        }
    }

    fn answer(&mut self, request: &Request) -> Reply {
        self.clock += 1;
        if request.method == "POST" {
            let free = self.jobs.iter().flatten().map(|(_, ends)| *ends).max();
            let begins = free.unwrap_or(0).max(self.clock);
            let lost = (self.loses)(self.jobs.len());
            self.jobs.push((!lost).then_some((begins, begins + self.takes)));
            let id = format!("job-{}", self.jobs.len() - 1);
            return Reply::json(202, &json!({"job_id": id, "status": "queued"}));
        }
        let k = request
            .path
            .strip_prefix("/jobs/job-")
            .and_then(|k| k.parse().ok());
        let Some(job) = k.and_then(|k: usize| self.jobs.get(k)) else {
            return Reply::json(404, &json!({}));
        };
        let word = match job {
            Some((_, ends)) if self.clock >= *ends => "completed",
            Some((begins, _)) if self.clock >= *begins => "running",
            _ => "queued",
        };
        Reply::json(200, &json!({"status": word}))
    }
}

/// The findings about the life of jobs that are no PASS, but for the overview, each with its verdict.
fn of_one_worker(takes: u64, loses: fn(usize) -> bool) -> Vec<(String, Verdict)> {
    let mut surface = surface();
    surface.jobs[0].cancel = None;
    let mut worker = OneWorker::new(takes, loses);
    let (_, findings) = run(&["coverage", "job-lifecycle"], &surface, Budget::Quick, |r| {
        worker.answer(r)
    });
    findings
        .into_iter()
        .filter(|f| f.experiment == "job-lifecycle" && f.id != "job-lifecycle" && f.verdict > Verdict::Pass)
        .map(|f| (f.id, f.verdict))
        .collect()
}

#[test]
fn jobs_behind_the_runs_own_are_not_stuck() {
    // The job of the preflight outlasts the watch; then one of the watched does.
    for takes in [1_000_000, 3_000] {
        let found = of_one_worker(takes, |_| false);
        assert!(
            found.contains(&("job-unfinished".to_owned(), Verdict::Inconclusive)),
            "{takes}: {found:?}"
        );
        assert!(
            found.iter().all(|(id, _)| id != "job-stuck"),
            "{takes}: {found:?}"
        );
    }
}

#[test]
fn a_job_that_waits_while_the_queue_is_idle_is_stuck() {
    let stuck = ("job-stuck".to_owned(), Verdict::Fail);
    // The first is that of the preflight.
    let found = of_one_worker(2, |k| k == 2);
    assert!(found.contains(&stuck), "one is lost: {found:?}");
    let found = of_one_worker(2, |_| true);
    assert!(found.contains(&stuck), "none ever begins: {found:?}");
    let found = of_one_worker(2, |k| k > 0);
    assert!(found.contains(&stuck), "it dies after the first: {found:?}");
}

#[test]
fn a_few_jobs_are_started_before_any_is_watched() {
    let mut surface = surface();
    surface.endpoints[0].samples = (0..8_usize)
        .map(|k| SampleRequest {
            request: Request::json(
                "POST",
                "/scans",
                &json!({"image_ids": [GOOD[k % 2], k.to_string()]}),
            ),
            inputs: BTreeMap::from([("image_ids".to_owned(), k.to_string())]),
        })
        .collect();
    let mut jobs = Jobs {
        faults: Faults::default(),
        jobs: Vec::new(),
    };
    let (phases, _) = run(&["coverage", "diversity"], &surface, Budget::Standard, |r| {
        jobs.answer(r)
    });
    assert_eq!(jobs.jobs.len(), 2);
    assert!(phases.iter().all(|p| p.phase.experiment != "diversity"));
}

#[test]
fn without_an_interface_to_jobs_nothing_is_asked() {
    let mut surface = surface();
    surface.jobs.clear();
    let (phases, findings) = run(&["job-lifecycle"], &surface, Budget::Quick, |_| {
        unreachable!("nothing is to be asked")
    });
    assert!(phases.is_empty() && findings.is_empty());
}
