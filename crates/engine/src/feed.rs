//! The rows of a feed, and which of them an arrival takes: a function of the seed, the arrival and its user. It reads
//! one file when it is made and knows no sockets.

use std::fmt::Write as _;

use prony_model::{Feed as Spec, FeedOrder, FeedPer, Generate};

use crate::choice::mix;
use crate::table::{Table, TableError};

/// For whom values are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Who {
    /// Number of the arrival in the phase.
    pub(crate) seq: u64,
    /// Number among the arrivals of its scenario.
    pub(crate) turn: u64,
    /// The user of a closed loop; 0 in an open loop.
    pub(crate) user: u64,
}

/// A feed with the columns that are used.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    rows: Rows,
    order: FeedOrder,
    per: FeedPer,
    seed: u64,
}

#[derive(Clone, Debug)]
enum Rows {
    Table(Table),
    Choice(Vec<String>),
    Sequence { from: i64, step: i64 },
    IntRange { from: i64, to: i64 },
    Uuid,
}

impl Feed {
    /// Reads the named columns. `seed` is its own.
    pub(crate) fn load(name: &str, spec: &Spec, columns: &[String], seed: u64) -> Result<Self, TableError> {
        let wrong = |why: &str| TableError::new(&format!("feed `{name}`"), 0, why);
        let rows = match (&spec.file, &spec.generate) {
            (Some(file), None) => Rows::Table(Table::read(file, columns)?),
            (None, Some(generate)) => {
                if let Some(other) = columns.iter().find(|c| *c != "value") {
                    return Err(TableError {
                        known: vec!["value".to_owned()],
                        column: other.clone(),
                        ..wrong(&format!(
                            "it is generated and has no column `{other}`: write {{{{{name}}}}}"
                        ))
                    });
                }
                match generate {
                    Generate::Choice { of } if of.is_empty() => {
                        return Err(wrong("it has nothing to choose from"));
                    }
                    Generate::Choice { of } => Rows::Choice(of.clone()),
                    Generate::Sequence { from, step } => Rows::Sequence {
                        from: *from,
                        step: *step,
                    },
                    Generate::IntRange { from, to } if from > to => {
                        return Err(wrong("its range ends before it begins"));
                    }
                    Generate::IntRange { from, to } => Rows::IntRange { from: *from, to: *to },
                    Generate::Uuid => Rows::Uuid,
                }
            }
            _ => return Err(wrong("give it exactly one of `file` and `generate`")),
        };
        let feed = Self {
            rows,
            order: spec.order,
            per: spec.per,
            seed,
        };
        if spec.order == FeedOrder::Once && feed.len().is_none() {
            return Err(wrong(
                "it is generated without end, so it cannot be used up: leave out `order`",
            ));
        }
        Ok(feed)
    }

    /// How many rows it has; `None` when they never end.
    fn len(&self) -> Option<u64> {
        match &self.rows {
            Rows::Table(table) => Some(table.len() as u64),
            Rows::Choice(of) => Some(of.len() as u64),
            _ => None,
        }
    }

    /// Arrivals of the scenario after which it is used up.
    pub(crate) fn lasts(&self) -> Option<u64> {
        (self.order == FeedOrder::Once && self.per == FeedPer::Arrival)
            .then(|| self.len())
            .flatten()
    }

    /// How many users it serves, where each has a row for good.
    pub(crate) fn users(&self) -> Option<u64> {
        let rows = self.len().filter(|_| self.order == FeedOrder::Once);
        (self.per == FeedPer::User).then(|| rows.unwrap_or(u64::MAX))
    }

    /// Appends the value of a column, by its position among those asked for.
    pub(crate) fn write(&self, column: usize, who: Who, out: &mut String) {
        let k = match (self.per, self.order) {
            (FeedPer::User, _) => who.user,
            (_, FeedOrder::Random) => mix(self.seed, who.seq),
            _ => who.turn,
        };
        let row = |n: usize| (k % n as u64) as usize;
        match &self.rows {
            Rows::Table(table) => out.push_str(table.cell(row(table.len()), column)),
            Rows::Choice(of) => out.push_str(&of[row(of.len())]),
            Rows::Sequence { from, step } => {
                let value = from.wrapping_add(step.wrapping_mul(k.cast_signed()));
                // Writing to a String cannot fail.
                let _ = write!(out, "{value}");
            }
            Rows::IntRange { from, to } => int(mix(self.seed.rotate_left(7), k), *from, *to, out),
            Rows::Uuid => uuid(self.seed.rotate_left(13), k, out),
        }
    }

    /// The first value of a column that is not fit for its place, with its line.
    pub(crate) fn unfit(&self, column: usize, fits: impl Fn(&str) -> bool) -> Option<(String, u64)> {
        match &self.rows {
            Rows::Table(table) => (0..table.len())
                .find(|row| !fits(table.cell(*row, column)))
                .map(|row| (table.cell(row, column).to_owned(), table.line(row))),
            Rows::Choice(of) => of.iter().find(|v| !fits(v)).map(|v| (v.clone(), 0)),
            _ => None,
        }
    }
}

