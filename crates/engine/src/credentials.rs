//! The headers and the parameters that all requests of a target have in common, and what stands in those that hold a secret. It
//! never shows one.

use std::borrow::Cow;

use prony_model::{Credentials, Secret};

/// Headers and parameters of every request.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    headers: Vec<(String, Secret)>,
    /// For each of them, whether its value is a secret.
    secret: Vec<bool>,
    /// Parameters of the query; all of them are secrets.
    query: Vec<(String, Secret)>,
}

impl Common {
    /// Of these headers, of which those hold a secret whose value is among the `masked` texts, and these parameters.
    pub(crate) fn new(headers: &[(String, Secret)], query: &[(String, Secret)], masked: &[Secret]) -> Self {
        Self {
            headers: headers.to_vec(),
            secret: headers.iter().map(|(_, value)| masked.contains(value)).collect(),
            query: query.to_vec(),
        }
    }

    /// The headers with that in place of the secrets.
    pub(crate) fn with(&self, credentials: Credentials) -> Cow<'_, [(String, Secret)]> {
        if credentials == Credentials::Given {
            return Cow::Borrowed(&self.headers);
        }
        let changed = |(header, secret): (&(String, Secret), &bool)| {
            if !secret {
                return Some(header.clone());
            }
            in_place_of(&header.1, credentials).map(|value| (header.0.clone(), value))
        };
        Cow::Owned(
            self.headers
                .iter()
                .zip(&self.secret)
                .filter_map(changed)
                .collect(),
        )
    }

    /// The request target with the parameters, and with that in place of their values.
    pub(crate) fn target<'a>(&self, target: &'a str, credentials: Credentials) -> Cow<'a, str> {
        let mut sent = Cow::Borrowed(target);
        for (name, value) in &self.query {
            let Some(value) = in_place_of(value, credentials) else {
                continue;
            };
            let mark = if sent.contains('?') { '&' } else { '?' };
            sent = Cow::Owned(format!("{sent}{mark}{name}={}", value.reveal()));
        }
        sent
    }

    /// These texts, and what remains of those that are sent truncated: a target may repeat that too.
    pub(crate) fn masked(&self, masked: &[Secret]) -> Vec<Secret> {
        let held = self
            .headers
            .iter()
            .zip(&self.secret)
            .filter(|(_, secret)| **secret)
            .map(|(header, _)| header)
            .chain(&self.query);
        masked
            .iter()
            .cloned()
            .chain(held.map(|(_, value)| truncated(value)))
            .filter(|secret| !parts(secret).1.is_empty())
            .collect()
    }
}

/// What is sent in place of a secret; `None` where nothing is.
fn in_place_of(value: &Secret, credentials: Credentials) -> Option<Secret> {
    match credentials {
        Credentials::Given => Some(value.clone()),
        Credentials::Missing => None,
        Credentials::Empty => Some(Secret::new("")),
        Credentials::Wrong => Some(wrong(value)),
        Credentials::Truncated => Some(truncated(value)),
    }
}

/// The scheme (`Bearer `) of a credential, and the rest. Cookies have none.
fn parts(secret: &Secret) -> (&str, &str) {
    let whole = secret.reveal();
    let at = whole.find(' ').filter(|at| !whole[..*at].contains('='));
    whole.split_at(at.map_or(0, |at| at + 1))
}

/// A value of the same form and length: every letter and digit is the same letter and digit.
fn wrong(secret: &Secret) -> Secret {
    let (scheme, rest) = parts(secret);
    let filled = |lower: char, upper: char, digit: char| -> String {
        let other = |c: char| match c {
            'a'..='z' => lower,
            'A'..='Z' => upper,
            '0'..='9' => digit,
            other => other,
        };
        rest.chars().map(other).collect()
    };
    let first = filled('x', 'X', '7');
    let value = if first == rest {
        filled('y', 'Y', '8')
    } else {
        first
    };
    // Nothing in it could be changed.
    let value = if value == rest { format!("{rest}x") } else { value };
    Secret::new(format!("{scheme}{value}"))
}

/// The first half of the credential, after its scheme.
fn truncated(secret: &Secret) -> Secret {
    let (scheme, rest) = parts(secret);
    let half: String = rest.chars().take(rest.chars().count() / 2).collect();
    Secret::new(format!("{scheme}{half}"))
}

#[cfg(test)]
mod tests {
    use prony_model::{Credentials, Secret};

    use super::Common;

    #[test]
    fn only_secrets_change() {
        let token = Secret::new("Bearer s3cr3t-TOKEN");
        let headers = [
            ("x-team".to_owned(), Secret::new("blue")),
            ("authorization".to_owned(), token.clone()),
        ];
        let common = Common::new(&headers, &[], std::slice::from_ref(&token));
        let sent = |credentials| -> Vec<String> {
            let headers = common.with(credentials);
            headers
                .iter()
                .map(|(_, value)| value.reveal().to_owned())
                .collect()
        };
        assert_eq!(sent(Credentials::Given), ["blue", "Bearer s3cr3t-TOKEN"]);
        assert_eq!(sent(Credentials::Missing), ["blue"]);
        assert_eq!(sent(Credentials::Empty), ["blue", ""]);
        assert_eq!(sent(Credentials::Wrong), ["blue", "Bearer x7xx7x-XXXXX"]);
        assert_eq!(sent(Credentials::Truncated), ["blue", "Bearer s3cr3t"]);
        let masked = common.masked(&[token]);
        assert_eq!(masked.last().unwrap().reveal(), "Bearer s3cr3t");
    }

    #[test]
    fn parameters_stand_at_the_end_of_the_query() {
        let key = Secret::new("s3cr3t");
        let query = [
            ("code".to_owned(), key.clone()),
            ("v".to_owned(), Secret::new("20")),
        ];
        let common = Common::new(&[], &query, std::slice::from_ref(&key));
        let sent = |target, credentials| common.target(target, credentials).into_owned();
        assert_eq!(sent("/a", Credentials::Given), "/a?code=s3cr3t&v=20");
        assert_eq!(sent("/a?b=1", Credentials::Given), "/a?b=1&code=s3cr3t&v=20");
        assert_eq!(sent("/a", Credentials::Missing), "/a");
        assert_eq!(sent("/a", Credentials::Empty), "/a?code=&v=");
        assert_eq!(sent("/a", Credentials::Wrong), "/a?code=x7xx7x&v=77");
        let masked = common.masked(&[key]);
        assert!(
            masked.iter().any(|text| text.reveal() == "s3c"),
            "what was sent truncated"
        );
    }

    #[test]
    fn a_wrong_one_is_never_the_right_one() {
        for text in ["xxxx", "Basic X7", "--", "y", "sid=abc; theme=dark"] {
            let secret = Secret::new(text);
            let common = Common::new(&[("a".to_owned(), secret.clone())], &[], &[secret]);
            let wrong = common.with(Credentials::Wrong)[0].1.reveal().to_owned();
            assert_ne!(wrong, text);
            assert!(!wrong.contains("sid"), "every cookie changes");
        }
    }
}
