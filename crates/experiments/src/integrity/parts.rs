//! Can a transfer be taken up where it broke off? Parts of what is served as bytes, asked for as RFC 9110 (section 14) says and
//! put together again.

use prony_model::{Capture, PhaseResult, Request};
use prony_model::{
    Captured, Endpoint, Expect, Finding, Header, Item, Limits, Outcome, Phase, Scenario, Severity, Shape,
    Verdict,
};

use super::NAME;
use crate::RunView;
use crate::answer::answers;
use crate::draft::{Draft, source};
use crate::primary::{primary, requests};

const WHOLE: &str = "the whole";
const IN_PARTS: &str = "in parts";
/// Places at which the transfer is cut.
const CUTS: u64 = 4;
/// Endpoints that are asked for the whole.
const ENDPOINTS_MAX: usize = 6;
/// Smaller answers are not taken up again.
const BYTES_MIN: u64 = 64;
/// Most bytes of an answer that are held.
const BYTES_MAX: u32 = Captured::BYTES_MAX as u32;

/// What is asked in the second phase.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ask {
    /// From this byte on, if it is still the same.
    From(u64),
    /// From this byte on, if it is something else: the whole must come.
    IfOther(u64),
    /// From past the end on.
    PastTheEnd,
}

/// The asking for parts of one endpoint.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts {
    stage: u32,
    endpoint: String,
    asked: Vec<Ask>,
}

impl Parts {
    /// The next phase.
    pub(super) fn next(
        &mut self,
        run: &RunView<'_>,
        limits: &Limits,
        duration_s: f64,
        seed: u64,
    ) -> Option<Phase> {
        self.stage += 1;
        let scenarios = match self.stage {
            1 => {
                let served: Vec<&Endpoint> = primary(run, usize::MAX)
                    .into_iter()
                    .filter(|e| e.method == "GET")
                    .take(ENDPOINTS_MAX)
                    .collect();
                served
                    .into_iter()
                    .filter_map(|e| {
                        Some(Scenario::new(
                            e.name.clone(),
                            vec![requests(run, e).into_iter().next()?],
                        ))
                    })
                    .collect()
            }
            2 => self.second(run, seed)?,
            _ => return None,
        };
        let n: usize = scenarios.iter().map(|s: &Scenario| s.items.len()).sum();
        (n > 0).then(|| Phase {
            name: if self.stage == 1 { WHOLE } else { IN_PARTS }.to_owned(),
            experiment: NAME.to_owned(),
            scenarios,
            shape: Shape::Once {
                duration_s: Some(duration_s / 2.0),
            },
            limits: limits.clone(),
            capture: Capture {
                responses_max: n as u32,
                body_bytes_max: BYTES_MAX,
                digests: true,
            },
        })
    }

    /// The parts of the first endpoint that promises them.
    fn second(&mut self, run: &RunView<'_>, seed: u64) -> Option<Vec<Scenario>> {
        let first = run.phase(NAME, WHOLE)?;
        let (scenario, whole) = first.phase.scenarios.iter().find_map(|scenario| {
            let whole = captured(first, &scenario.name, 0)?;
            (promises(whole) && whole.body_bytes >= BYTES_MIN).then_some((scenario, whole))
        })?;
        self.endpoint.clone_from(&scenario.name);
        let length = whole.body_bytes;
        // Only what was held of the whole can be compared.
        let held = length.min(u64::from(BYTES_MAX));
        let cut = |k: u64| 1 + crate::dzi::mix(seed ^ k) % (held - 1);
        self.asked = (0..CUTS).map(|k| Ask::From(cut(k))).collect();
        if validator(whole).is_some() {
            self.asked.push(Ask::IfOther(cut(CUTS)));
        }
        self.asked.push(Ask::PastTheEnd);
        let request = &scenario.items[0].request;
        let items = self.asked.iter().map(|ask| Item {
            request: asking(request, ask, whole),
            expect: Expect {
                status: vec![200, 206, 416],
                ..Expect::default()
            },
        });
        Some(vec![Scenario::new(self.endpoint.clone(), items.collect())])
    }

