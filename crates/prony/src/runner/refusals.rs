//! What is said of an origin that does not answer, or refuses the requests which were signed for it. Pure; it sees samples and the
//! first words of failures, no keys.

use prony_model::{
    Evidence, Figure, Finding, Outcome, Phase, PhaseResult, Recommendation, S3Sign, Sample, Severity,
    SignSpec, Source, Suite, Verdict,
};

use crate::origins;
use crate::text::clean;

/// What stands before the code of a refusal in the words of a failure.
const SAYS: &str = "the store says ";

/// The origin that a request went to; `None` for the target.
pub(super) fn origin<'a>(phase: &'a Phase, sample: &Sample) -> Option<&'a String> {
    let flow = phase.scenarios.get(usize::from(sample.scenario))?.flow.as_ref();
    let step = flow
        .filter(|_| sample.is_request())?
        .steps
        .get(sample.item as usize)?;
    step.origin.as_ref()
}

/// A finding for each origin that did not answer in a phase, or refused requests that were signed for it.
pub(super) fn refusals(result: &PhaseResult, errors: &[(Outcome, String)], suite: &Suite) -> Vec<Finding> {
    let code = errors
        .iter()
        .find_map(|(_, words)| words.split_once(SAYS))
        .map(|(_, code)| code.trim());
    let mut findings = Vec::new();
    for (name, spec) in origins::used(suite) {
        let here = |s: &&Sample| origin(&result.phase, s) == Some(name);
        let asked = Asked {
            origin: name,
            result,
            sent: result.samples.iter().filter(here).collect(),
        };
        let told = asked.unreached().or_else(|| match &spec.sign {
            Some(SignSpec::S3(sign)) => asked.refused(sign, code),
            None => None,
        });
        findings.extend(told);
    }
    findings
}

/// The requests of a phase that went to an origin.
struct Asked<'a> {
    origin: &'a String,
    result: &'a PhaseResult,
    sent: Vec<&'a Sample>,
}

impl Asked<'_> {
    /// None of them got a connection.
    fn unreached(&self) -> Option<Finding> {
        use Outcome::{ConnectTimeout, Dns, Refused, Tls, Unreachable, WrongProtocol};
        let is_dead = |s: &&&Sample| {
            matches!(
                s.outcome,
                Dns | Refused | Unreachable | Tls | WrongProtocol | ConnectTimeout
            )
        };
        let (first, n) = (self.sent.first()?, self.sent.len());
        let all = self.sent.iter().filter(is_dead).count() == n;
        let title = format!(
            "Origin `{}` was not reached: the first of {n} requests {}",
            self.origin,
            first.outcome.says()
        );
        let advice = format!(
            "Start it, or give the address where it is: --set origin.{}.url=URL.",
            self.origin
        );
        all.then(|| self.finding("origin-unreached", title, first, n, advice))
    }

    /// Signed requests were refused.
    fn refused(&self, sign: &S3Sign, code: Option<&str>) -> Option<Finding> {
        let is_refusal = |status: u16| matches!(status, 401 | 403) || (status == 400 && code.is_some());
        let is_refused = |s: &&&Sample| s.outcome.is_failure() && is_refusal(s.status);
        let refused: Vec<&&Sample> = self.sent.iter().filter(is_refused).collect();
        let first = refused.iter().min_by_key(|s| s.done)?;
        let says = code.map_or_else(String::new, |code| format!(": {}", clean(code, 64)));
        let title = format!(
            "Origin `{}` refused {} of {} signed requests with {}{says}",
            self.origin,
            refused.len(),
            self.sent.len(),
            first.status
        );
        let advice = advice(sign, code.unwrap_or_default());
        Some(self.finding("origin-refused", title, first, refused.len(), advice))
    }

    fn finding(&self, id: &str, title: String, first: &Sample, n: usize, advice: String) -> Finding {
        let step = self.result.phase.scenarios[usize::from(first.scenario)].part(first.item as u16 + 1);
        Finding {
            id: id.to_owned(),
            experiment: self.result.phase.experiment.clone(),
            endpoint: self.origin.clone(),
            verdict: Verdict::Fail,
            severity: Severity::High,
            required: true,
            title,
            detail: format!(
                "The first was step '{}' in phase '{}'. What such requests should have measured was not measured.",
                clean(&step, 120),
                clean(&self.result.phase.name, 80)
            ),
            evidence: vec![Evidence::Figure(Figure {
                label: "requests to it that came to nothing".to_owned(),
                value: n as f64,
                unit: "requests".to_owned(),
                ci: None,
                n: self.sent.len() as u64,
                source: Source {
                    phase: Some(self.result.index),
                    scenario: step,
                },
            })],
            recommendation: Some(Recommendation {
                advice,
                because: String::new(),
            }),
        }
    }
}

/// What to do, by the store's own code.
fn advice(sign: &S3Sign, code: &str) -> String {
    let from = |file: &Option<String>, variable: &String| match file {
        Some(file) => format!("in the file {file}"),
        None => format!("in the variable {variable}"),
    };
    let access = from(&sign.access_key_file, &sign.access_key_env);
    let secret = from(&sign.secret_key_file, &sign.secret_key_env);
    match code {
        "InvalidAccessKeyId" | "InvalidClientTokenId" => {
            format!(
                "The store does not know the access key {access}: check it, and that it belongs to this store."
            )
        }
        "SignatureDoesNotMatch" => {
            format!("The secret key {secret} does not belong to the access key {access}: set both anew.")
        }
        "RequestTimeTooSkewed" => "Set this machine's clock: it is too far from the store's.".to_owned(),
        "AuthorizationHeaderMalformed" => {
            format!(
                "Set `sign.s3.region` to the store's own; it is {:?} now.",
                sign.region
            )
        }
        "ExpiredToken" | "InvalidToken" => {
            "Fetch a new session token: this one is not good any more.".to_owned()
        }
        _ => format!(
            "Check that the key {access} may read and write in this bucket, and that its other half {secret} belongs to it."
        ),
    }
}

#[cfg(test)]
mod tests {
    use prony_model::S3Sign;

    use super::advice;

    #[test]
    fn the_next_step_names_where_the_key_is() {
        let sign = S3Sign {
            secret_key_file: Some("/run/key".to_owned()),
            ..S3Sign::default()
        };
        assert!(advice(&sign, "InvalidAccessKeyId").contains("the variable AWS_ACCESS_KEY_ID"));
        assert!(advice(&sign, "SignatureDoesNotMatch").contains("the file /run/key"));
        assert!(advice(&sign, "AuthorizationHeaderMalformed").contains("us-east-1"));
        assert!(advice(&sign, "AccessDenied").contains("may read and write"));
    }
}
