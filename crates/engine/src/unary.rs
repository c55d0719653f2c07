//! What a unary call of gRPC came to: its message, or the outcome that its status has. Pure; knows no service.

use prony_model::Outcome;
use prony_wire::grpc::{self, CONTENT_TYPE, FrameError, Status};

use crate::bodies::Answer;

/// Longest content type that is repeated, in characters.
const SHOWN_CHARS_MAX: usize = 80;

/// The message of an answer; how the call failed where it did.
pub(crate) fn message<'a>(answer: &Answer<'a>) -> Result<&'a [u8], (Outcome, String)> {
    if !is_grpc(answer.content_type) {
        let got = String::from_utf8_lossy(answer.content_type);
        let shown: String = got.chars().take(SHOWN_CHARS_MAX).collect();
        let why = format!("the answer has the content type {shown:?}, not {CONTENT_TYPE:?}");
        return Err((Outcome::WrongBody, why));
    }
    // An answer of trailers alone has them in place of its head.
    let told = answer
        .line("grpc-status")
        .filter(|_| answer.has_trailers || answer.body_bytes == 0);
    let Some(told) = told else {
        let why = "the answer ended without the trailers that tell the status of the call";
        return Err((Outcome::Truncated, why.to_owned()));
    };
    let Some(status) = Status::parse(told, answer.line("grpc-message").unwrap_or_default()) else {
        return Err((Outcome::WrongBody, "grpc-status is no number".to_owned()));
    };
    if status.code != 0 {
        let said = if status.message.is_empty() {
            status.name()
        } else {
            format!("{}: {}", status.name(), status.message)
        };
        return Err((Outcome::of_grpc(status.code), said));
    }
    if (answer.body.len() as u64) < answer.body_bytes {
        let why = format!("{} bytes are too many to be checked", answer.body_bytes);
        return Err((Outcome::WrongBody, why));
    }
    grpc::message(answer.body).map_err(|error| {
        let outcome = match error {
            FrameError::Short { .. } => Outcome::Truncated,
            FrameError::Trailing(_) => Outcome::TrailingBytes,
            FrameError::Empty | FrameError::Compressed => Outcome::WrongBody,
        };
        (outcome, error.to_string())
    })
}

/// `application/grpc`, alone or with the format of its messages: `application/grpc+proto`. `application/grpc-web` is another protocol.
fn is_grpc(content_type: &[u8]) -> bool {
    let start = CONTENT_TYPE.as_bytes();
    content_type
        .split_at_checked(start.len())
        .is_some_and(|(head, rest)| {
            head.eq_ignore_ascii_case(start) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
        })
}

#[cfg(test)]
mod tests {
    use prony_model::Outcome;
    use prony_wire::grpc::frame;

    use super::message;
    use crate::bodies::Answer;

    fn lines(lines: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
        lines
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect()
    }

    fn answer<'a>(body: &'a [u8], lines: &'a [(String, Vec<u8>)], has_trailers: bool) -> Answer<'a> {
        Answer {
            status: 200,
            content_type: b"application/grpc+proto",
            body,
            body_bytes: body.len() as u64,
            digest: 0,
            lines,
            has_trailers,
            marks: &[],
        }
    }

    #[test]
    fn a_good_call_brings_its_message() {
        let (ok, body) = (lines(&[("grpc-status", "0")]), frame(b"abc"));
        assert_eq!(message(&answer(&body, &ok, true)), Ok(&b"abc"[..]));
    }

    #[test]
    fn a_good_status_around_a_failed_call_is_none() {
        let refused = lines(&[("grpc-status", "14"), ("grpc-message", "queue%20full")]);
        let unavailable = (Outcome::GrpcUnavailable, "UNAVAILABLE: queue full".to_owned());
        assert_eq!(message(&answer(b"", &refused, false)), Err(unavailable.clone()));
        assert_eq!(message(&answer(&frame(b"abc"), &refused, true)), Err(unavailable));
        // What the head promised does not count where the trailers say otherwise.
        let both = lines(&[("grpc-status", "0"), ("grpc-status", "13")]);
        let failed = message(&answer(&frame(b"a"), &both, true)).unwrap_err();
        assert_eq!(failed, (Outcome::GrpcInternal, "INTERNAL".to_owned()));
    }

    #[test]
    fn an_answer_that_is_no_whole_one_is_named() {
        let ok = lines(&[("grpc-status", "0")]);
        let whole = frame(b"abc");
        let twice = [&whole[..], &whole[..]].concat();
        let words = lines(&[("grpc-status", "fine")]);
        for (body, told, has_trailers, outcome) in [
            (&whole[..], &Vec::new(), false, Outcome::Truncated),
            (&whole, &ok, false, Outcome::Truncated),
            (&whole[..6], &ok, true, Outcome::Truncated),
            (&twice, &ok, true, Outcome::TrailingBytes),
            (b"", &ok, true, Outcome::WrongBody),
            (&[1, 0, 0, 0, 0], &ok, true, Outcome::WrongBody),
            (&whole, &words, true, Outcome::WrongBody),
        ] {
            assert_eq!(message(&answer(body, told, has_trailers)).unwrap_err().0, outcome);
        }
        let cut = Answer {
            body_bytes: 1 << 30,
            ..answer(&whole, &ok, true)
        };
        assert_eq!(message(&cut).unwrap_err().0, Outcome::WrongBody);
    }

    #[test]
    fn another_protocol_is_told_by_its_type() {
        let ok = lines(&[("grpc-status", "0")]);
        let body = frame(b"abc");
        for content_type in ["text/html", "application/grpc-web", "application/json", ""] {
            let other = Answer {
                content_type: content_type.as_bytes(),
                ..answer(&body, &ok, true)
            };
            let (outcome, why) = message(&other).unwrap_err();
            assert_eq!(outcome, Outcome::WrongBody);
            assert!(why.contains(content_type), "{why}");
        }
    }
}