    /// What came of it; `None` where nothing promised parts.
    pub(super) fn finding(&self, run: &RunView<'_>) -> Option<Finding> {
        let whole = captured(run.phase(NAME, WHOLE)?, &self.endpoint, 0)?;
        let phase = run.phase(NAME, IN_PARTS)?;
        let mut faults = Vec::new();
        let mut checked = 0;
        for (at, ask) in self.asked.iter().enumerate() {
            let Some(answer) = captured(phase, &self.endpoint, at) else {
                continue;
            };
            checked += 1;
            faults.extend(fault(ask, answer, whole));
        }
        let evidence = source(phase, &self.endpoint);
        let endpoint = &self.endpoint;
        let draft = Draft::new(NAME, "resume", endpoint)
            .figure(
                "parts asked for",
                f64::from(checked),
                "requests",
                checked as usize,
                &evidence,
            )
            .figure(
                "wrong",
                faults.len() as f64,
                "requests",
                checked as usize,
                &evidence,
            );
        let how = "The answer promises parts (Accept-Ranges: bytes). It was cut at random places and asked for from there with Range \
                   and If-Range; then with an If-Range that does not match, where the whole must come, and from past its end, \
                   which must be 416 (RFC 9110, section 14).";
        Some(if checked == 0 {
            draft
                .verdict(Verdict::Inconclusive, Severity::Low)
                .advisory()
                .title(format!("No part of {endpoint} was answered"))
                .done()
        } else if faults.is_empty() {
            draft
                .title(format!(
                    "A broken transfer of {endpoint} can be taken up: {checked} requests for parts were answered right"
                ))
                .detail(how)
                .done()
        } else {
            draft
                .verdict(Verdict::Fail, Severity::High)
                .title(format!("{} of {checked} requests for parts of {endpoint} were answered wrong", faults.len()))
                .detail(format!("{how} {}.", faults.join("; ")))
                .advice(
                    "Serve parts as RFC 9110 asks, or leave Accept-Ranges out: a client that resumes gets a damaged file.",
                    "",
                )
                .done()
        })
    }
}

fn captured<'a>(phase: &'a PhaseResult, scenario: &str, item: usize) -> Option<&'a Captured> {
    answers(phase, scenario)
        .into_iter()
        .find(|a| a.item as usize == item && a.sample.outcome == Outcome::Ok)
        .and_then(|a| a.captured)
}

fn promises(whole: &Captured) -> bool {
    whole
        .header("accept-ranges")
        .is_some_and(|v| v.to_ascii_lowercase().contains("bytes"))
}

/// What tells a version of the answer from another: a strong entity tag, else the date.
fn validator(whole: &Captured) -> Option<&str> {
    whole
        .header("etag")
        .filter(|tag| !tag.starts_with("W/"))
        .or_else(|| whole.header("last-modified"))
}

fn asking(request: &Request, ask: &Ask, whole: &Captured) -> Request {
    let mut request = request.clone();
    let mut header = |name: &str, value: String| request.headers.push(Header::new(name, value));
    match ask {
        Ask::From(from) => {
            header("range", format!("bytes={from}-"));
            if let Some(validator) = validator(whole) {
                header("if-range", validator.to_owned());
            }
        }
        Ask::IfOther(from) => {
            header("range", format!("bytes={from}-"));
            header("if-range", "\"prony-no-such-version\"".to_owned());
        }
        Ask::PastTheEnd => header("range", format!("bytes={}-", whole.body_bytes + 1000)),
    }
    request
}

/// The bytes that were held of a body.
pub(super) fn held(captured: &Captured) -> &[u8] {
    if captured.binary {
        &captured.bytes
    } else {
        captured.body.as_bytes()
    }
}

