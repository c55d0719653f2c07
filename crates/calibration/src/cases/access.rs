//! The experiments on credentials and rate limits against servers that keep them well or badly.

use std::borrow::Cow;
use std::collections::BTreeMap;

use prony_engine::Scripted;
use prony_model::{
    Budget, Endpoint, Expect, Finding, Nanos, Request, Role, SampleRequest, Secret, Surface, Verdict,
};
use serde_json::json;

use crate::drive::Drive;
use crate::measure::{Bound, Case, Kind, Measure};

const TOKEN: &str = "s3cr3t-T0KEN-0123456789";

fn surface() -> Surface {
    let endpoint = Endpoint {
        name: "GET /work".to_owned(),
        method: "GET".to_owned(),
        path: "/work".to_owned(),
        role: Role::Resource,
        parameters: Vec::new(),
        body_schema: None,
        declared_statuses: Vec::new(),
        samples: vec![SampleRequest {
            request: Request::get("/work"),
            inputs: BTreeMap::new(),
        }],
        expect: Expect::default(),
    };
    Surface {
        endpoints: vec![endpoint],
        ..Surface::default()
    }
}

fn finding(
    name: &str,
    seed: u64,
    params: serde_json::Value,
    server: impl Scripted + 'static,
) -> Option<Finding> {
    let surface = surface();
    let drive = Drive {
        surface: &surface,
        budget: Budget::Thorough,
        seed,
        monitor: &mut |_| Vec::new(),
    };
    let secret = Secret::new(format!("Bearer {TOKEN}"));
    let driven = drive.run_with(Some(("authorization", secret)), &[(name, params)], server);
    let shown = format!("{:?}", (&driven.findings, &driven.phases));
    let half = &TOKEN[..TOKEN.len() / 2];
    assert!(!shown.contains(half), "a secret was shown");
    driven.finding(name).cloned()
}

fn reply(status: &str, headers: &str, body: &str) -> Cow<'static, [u8]> {
    let answer = format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    Cow::Owned(answer.into_bytes())
}

/// How a server checks a credential.
#[derive(Clone, Copy, Debug)]
enum Guard {
    Sound,
    Open,
    /// Only whether the header is there.
    AnyHeader,
    /// Only that it is not empty.
    NotEmpty,
    /// Whether the right one begins with what was sent.
    Prefix,
    /// The content comes with the 401.
    Leaks,
    /// Another answer to a part of the right one.
    Oracle,
    /// Crashes without one.
    Crashes,
}

const CONTENT: &str = "{\"work\": \"done, and worth something\"}";

struct Door(Guard);

impl Scripted for Door {
    fn take(&mut self, now: Nanos, request: &[u8]) -> (Cow<'static, [u8]>, Nanos) {
        let text = String::from_utf8_lossy(request).into_owned();
        let sent = text
            .lines()
            .find_map(|line| line.strip_prefix("authorization:"))
            .map(str::trim);
        let token = sent.and_then(|s| s.strip_prefix("Bearer ")).unwrap_or_default();
        let right = token == TOKEN;
        let begins = !token.is_empty() && TOKEN.starts_with(token);
        let lets_in = match self.0 {
            Guard::Open => true,
            Guard::AnyHeader => sent.is_some(),
            Guard::NotEmpty => sent.is_some_and(|s| !s.is_empty()),
            Guard::Prefix => begins,
            _ => right,
        };
        let answer = match self.0 {
            _ if lets_in => reply("200 OK", "", CONTENT),
            Guard::Leaks => reply("401 Unauthorized", "", CONTENT),
            Guard::Oracle if begins => reply("401 Unauthorized", "", "the token is too short"),
            Guard::Crashes if sent.is_none() => reply("500 Internal Server Error", "", "oops"),
            _ => reply("401 Unauthorized", "", "no"),
        };
        (answer, now + Nanos::from_millis_f64(1.0))
    }
}

pub(super) const CREDENTIALS: Case = Case {
    question: "auth",
    criterion: "Every way to keep a door badly is found, and a sound or an open one (that nobody calls closed) is not complained \
                of. No part of the secret is in a finding or in what was recorded.",
    remark: "",
    run: |effort| {
        let cases = [
            (Guard::Sound, Verdict::Pass),
            (Guard::Open, Verdict::Pass),
            (Guard::AnyHeader, Verdict::Fail),
            (Guard::NotEmpty, Verdict::Fail),
            (Guard::Prefix, Verdict::Fail),
            (Guard::Leaks, Verdict::Fail),
            (Guard::Oracle, Verdict::Warn),
            (Guard::Crashes, Verdict::Warn),
        ];
        let runs = effort.each(cases.len() as u64, |k| {
            let (guard, wanted) = cases[k as usize];
            finding("auth", k, json!({}), Door(guard)).is_some_and(|f| f.verdict == wanted)
        });
        vec![Measure::rate("doors judged right", &runs, Bound::AtLeast(1.0))]
    },
};

