//! What happens with bad input? Requests derived from the document, or from a sample request alone, from the parts of a form, the
//! arguments of a tool, and a catalogue of hostile texts, each with what a sound target may answer; on request also clients that
//! stop half-way or leave.
//!
//! Only what an HTTP client sees counts: statuses, bodies, closed connections, and whether a good request is still
//! answered afterwards. Where a document does not forbid an input, a normal answer to it is no fault.

mod bodies;
mod case;
mod catalogue;
mod clients;
mod findings;
mod forms;
mod generate;
mod judge;
mod plan;
mod tools;
#[cfg(test)]
mod upload_tests;

use std::collections::VecDeque;

use prony_model::{Budget, Capture, Finding, Limits, Nanos, Phase, Role, Scenario, Shape};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::answer::good_sample;
use crate::coverage::is_destructive;
use crate::experiment::params;
use crate::primary::has_stopped;
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};
use case::Class;
use clients::Clients;
use plan::Plan;

const NAME: &str = "input-validation";
const FIRST: &str = "bad-input";
const AGAIN: &str = "repeats";
/// A good request that was refused for want of room is sent again after so long a pause, to so many endpoints at most.
const PAUSE_S: f64 = 2.0;
const PAUSES_MAX: usize = 2;
/// Times that each failing case is repeated.
const REPEATS: usize = 2;
/// Scenario of the request that has no endpoint.
const NO_ENDPOINT: &str = "no endpoint";
/// Of the whole time: for the first attempts, and for them where clients that misbehave come after them.
const FIRST_SHARE: f64 = 0.75;
const FIRST_SHARE_WITH_CLIENTS: f64 = 0.5;

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Edge cases: input validation",
    question: "What happens with bad input?",
    from_budget: Budget::Quick,
    basis: Basis::Answers,
    needs: &["coverage"],
    time: Time::Bounded {
        usual_s: [3.0, 11.0, 100.0],
        most_s: [8.0, 25.0, 240.0],
        answers: [12.0, 44.0, 400.0],
    },
    build: |context, value| {
        let asked: InputValidationParams = params(value)?;
        let cases = match context.budget {
            Budget::Quick => 24,
            Budget::Standard => 60,
            Budget::Thorough => 300,
        };
        Ok(Box::new(InputValidation {
            cases_max: asked.cases_max.unwrap_or(cases) as usize,
            duration_s: asked.duration_s.unwrap_or(context.time_s),
            destructive: asked.destructive,
            clients: asked.clients.unwrap_or(false),
            seed: context.seed,
            limits: context.limits.clone(),
            stage: 0,
            plans: Vec::new(),
            rests: None,
            after: Clients::default(),
        }))
    },
    schema: || schema_for!(InputValidationParams),
    example: "[experiment.input-validation]\ncases_max = 60\nclients = true\n",
};

/// Parameters of the input validation experiment.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct InputValidationParams {
    /// At most so many bad requests to each endpoint. By default 24 (quick), 60 (standard) or 300 (thorough).
    pub cases_max: Option<u32>,
    /// Stop after so many seconds. By default 8 (quick), 25 (standard) or 240 (thorough).
    pub duration_s: Option<f64>,
    /// Also send bad input to endpoints with the methods DELETE, PUT and PATCH.
    pub destructive: bool,
    /// Also try clients whose body stops half-way, and clients that leave before the answer. A target that cannot bear them
    /// may be of no use afterwards. By default not.
    pub clients: Option<bool>,
}

struct InputValidation {
    cases_max: usize,
    duration_s: f64,
    destructive: bool,
    clients: bool,
    seed: u64,
    limits: Limits,
    stage: u8,
    plans: Vec<Plan>,
    /// What is asked after a pause; `None` before it is its turn.
    rests: Option<VecDeque<Phase>>,
    after: Clients,
}

/// Name of the phase in which a good request is sent after a pause.
fn rest_name(endpoint: &str) -> String {
    format!("after a pause: {endpoint}")
}

