//! An object store that speaks S3, by what any client can see: its error or its list of buckets at the root. It sends no signed
//! request.

use prony_model::{Captured, Surface};

/// Says what was found. `first` is the answer to the URL that the user gave.
pub(super) fn recognise(first: &Captured, surface: &mut Surface) {
    let body = first.body.trim_start();
    let lists = first.status == 200 && body.contains("<ListAllMyBucketsResult");
    let refuses = (400..500).contains(&first.status)
        && body.contains("<Error>")
        && body.contains("<Code>")
        && (first.header("x-amz-request-id").is_some() || body.contains("<RequestId>"));
    if lists || refuses {
        surface.found_by.push(
            "an object store that speaks S3: its requests must be signed, which no experiment can do; a suite can send addresses that \
             were signed beforehand"
                .to_owned(),
        );
    }
}

#[cfg(test)]
mod tests {
    use prony_model::{Captured, Surface};

    use super::recognise;
    use crate::discovery::tests::empty;

    fn found(status: u16, body: &str) -> usize {
        let mut surface = Surface::default();
        let answer = Captured {
            status,
            body: body.to_owned(),
            ..empty()
        };
        recognise(&answer, &mut surface);
        surface.found_by.len()
    }

    #[test]
    fn a_store_is_known_by_its_words() {
        let refusal =
            "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><RequestId>1</RequestId></Error>";
        assert_eq!(found(403, refusal), 1);
        assert_eq!(found(200, "<ListAllMyBucketsResult xmlns=\"...\"/>"), 1);
        assert_eq!(
            found(404, "<html>Error</html>") + found(200, "<Error><Code>x</Code></Error>"),
            0
        );
    }
}