/// A bucket of tokens: so many per second, so many saved up.
struct Bucket {
    per_s: f64,
    room: f64,
    tokens: f64,
    at: Nanos,
    /// Whether Retry-After is told, and whether it is true.
    tells: bool,
    lies: bool,
    /// Never lets anything through again, once it refused.
    sulks: bool,
    refused: bool,
    /// Until when a liar lets nothing through.
    shut: Nanos,
}

impl Bucket {
    fn new(per_s: f64) -> Self {
        Self {
            per_s,
            room: per_s.max(1.0),
            tokens: per_s.max(1.0),
            at: Nanos::ZERO,
            tells: true,
            lies: false,
            sulks: false,
            refused: false,
            shut: Nanos::ZERO,
        }
    }
}

impl Scripted for Bucket {
    fn take(&mut self, now: Nanos, _: &[u8]) -> (Cow<'static, [u8]>, Nanos) {
        self.tokens = (self.tokens + (now - self.at).as_secs_f64() * self.per_s).min(self.room);
        self.at = now;
        let answer = if self.tokens >= 1.0 && now >= self.shut && !(self.sulks && self.refused) {
            self.tokens -= 1.0;
            reply("200 OK", "", "{}")
        } else {
            self.refused = true;
            let wait_s = ((1.0 - self.tokens) / self.per_s).max(0.0).ceil();
            let header = match (self.tells, self.lies) {
                (false, _) => String::new(),
                (true, false) => format!("retry-after: {wait_s}\r\n"),
                (true, true) => {
                    if now >= self.shut {
                        self.shut = now + Nanos::from_secs_f64(5.0);
                    }
                    "retry-after: 1\r\n".to_owned()
                }
            };
            reply("429 Too Many Requests", &header, "")
        };
        (answer, now + Nanos::from_millis_f64(1.0))
    }
}

pub(super) const RATE_LIMITS: Case = Case {
    question: "rate-limit",
    criterion: "What a limiter lets through is within 10 % of the truth, nothing is said against a sound one, and one that keeps silent, \
                lies or does not recover is found, at limits from 0.7 to 60 per second, in five minutes. That a sound one's \
                Retry-After is true is seen in at least 80 %; elsewhere it is said that it was not seen.",
    remark: "",
    run: |effort| {
        // Seeds in a row are not limits in a row, so that a few runs see all of them.
        let limit = |seed: u64| 0.7 * (60.0_f64 / 0.7).powf((seed * 17 % 40) as f64 / 39.0);
        let look = |seed: u64, bucket: Bucket| {
            finding(
                "rate-limit",
                seed,
                json!({"always": true, "from": 0.25, "duration_s": 300}),
                bucket,
            )
        };
        let sound = effort.each(40, |seed| {
            let found = look(seed, Bucket::new(limit(seed)));
            let is_right = found.as_ref().is_some_and(|f| {
                f.verdict == Verdict::Pass
                    && f.evidence.iter().any(|e| match e {
                        prony_model::Evidence::Figure(figure)
                            if figure.label == "let through over the limit" =>
                        {
                            (figure.value / limit(seed) - 1.0).abs() <= 0.1
                        }
                        _ => false,
                    })
            });
            let is_seen = found.is_some_and(|f| f.title.contains("; its Retry-After is true"));
            (is_right, is_seen)
        });
        let (through, seen): (Vec<bool>, Vec<bool>) = sound.into_iter().unzip();
        let verdicts = |change: fn(&mut Bucket), wanted: Verdict| {
            effort.each(40, |seed| {
                let mut bucket = Bucket::new(limit(seed));
                change(&mut bucket);
                look(seed, bucket).is_some_and(|f| f.verdict == wanted)
            })
        };
        let at_least = Bound::AtLeast(0.95);
        vec![
            Measure::rate(
                "sound limiters: rate within 10 %, nothing against them",
                &through,
                at_least,
            )
            .counts(Kind::Accuracy),
            Measure::rate(
                "sound limiters: Retry-After seen to be true",
                &seen,
                Bound::AtLeast(0.8),
            ),
            Measure::rate(
                "silent ones found",
                &verdicts(|b| b.tells = false, Verdict::Warn),
                at_least,
            ),
            Measure::rate(
                "lying ones found",
                &verdicts(|b| b.lies = true, Verdict::Fail),
                at_least,
            ),
            Measure::rate(
                "those that do not recover found",
                &verdicts(|b| b.sulks = true, Verdict::Fail),
                at_least,
            ),
        ]
    },
};
