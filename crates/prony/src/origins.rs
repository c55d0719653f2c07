//! Other servers that a suite's flows go to: where they are, and with which keys their requests are signed. Keys come from variables
//! and files; here they are read and never shown.

use std::collections::BTreeMap;
use std::path::Path;

use prony_engine::Target;
use prony_model::{OriginSpec, S3Sign, Secret, SignSpec, Suite, TargetSpec};
use prony_wire::TlsOptions;
use prony_wire::sigv4::Signer;

use crate::diagnostic::Diagnostic;
use crate::sending::{first_line, variable};
use crate::target_url;

/// How a URL begins that means what the embedded backend serves beside its service.
const BESIDE: &str = "beside:";

/// Knobs of a preset with an object store: who started it knows its keys.
const STORE_KEYS: [&str; 2] = ["store_access_key", "store_secret_key"];

/// The name and the base path of a `beside:NAME/base`.
pub(crate) fn beside(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix(BESIDE)?;
    Some(rest.split_at(rest.find('/').unwrap_or(rest.len())))
}

/// The origins that phases of a suite go to: those that steps name and, where redirects are followed, those without keys.
pub(crate) fn used(suite: &Suite) -> Vec<(&String, &OriginSpec)> {
    let limits = suite.phase.iter().filter_map(|phase| phase.limits.as_ref());
    let redirects = limits
        .chain([&suite.run.limits])
        .any(|limits| limits.redirects_max > 0);
    let sent = |name: &String| suite.phase.iter().any(|phase| phase.scenarios.contains(name));
    let named = |origin: &String| {
        let mut scenarios = suite.scenario.iter().filter(|scenario| sent(&scenario.name));
        scenarios.any(|scenario| {
            scenario
                .step
                .iter()
                .any(|step| step.origin.as_ref() == Some(origin))
        })
    };
    let led_to = |spec: &OriginSpec| redirects && spec.sign.is_none();
    let origins = suite.origin.iter();
    origins
        .filter(|(name, spec)| named(name) || led_to(spec))
        .collect()
}

/// Writes where the files of origins are, which start from the suite's folder.
pub(crate) fn settle(suite: &mut Suite, base_dir: &Path) {
    for spec in suite.origin.values_mut() {
        let mut files = vec![&mut spec.cacert];
        if let Some(SignSpec::S3(sign)) = &mut spec.sign {
            files.extend([&mut sign.access_key_file, &mut sign.secret_key_file]);
        }
        for file in files.into_iter().flatten() {
            *file = base_dir.join(&*file).display().to_string();
        }
    }
}

/// The engine's targets for the origins that are used. `beside` is what the embedded backend serves beside its service, by name;
/// `None` when the target is another.
pub(crate) fn targets(
    suite: &Suite,
    beside: Option<&BTreeMap<String, String>>,
) -> anyhow::Result<Vec<(String, Target)>> {
    let mut targets = Vec::new();
    for (name, spec) in used(suite) {
        let (url, own) = match self::beside(&spec.url) {
            None => (spec.url.clone(), false),
            Some((wanted, path)) => (format!("{}{path}", served(name, wanted, beside)?), true),
        };
        let mut target = Target::new(&url)?;
        target.tls = TlsOptions {
            insecure: spec.insecure,
            cacert: spec.cacert.as_ref().map(Into::into),
            ..TlsOptions::default()
        };
        target.headers = spec
            .headers
            .iter()
            .map(|h| (h.name.clone(), Secret::new(&h.value)))
            .collect();
        target.allow_hosts.clone_from(&suite.target.allow_hosts);
        if let Some(SignSpec::S3(sign)) = &spec.sign {
            let keys = if own { own_keys(&suite.target) } else { None };
            target.signer = Some(signer(sign, keys)?);
        }
        targets.push((name.clone(), target));
    }
    Ok(targets)
}

/// What of them a target may echo and must not be kept.
pub(crate) fn secrets(targets: &[(String, Target)]) -> Vec<Secret> {
    let keys = targets.iter().filter_map(|(_, target)| target.signer.as_ref());
    keys.flat_map(|signer| {
        let key = [
            Some(&signer.access_key),
            Some(&signer.secret_key),
            signer.session_token.as_ref(),
        ];
        key.into_iter().flatten().cloned()
    })
    .collect()
}

/// The address of what the embedded backend serves beside its service.
fn served<'a>(
    origin: &str,
    wanted: &str,
    beside: Option<&'a BTreeMap<String, String>>,
) -> Result<&'a String, Diagnostic> {
    let next = format!("give the address of your own: --set origin.{origin}.url=https://HOST/BUCKET");
    let Some(beside) = beside else {
        return Err(Diagnostic::usage(format!(
            "origin `{origin}` is served beside the embedded backend, and the target is another"
        ))
        .next(format!("{next}, or name phases that do without it: --phase NAME")));
    };
    beside.get(wanted).ok_or_else(|| {
        let known: Vec<&str> = beside.keys().map(String::as_str).collect();
        let has = if known.is_empty() {
            "nothing".to_owned()
        } else {
            known.join(", ")
        };
        Diagnostic::usage(format!(
            "the embedded backend serves no `{wanted}` beside its service, which origin `{origin}` asks for; it serves {has}"
        ))
        .next(next)
    })
}