/// A whole number of a range from 64 random bits, without the bias of a remainder (Lemire 2019, without rejection: off by
/// less than 2^-32 for ranges below 2^32).
pub(crate) fn int(bits: u64, from: i64, to: i64, out: &mut String) {
    let span = i128::from(to) - i128::from(from) + 1;
    let value = i128::from(from) + ((i128::from(bits) * span) >> 64);
    let _ = write!(out, "{value}");
}

/// A UUID of version 4 (RFC 9562, section 5.4).
pub(crate) fn uuid(seed: u64, number: u64, out: &mut String) {
    let (a, b) = (mix(seed, number), mix(seed.rotate_left(17) ^ 0x5851, number));
    let a = (a & !0xf000) | 0x4000;
    let b = (b & !(0b11 << 62)) | (0b10 << 62);
    let _ = write!(
        out,
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xffff,
        b >> 48,
        b & 0xffff_ffff_ffff
    );
}

#[cfg(test)]
mod tests {
    use prony_model::{Feed as Spec, FeedOrder, FeedPer, Generate};

    use super::{Feed, Who};

    fn feed(generate: Generate, order: FeedOrder, per: FeedPer) -> Feed {
        let spec = Spec {
            generate: Some(generate),
            order,
            per,
            ..Spec::default()
        };
        Feed::load("f", &spec, &["value".to_owned()], 5).unwrap()
    }

    fn value(feed: &Feed, seq: u64, user: u64) -> String {
        let mut out = String::new();
        let turn = seq;
        feed.write(0, Who { seq, turn, user }, &mut out);
        out
    }

    fn of(values: &[&str]) -> Generate {
        Generate::Choice {
            of: values.iter().map(|v| (*v).to_owned()).collect(),
        }
    }

    #[test]
    fn orders_and_users() {
        let turn = feed(of(&["a", "b", "c"]), FeedOrder::InTurn, FeedPer::Arrival);
        let all: Vec<_> = (0..5).map(|k| value(&turn, k, 9)).collect();
        assert_eq!(all, ["a", "b", "c", "a", "b"]);
        assert_eq!((turn.lasts(), turn.users()), (None, None));
        let once = feed(of(&["a", "b"]), FeedOrder::Once, FeedPer::Arrival);
        assert_eq!(once.lasts(), Some(2));
        let user = feed(of(&["a", "b"]), FeedOrder::InTurn, FeedPer::User);
        assert_eq!((value(&user, 7, 0), value(&user, 8, 1)), ("a".into(), "b".into()));
        assert_eq!(user.users(), Some(u64::MAX));
        let random = feed(of(&["a", "b"]), FeedOrder::Random, FeedPer::Arrival);
        let heads = (0..1000).filter(|k| value(&random, *k, 0) == "a").count();
        // 500 expected, standard deviation 16.
        assert!((420..580).contains(&heads), "{heads}");
    }

    #[test]
    fn generated_values() {
        let sequence = feed(
            Generate::Sequence { from: -2, step: 3 },
            FeedOrder::InTurn,
            FeedPer::Arrival,
        );
        assert_eq!([value(&sequence, 0, 0), value(&sequence, 2, 0)], ["-2", "4"]);
        let range = feed(
            Generate::IntRange { from: -1, to: 1 },
            FeedOrder::InTurn,
            FeedPer::Arrival,
        );
        let mut seen: Vec<_> = (0..200).map(|k| value(&range, k, 0)).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen, ["-1", "0", "1"]);
        let uuid = feed(Generate::Uuid, FeedOrder::InTurn, FeedPer::Arrival);
        let text = value(&uuid, 0, 0);
        assert_eq!((text.len(), &text[14..15]), (36, "4"), "{text}");
        assert!("89ab".contains(&text[19..20]), "{text}");
        assert_ne!(text, value(&uuid, 1, 0));
    }

    #[test]
    fn wrong_feeds_are_user_errors() {
        let load = |spec: Spec, column: &str| {
            Feed::load("f", &spec, &[column.to_owned()], 1)
                .unwrap_err()
                .to_string()
        };
        assert!(load(Spec::default(), "value").contains("exactly one"));
        let made = |generate, order| Spec {
            generate: Some(generate),
            order,
            ..Spec::default()
        };
        assert!(load(made(Generate::Uuid, FeedOrder::Once), "value").contains("without end"));
        assert!(load(made(Generate::Uuid, FeedOrder::InTurn), "id").contains("no column `id`"));
        assert!(load(made(of(&[]), FeedOrder::InTurn), "value").contains("nothing to choose"));
        let backwards = Generate::IntRange { from: 2, to: 1 };
        assert!(load(made(backwards, FeedOrder::InTurn), "value").contains("ends before"));
    }
}