impl Experiment for InputValidation {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        loop {
            self.stage = self.stage.saturating_add(1);
            match self.stage {
                1 => {
                    self.plans = self.plan(run);
                    let share = if self.clients {
                        FIRST_SHARE_WITH_CLIENTS
                    } else {
                        FIRST_SHARE
                    };
                    plan::pace(&mut self.plans, run, share * self.duration_s);
                    let scenarios = self.plans.iter().map(|p| p.scenario(run, &p.first)).collect();
                    return self.step(run, FIRST, scenarios, share * self.duration_s);
                }
                2 => {
                    let Some(first) = run.phase(NAME, FIRST) else {
                        return Step::Done;
                    };
                    for plan in &mut self.plans {
                        plan.plan_repeats(first);
                    }
                    let again = self.plans.iter().filter(|p| !p.again.is_empty());
                    let scenarios: Vec<Scenario> = again.map(|p| p.scenario(run, &p.again)).collect();
                    if !scenarios.is_empty() {
                        let share = if self.clients { 0.5 } else { 1.0 };
                        return self.step(run, AGAIN, scenarios, share * self.left_s(run));
                    }
                }
                3 => {
                    let mut rests = self.rests.take().unwrap_or_else(|| self.plan_rests(run));
                    let next = rests.pop_front();
                    self.rests = Some(rests);
                    if let Some(phase) = next {
                        self.stage -= 1;
                        return Step::Run(phase);
                    }
                }
                4 if self.clients => {
                    self.after = Clients::plan(&self.plans, run, &self.limits, self.left_s(run));
                }
                4 => return Step::Done,
                _ => return self.after.next().map_or(Step::Done, Step::Run),
            }
        }
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let Some(first) = run.phase(NAME, FIRST) else {
            return Vec::new();
        };
        let again = run.phase(NAME, AGAIN);
        let judged: Vec<judge::Judged<'_>> = self
            .plans
            .iter()
            .map(|plan| judge::Judged::new(plan, first, again, run.phase(NAME, &rest_name(&plan.endpoint))))
            .collect();
        findings::findings(&judged, &self.after, &plan::gaps(run), run, first)
    }
}

impl InputValidation {
    fn plan(&self, run: &RunView<'_>) -> Vec<Plan> {
        let mut plans: Vec<Plan> = Vec::new();
        let working = run.working_endpoints();
        for endpoint in &run.surface.endpoints {
            if !self.destructive && is_destructive(&endpoint.method) {
                continue;
            }
            let works = working.iter().any(|e| e.name == endpoint.name);
            let answers = works && !has_stopped(run, endpoint);
            let base = good_sample(endpoint, run).filter(|_| answers);
            // What is made by bad input would stand in the way of what is asked next.
            let is_tested = (endpoint.is_work() || endpoint.role == Role::Listing)
                && endpoint.role != Role::Tile
                && !endpoint.creates();
            // A tool may do anything with what it takes: only those are called wrongly that are called often anyway.
            let is_tested = is_tested && (!endpoint.is_tool() || plan::may_be_loaded(run, endpoint));
            let mut cases = base
                .filter(|_| is_tested)
                .map_or_else(Vec::new, |base| generate::cases(endpoint, base, self.seed));
            cases.retain(|c| {
                c.class != Class::WrongMethod || !plan::is_declared(run, endpoint, &c.request.method)
            });
            // A bad file that is kept would stand in the way, too.
            if run.surface.leaves_behind(endpoint) {
                let is_opaque = base.is_some_and(|good| forms::is_opaque(&good.request));
                cases.retain(|c| !(c.class.is_file() || is_opaque && c.class == Class::EmptyBody));
            }
            // Credentials can be judged where nothing is answered without them, too.
            if let (Some(header), Some(sample)) = (
                plan::guard(run, &endpoint.name),
                base.or(endpoint.samples.first()),
            ) {
                cases.splice(0..0, generate::credentials(&sample.request, header));
            }
            cases.truncate(self.cases_max.max(1));
            plans.push(Plan {
                generates: base.is_some_and(|good| plan::is_generating(run, endpoint, good)),
                ..Plan::new(&endpoint.name, base.map(|b| b.request.clone()), cases)
            });
        }
        plans.sort_by_key(|p| {
            run.surface
                .endpoints
                .iter()
                .find(|e| e.name == p.endpoint)
                .is_none_or(|e| e.role != Role::Inference)
        });
        plans.retain(|p| !p.cases.is_empty());
        if !plans.is_empty() {
            plans.push(Plan::new(
                NO_ENDPOINT,
                None,
                vec![generate::unknown_path(self.seed)],
            ));
        }
        plans
    }

