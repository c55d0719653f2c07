//! The vocabularies of OpenAI's models, where they were built in (feature `tiktoken`). It reads no file.

#[cfg(feature = "tiktoken")]
mod built_in {
    use tiktoken_rs::{CoreBPE, cl100k_base_singleton, o200k_base_singleton};

    /// A vocabulary.
    pub(crate) struct Vocabulary(&'static CoreBPE);

    impl Vocabulary {
        /// That of a name.
        pub(crate) fn named(name: &str) -> Result<Self, &'static str> {
            match name {
                "o200k" => Ok(Self(o200k_base_singleton())),
                "cl100k" => Ok(Self(cl100k_base_singleton())),
                _ => Err("write `o200k` or `cl100k`"),
            }
        }

        /// The tokens of a text.
        pub(crate) fn ids(&self, text: &str) -> Vec<u32> {
            self.0.encode_ordinary(text)
        }

        /// Where each of them ends, in bytes.
        pub(crate) fn ends(&self, text: &str) -> Vec<usize> {
            let mut at = 0;
            let mut end = |id: &u32| {
                at += self.0.decode_bytes(&[*id]).map_or(0, |bytes| bytes.len());
                at
            };
            self.ids(text).iter().map(&mut end).collect()
        }
    }

    #[cfg(test)]
    mod tests {
        use super::Vocabulary;

        #[test]
        fn the_published_tokens() {
            let counts = |name: &str| Vocabulary::named(name).map(|v| v.ids("hello world"));
            // As OpenAI's own library has them.
            assert_eq!(counts("cl100k"), Ok(vec![15_339, 1_917]));
            assert_eq!(counts("o200k"), Ok(vec![24_912, 2_375]));
            assert!(Vocabulary::named("gpt2").is_err());
            let ends = Vocabulary::named("o200k").map(|v| v.ends("hello world"));
            assert_eq!(ends, Ok(vec![5, 11]));
        }
    }
}

#[cfg(not(feature = "tiktoken"))]
mod built_in {
    /// A vocabulary: there is none.
    pub(crate) enum Vocabulary {}

    impl Vocabulary {
        /// That of a name.
        pub(crate) fn named(_: &str) -> Result<Self, &'static str> {
            Err(
                "this Prony was built without vocabularies: build it with `--features tiktoken`, or give `tokenizer`",
            )
        }

        /// The tokens of a text.
        pub(crate) fn ids(&self, _: &str) -> Vec<u32> {
            match *self {}
        }

        /// Where each of them ends, in bytes.
        pub(crate) fn ends(&self, _: &str) -> Vec<usize> {
            match *self {}
        }
    }
}

pub(crate) use built_in::Vocabulary;
