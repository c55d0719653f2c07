//! How many streams get tokens at the same time: the slots of an engine that decodes in batches. Arithmetic on records, no words.

use prony_model::StreamRecord;

/// A number of streams counts as reached when it lasts for such a share of the time: one stream may end within the gap in which
/// the next begins.
const LASTING: f64 = 0.05;

/// Most streams that were between their first and their last token at one moment, for a lasting share of the time from the first
/// token of all to the last; `None` without any.
pub(super) fn at_once(records: &[&StreamRecord]) -> Option<u32> {
    let mut changes: Vec<(u64, i32)> = records
        .iter()
        .filter(|r| r.first_token.0 > 0 && r.last_token > r.first_token)
        .flat_map(|r| [(r.first_token.0, 1), (r.last_token.0, -1)])
        .collect();
    // At one moment ends come before beginnings.
    changes.sort_unstable();
    let (begin, end) = (changes.first()?.0, changes.last()?.0);
    let mut lasted: Vec<u64> = Vec::new();
    let (mut now, mut since) = (0i32, begin);
    for (at, change) in changes {
        let level = usize::try_from(now).unwrap_or(0);
        if lasted.len() <= level {
            lasted.resize(level + 1, 0);
        }
        lasted[level] += at - since;
        now += change;
        since = at;
    }
    let mut above = 0;
    for (level, time) in lasted.iter().enumerate().rev() {
        above += time;
        if above as f64 >= LASTING * (end - begin) as f64 {
            return u32::try_from(level).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use prony_model::StreamRecord;

    use super::at_once;
    use crate::fake::streamed::{Answer, ENDPOINT, phase};

    #[test]
    fn slots_are_the_streams_that_get_tokens_together() {
        // Tokens for 95 ms each. Two slots, six streams one after another in each; a fleeting third does not count.
        let slot = |k: u32, from: f64| Answer::new(from + 100.0 * f64::from(k), 2.0, 5.0);
        let mut answers: Vec<Answer> = (0..6).flat_map(|k| [slot(k, 0.0), slot(k, 50.0)]).collect();
        answers.push(Answer {
            tokens: 2,
            ..Answer::new(160.0, 2.0, 1.0)
        });
        let phase = phase("streams", ENDPOINT, &answers, Vec::new());
        let all: Vec<&StreamRecord> = phase.streams.iter().collect();
        assert_eq!(at_once(&all), Some(2));
        assert_eq!(at_once(&[]), None);
    }
}