    /// The good request twice, with a pause between and nothing beside it, where only that tells a target that is full from one
    /// that bad input broke.
    fn plan_rests(&self, run: &RunView<'_>) -> VecDeque<Phase> {
        let Some(first) = run.phase(NAME, FIRST) else {
            return VecDeque::new();
        };
        let again = run.phase(NAME, AGAIN);
        self.plans
            .iter()
            .filter(|plan| judge::Judged::new(plan, first, again, None).needs_rest(PAUSE_S))
            .take(PAUSES_MAX)
            .map(|plan| Phase {
                name: rest_name(&plan.endpoint),
                experiment: NAME.to_owned(),
                scenarios: vec![plan.scenario(run, &[plan::Sent::Good])],
                shape: Shape::Closed {
                    connections: 1,
                    requests: Some(2),
                    duration_s: None,
                    think_ms: 1000.0 * PAUSE_S,
                },
                limits: Limits {
                    timeout_ms: self.timeout_ms(run),
                    keep_alive: false,
                    ..self.limits.clone()
                },
                capture: Capture::responses(2),
            })
            .collect()
    }

    fn step(&self, run: &RunView<'_>, name: &str, scenarios: Vec<Scenario>, duration_s: f64) -> Step {
        if scenarios.is_empty() {
            return Step::Done;
        }
        let requests: usize = scenarios.iter().map(|s| s.items.len()).sum();
        Step::Run(Phase {
            name: name.to_owned(),
            experiment: NAME.to_owned(),
            scenarios,
            shape: Shape::Once {
                duration_s: Some(duration_s.max(0.1)),
            },
            // A server may close a connection after it refused something, and need not say so before the next request is on
            // its way: on a connection of its own no request pays for another.
            limits: Limits {
                timeout_ms: self.timeout_ms(run),
                keep_alive: false,
                ..self.limits.clone()
            },
            capture: Capture {
                responses_max: requests as u32,
                body_bytes_max: 16 << 10,
                digests: true,
            },
        })
    }

    /// What is left of the time.
    fn left_s(&self, run: &RunView<'_>) -> f64 {
        let spent: f64 = run
            .of(NAME)
            .map(|p| (p.summary.ended - p.summary.started).as_millis_f64() / 1000.0)
            .sum();
        self.duration_s - spent
    }

    /// Bad input must not take much longer than good: three times the slowest good answer and 5 s, at most the limit.
    fn timeout_ms(&self, run: &RunView<'_>) -> u64 {
        plan::slowest_good(run).map_or(self.limits.timeout_ms, |slowest: Nanos| {
            self.limits
                .timeout_ms
                .min(3 * slowest.as_millis_f64() as u64 + 5_000)
        })
    }
}

#[cfg(test)]
mod tests {
    use prony_model::{Budget, Finding, Protection, Request, Verdict};
    use serde_json::json;

    use crate::fake::library::{Faults, Library, surface};
    use crate::fake::{Reply, complaints, run};

    const BOTH: [&str; 2] = ["coverage", "input-validation"];

    fn judged(faults: Faults, budget: Budget) -> Vec<Finding> {
        let mut library = Library::new(faults);
        run(&BOTH, &surface(), budget, |r| library.answer(r)).1
    }

    /// The sound library, but for what `target` answers.
    fn but_for(mut target: impl FnMut(&Request) -> Option<Reply>) -> Vec<Finding> {
        let mut library = Library::new(Faults::default());
        run(&BOTH, &surface(), Budget::Thorough, |r| {
            target(r).unwrap_or_else(|| library.answer(r))
        })
        .1
    }