/// What is wrong with the answer to a request for a part.
fn fault(ask: &Ask, answer: &Captured, whole: &Captured) -> Option<String> {
    let length = whole.body_bytes;
    match (ask, answer.status) {
        (Ask::From(from), 206) => {
            let expected = format!("bytes {from}-{}/{length}", length - 1);
            let said = answer.header("content-range").unwrap_or("none");
            let unknown_length = format!("bytes {from}-{}/*", length - 1);
            if said != expected && said != unknown_length {
                return Some(format!("from byte {from} on: Content-Range is not {expected:?}"));
            }
            let rest = &held(whole)[(*from as usize).min(held(whole).len())..];
            let part = held(answer);
            let same = part.len().min(rest.len());
            let right = part[..same] == rest[..same] && (same > 0) && answer.body_bytes == length - from;
            (!right).then(|| format!("from byte {from} on: the parts put together are not the whole"))
        }
        (Ask::From(from), 200) => (answer.digest != whole.digest)
            .then(|| format!("from byte {from} on: an answer that is neither the part nor the whole")),
        (Ask::From(from), status) => Some(format!("from byte {from} on: status {status}")),
        (Ask::IfOther(_), 200) => (answer.digest != whole.digest)
            .then(|| "an If-Range that does not match: not the whole".to_owned()),
        (Ask::IfOther(_), status) => Some(format!(
            "an If-Range that does not match: status {status} and not the whole"
        )),
        // A server may ignore a range that it cannot satisfy only by sending the whole.
        (Ask::PastTheEnd, 416) => None,
        (Ask::PastTheEnd, 200) => (answer.digest != whole.digest)
            .then(|| "from past the end on: neither 416 nor the whole".to_owned()),
        (Ask::PastTheEnd, status) => Some(format!("from past the end on: status {status} and not 416")),
    }
}

#[cfg(test)]
mod tests {
    use prony_model::{Captured, Header, Outcome};

    use super::{Ask, fault};

    const TEXT: &str = "The quick brown fox jumps over the lazy dog, and then it rests.";

    fn answer(status: u16, body: &str, range: Option<&str>) -> Captured {
        Captured {
            seq: 0,
            scenario: 0,
            item: 0,
            status,
            outcome: Outcome::Ok,
            headers: range
                .map(|r| Header::new("content-range", r))
                .into_iter()
                .collect(),
            body: body.to_owned(),
            body_bytes: body.len() as u64,
            cut: false,
            binary: false,
            head: String::new(),
            bytes: Vec::new(),
            digest: format!("{body:?}"),
            error: String::new(),
        }
    }

    #[test]
    fn right_parts_pass_and_wrong_ones_are_named() {
        let whole = answer(200, TEXT, None);
        let n = TEXT.len();
        let range = format!("bytes 10-{}/{n}", n - 1);
        let of = |status, body: &str, range: Option<&str>| {
            fault(&Ask::From(10), &answer(status, body, range), &whole)
        };
        assert_eq!(of(206, &TEXT[10..], Some(&range)), None);
        assert_eq!(of(200, TEXT, None), None);
        assert!(of(206, &TEXT[9..n - 1], Some(&range)).is_some());
        assert!(of(206, &TEXT[10..20], Some(&range)).is_some());
        assert!(of(206, &TEXT[10..], Some("bytes 9-62/63")).is_some());
        assert!(of(206, &TEXT[10..], None).is_some());
        assert!(of(200, &TEXT[10..], None).is_some());
        assert!(of(416, "", None).is_some());
        let other =
            |status, body: &str| fault(&Ask::IfOther(10), &answer(status, body, Some(&range)), &whole);
        assert_eq!(other(200, TEXT), None);
        assert!(other(206, &TEXT[10..]).is_some());
        let past = |status, body: &str| fault(&Ask::PastTheEnd, &answer(status, body, None), &whole);
        assert_eq!((past(416, ""), past(200, TEXT)), (None, None));
        assert!(past(206, "").is_some() && past(500, "").is_some());
    }
}
