//! The headers that all requests of a target have in common, and what stands in those that hold a secret. It never shows
//! one.

use std::borrow::Cow;

use prony_model::{Credentials, Secret};

/// Headers of every request.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    headers: Vec<(String, Secret)>,
    /// For each of them, whether its value is a secret.
    secret: Vec<bool>,
}

impl Common {
    /// Of these headers; those whose value is among the `masked` texts hold a secret.
    pub(crate) fn new(headers: &[(String, Secret)], masked: &[Secret]) -> Self {
        Self {
            headers: headers.to_vec(),
            secret: headers.iter().map(|(_, value)| masked.contains(value)).collect(),
        }
    }

    /// The headers with that in place of the secrets.
    pub(crate) fn with(&self, credentials: Credentials) -> Cow<'_, [(String, Secret)]> {
        if credentials == Credentials::Given {
            return Cow::Borrowed(&self.headers);
        }
        let changed = |(header, secret): (&(String, Secret), &bool)| {
            let (name, value) = header;
            if !secret {
                return Some(header.clone());
            }
            let value = match credentials {
                Credentials::Given => value.clone(),
                Credentials::Missing => return None,
                Credentials::Empty => Secret::new(""),
                Credentials::Wrong => wrong(value),
                Credentials::Truncated => truncated(value),
            };
            Some((name.clone(), value))
        };
        Cow::Owned(
            self.headers
                .iter()
                .zip(&self.secret)
                .filter_map(changed)
                .collect(),
        )
    }

    /// These texts, and what remains of those that are sent truncated: a target may repeat that too.
    pub(crate) fn masked(&self, masked: &[Secret]) -> Vec<Secret> {
        let held = self
            .headers
            .iter()
            .zip(&self.secret)
            .filter(|(_, secret)| **secret);
        masked
            .iter()
            .cloned()
            .chain(held.map(|((_, value), _)| truncated(value)))
            .filter(|secret| !parts(secret).1.is_empty())
            .collect()
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
        let common = Common::new(&headers, std::slice::from_ref(&token));
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
    fn a_wrong_one_is_never_the_right_one() {
        for text in ["xxxx", "Basic X7", "--", "y", "sid=abc; theme=dark"] {
            let secret = Secret::new(text);
            let common = Common::new(&[("a".to_owned(), secret.clone())], &[secret]);
            let wrong = common.with(Credentials::Wrong)[0].1.reveal().to_owned();
            assert_ne!(wrong, text);
            assert!(!wrong.contains("sid"), "every cookie changes");
        }
    }
}