    fn find<'a>(findings: &'a [Finding], id: &str) -> &'a Finding {
        findings.iter().find(|f| f.id == id).unwrap_or_else(|| {
            panic!(
                "no {id}: {:?}",
                findings.iter().map(|f| &f.id).collect::<Vec<_>>()
            )
        })
    }

    #[test]
    fn a_sound_target_draws_no_complaint() {
        for budget in [Budget::Quick, Budget::Standard, Budget::Thorough] {
            let findings = judged(Faults::default(), budget);
            assert_eq!(complaints(&findings), [""; 0], "{findings:#?}");
            assert_eq!(find(&findings, "input-validation").verdict, Verdict::Pass);
        }
    }

    #[test]
    fn a_server_error_on_a_long_id_is_named_in_plain_words() {
        let findings = judged(
            Faults {
                crashes_on_long_id: true,
                ..Faults::default()
            },
            Budget::Quick,
        );
        let crash = find(&findings, "server-error-on-input");
        assert_eq!(crash.verdict, Verdict::Fail);
        assert_eq!(crash.endpoint, "GET /v1/documents/{id}");
        assert!(
            crash.title.contains("over-long `id` (2,000 characters)"),
            "{}",
            crash.title
        );
        assert!(crash.title.contains("500"), "{}", crash.title);
        assert_eq!(find(&findings, "leaks-internals").verdict, Verdict::Fail);
        assert_eq!(
            complaints(&findings),
            ["input-validation", "leaks-internals", "server-error-on-input"]
        );
    }

    #[test]
    fn bad_input_taken_silently_is_a_warning_per_class() {
        let findings = judged(
            Faults {
                accepts_anything: true,
                ..Faults::default()
            },
            Budget::Standard,
        );
        let accepted: Vec<&Finding> = findings.iter().filter(|f| f.id == "bad-input-accepted").collect();
        assert!(accepted.iter().all(|f| f.verdict == Verdict::Warn && !f.required));
        assert!(
            accepted.iter().any(|f| f.title.contains("missing `document`")),
            "{accepted:#?}"
        );
        assert!(!findings.iter().any(|f| f.verdict == Verdict::Fail && f.required));
    }

    #[test]
    fn markup_in_html_is_reflected_and_in_json_it_is_not() {
        let findings = judged(
            Faults {
                reflects_html: true,
                ..Faults::default()
            },
            Budget::Standard,
        );
        assert_eq!(find(&findings, "reflected-markup").verdict, Verdict::Fail);
        let in_json = but_for(|r| {
            r.path
                .contains("script")
                .then(|| Reply::json(404, &json!({"detail": "no <script>alert(733101)</script>"})))
        });
        assert!(!complaints(&in_json).contains(&"reflected-markup"));
    }

    #[test]
    fn one_server_error_of_three_is_flaky_and_a_cut_connection_is_a_failure() {
        let mut calls = 0;
        let flaky = but_for(|r| {
            let long = r.path == "/v1/classify" && r.body.to_bytes().is_some_and(|b| b.is_empty());
            calls += usize::from(long);
            (long && calls == 1).then(|| Reply::json(500, &json!({})))
        });
        assert_eq!(find(&flaky, "server-error-on-input").counted(), Verdict::Warn);
        let cut = but_for(|r| (r.path.contains("aaaaaaaa")).then(Reply::reset));
        assert_eq!(find(&cut, "server-error-on-input").verdict, Verdict::Fail);
        assert!(
            find(&cut, "server-error-on-input")
                .title
                .contains("lost its connection")
        );
    }

    #[test]
    fn a_huge_body_may_be_answered_by_closing() {
        let findings = but_for(|r| {
            r.body
                .to_bytes()
                .is_some_and(|b| b.len() > 50_000)
                .then(Reply::reset)
        });
        assert_eq!(complaints(&findings), [""; 0]);
    }

    #[test]
    fn a_target_that_stays_broken_is_critical() {
        let mut dead = false;
        let findings = but_for(|r| {
            dead |= r.path == "/v1/classify" && r.body.to_bytes().is_some_and(|b| b == b"[]");
            dead.then(|| Reply::json(500, &json!({"error": "gone"})))
        });
        let broken = find(&findings, "broken-by-input");
        assert_eq!(
            (broken.verdict, broken.severity),
            (Verdict::Fail, prony_model::Severity::Critical)
        );
    }

    #[test]
    fn a_full_target_is_not_broken_unless_it_stays_full() {
        let good = |r: &Request| r.path == "/v1/classify" && r.body.to_bytes().is_some_and(|b| b.len() > 12);
        let full = || Reply::json(503, &json!({"error": "no room"}));
        // A place is held for a while by what came before.
        let mut before = None;
        let mut calls = 0;
        let busy = but_for(|r| {
            calls += 1;
            let same = before.replace(r.clone()).as_ref() == Some(r);
            (calls > 60 && good(r) && !same).then(full)
        });
        assert!(!complaints(&busy).contains(&"broken-by-input"), "{busy:#?}");
        let mut dead = false;
        let broken = but_for(|r| {
            dead |= r.path == "/v1/classify" && r.body.to_bytes().is_some_and(|b| b == b"[]");
            (dead && r.path == "/v1/classify").then(full)
        });
        assert_eq!(
            find(&broken, "broken-by-input").severity,
            prony_model::Severity::Critical
        );
    }

    #[test]
    fn effects_of_hostile_texts_are_seen() {
        let with = |r: &Request| String::from_utf8_lossy(&r.body.to_bytes().unwrap_or_default()).into_owned();
        let template = but_for(|r| {
            with(r).contains("7331*7919").then(|| {
                Reply::json(
                    200,
                    &json!({"hits": [], "q": "prony58054189ynorp prony${7331*7919}ynorp"}),
                )
            })
        });
        assert_eq!(find(&template, "text-was-executed").verdict, Verdict::Fail);
        let told = but_for(|r| {
            with(r)
                .contains("7331*7919")
                .then(|| Reply::json(200, &json!({"hits": [], "q": "7331 times 7919 is 58054189"})))
        });
        assert!(!complaints(&told).contains(&"text-was-executed"), "{told:#?}");
        let passwd = but_for(|r| {
            r.path
                .contains("passwd")
                .then(|| Reply::bytes(200, "text/plain", b"root:x:0:0:root:/root:/bin/sh".to_vec()))
        });
        assert_eq!(
            find(&passwd, "text-was-executed").severity,
            prony_model::Severity::Critical
        );
    }

    #[test]
    fn text_that_changes_on_its_way_and_database_errors_are_seen() {
        let with = |r: &Request, text: &str| {
            String::from_utf8_lossy(&r.body.to_bytes().unwrap_or_default()).contains(text)
        };
        let mangled = but_for(|r| {
            let latin: String = "\u{65e5}\u{672c}\u{8a9e}".bytes().map(char::from).collect();
            with(r, "\u{65e5}\u{672c}").then(|| Reply::json(200, &json!({ "document": latin })))
        });
        assert_eq!(find(&mangled, "mangled-text").verdict, Verdict::Fail);
        let sql =
            but_for(|r| with(r, "'1'='1'").then(|| Reply::json(200, &json!({"warning": "SQLSTATE[42000]"}))));
        assert_eq!(find(&sql, "database-error").verdict, Verdict::Fail);
    }

    #[test]
    fn credentials_are_tried_where_the_document_asks_for_them() {
        let mut surface = surface();
        surface.protected.insert(
            "GET /v1/documents".into(),
            vec![Protection::Authorization("Bearer".into())],
        );
        let judged = |checks: bool| {
            let mut library = Library::new(Faults::default());
            run(&BOTH, &surface, Budget::Quick, |r| {
                // The run's own credentials are not among a request's headers; ours take their place.
                let ours = r.headers.iter().any(|h| h.name == "authorization");
                if checks && ours && r.path == "/v1/documents" {
                    return Reply::json(401, &json!({"error": "who are you?"}));
                }
                library.answer(r)
            })
            .1
        };
        let open = judged(false);
        let found = find(&open, "credentials-not-checked");
        assert_eq!(
            (found.verdict, found.severity),
            (Verdict::Fail, prony_model::Severity::Critical)
        );
        assert!(found.title.contains("GET /v1/documents"), "{}", found.title);
        assert_eq!(complaints(&judged(true)), [""; 0]);
    }

    #[test]
    fn everything_forbidden_decides_nothing() {
        let mut calls = 0;
        let findings = but_for(|_| {
            calls += 1;
            (calls > 60).then(|| Reply::json(403, &json!({"error": "forbidden"})))
        });
        assert_eq!(
            find(&findings, "input-validation-masked").verdict,
            Verdict::Inconclusive
        );
    }
}