/// The keys of the store that was started with the target.
fn own_keys(spec: &TargetSpec) -> Option<[Secret; 2]> {
    let preset = prony_backend::preset(target_url::preset(&spec.url)?).ok()?;
    let value = |name: &str| {
        let knob = preset.knobs.iter().find(|knob| knob.name == name)?;
        Some(Secret::new(
            spec.knobs.get(name).map_or(knob.default, String::as_str),
        ))
    };
    let [access, secret] = STORE_KEYS.map(value);
    Some([access?, secret?])
}

fn signer(sign: &S3Sign, own: Option<[Secret; 2]>) -> Result<Signer, Diagnostic> {
    let read = |file: &Option<String>, name: &String| {
        let text = match file {
            Some(file) => first_line(Path::new(file)),
            None => variable(name),
        };
        text.map(Secret::new)
    };
    let [access_key, secret_key] = match own {
        Some(keys) => keys,
        None => [
            read(&sign.access_key_file, &sign.access_key_env)?,
            read(&sign.secret_key_file, &sign.secret_key_env)?,
        ],
    };
    let token = sign.session_token_env.as_ref();
    Ok(Signer {
        access_key,
        secret_key,
        session_token: token.map(|name| variable(name).map(Secret::new)).transpose()?,
        region: sign.region.clone(),
        service: "s3".to_owned(),
        unsigned_payload: sign.unsigned_payload,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prony_model::Suite;

    use super::{beside, secrets, targets, used};

    const FLOW: &str = "[origin.unused]\nurl = 'http://192.0.2.1'\nsign.s3 = { secret_key_env = 'NONE' }\n\
                        [[scenario]]\nname = 's'\n[[scenario.step]]\nname = 'put'\norigin = 'store'\nhttp.path = '/k'\n\
                        [[phase]]\nname = 'p'\nscenarios = ['s']\nshape.once = {}\n";

    fn suite(url: &str, store: &str) -> Suite {
        toml::from_str(&format!(
            "[target]\nurl = '{url}'\n[origin.store]\n{store}\n{FLOW}"
        ))
        .unwrap()
    }

    #[test]
    fn only_what_phases_use_is_resolved() {
        let suite = suite("http://127.0.0.1:1", "url = 'http://127.0.0.1:9/bucket'");
        assert_eq!(used(&suite).len(), 1);
        let found = targets(&suite, None).unwrap();
        assert_eq!((found.len(), found[0].0.as_str()), (1, "store"));
        assert_eq!(found[0].1.origin.to_string(), "http://127.0.0.1:9/bucket");
        assert!(found[0].1.headers.is_empty() && found[0].1.signer.is_none());
    }

    #[test]
    fn redirects_may_lead_to_those_without_keys() {
        let mut suite = suite("http://127.0.0.1:1", "url = 'http://127.0.0.1:9/bucket'");
        suite.scenario[0].step[0].origin = None;
        assert!(used(&suite).is_empty());
        suite.run.limits.redirects_max = 3;
        let names: Vec<&String> = used(&suite).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["store"], "the other one has keys");
    }

    #[test]
    fn a_store_beside_the_demo_is_signed_with_its_own_keys() {
        let store = "url = 'beside:store/volume'\nsign.s3 = { access_key_env = 'PRONY_NONE', secret_key_env = 'PRONY_NONE' }";
        let mut suite = suite("demo:runpod", store);
        let served = BTreeMap::from([("store".to_owned(), "http://127.0.0.1:7".to_owned())]);
        let found = targets(&suite, Some(&served)).unwrap();
        assert_eq!(found[0].1.origin.to_string(), "http://127.0.0.1:7/volume");
        assert_eq!(secrets(&found)[1].reveal(), "rps_prony");
        suite
            .target
            .knobs
            .insert("store_secret_key".to_owned(), "other".to_owned());
        assert_eq!(
            secrets(&targets(&suite, Some(&served)).unwrap())[1].reveal(),
            "other"
        );
        let error = targets(&suite, Some(&BTreeMap::new())).unwrap_err().to_string();
        assert!(error.contains("serves nothing"), "{error}");
        suite.target.url = "http://127.0.0.1:1".to_owned();
        let error = targets(&suite, None).unwrap_err().to_string();
        assert!(error.contains("the target is another"), "{error}");
    }

    #[test]
    fn a_key_that_is_not_there_is_named() {
        let store = "url = 'http://127.0.0.1:9'\nsign.s3 = { access_key_env = 'PRONY_NO_SUCH_KEY' }";
        let error = targets(&suite("http://127.0.0.1:1", store), None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("PRONY_NO_SUCH_KEY"), "{error}");
    }

    #[test]
    fn names_and_paths_beside() {
        assert_eq!(beside("beside:store/a/b"), Some(("store", "/a/b")));
        assert_eq!(beside("beside:store"), Some(("store", "")));
        assert_eq!(beside("http://store/a"), None);
    }
}
