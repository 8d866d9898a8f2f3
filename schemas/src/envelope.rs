//! The experiment envelope: on what, with what and under which load the work was done. Beside hardware and model,
//! which are keys of the slice, it is what must be the same on both sides before a difference is the candidate's.
//!
//! Nobody reports all of it; what nobody reported is unknown, and answers say so.

use std::fmt;

use crate::attr::{Attr, Value};
use crate::span::Span;

/// The columns of `traces` and `stage_runs` that are the whole of it, the slice's first.
pub const COLUMNS: [&str; 7] =
    ["hardware", "model", "driver", "runtime", "model_digest", "tokenizer_digest", "concurrency"];

/// A part of the envelope that is no key of the slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EnvelopeKey {
    /// Version of the accelerator's driver.
    Driver,
    /// What ran the model: engine and version, or the digest of its image.
    Runtime,
    /// Digest of the weights, where a model's name is not enough.
    ModelDigest,
    TokenizerDigest,
    /// How many requests the experiment keeps in flight, or the engine admits at once.
    Concurrency,
}

impl EnvelopeKey {
    pub const ALL: [Self; 5] =
        [Self::Driver, Self::Runtime, Self::ModelDigest, Self::TokenizerDigest, Self::Concurrency];

    /// The column of `traces` and `stage_runs` that carries it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Driver => "driver",
            Self::Runtime => "runtime",
            Self::ModelDigest => "model_digest",
            Self::TokenizerDigest => "tokenizer_digest",
            Self::Concurrency => "concurrency",
        }
    }

    /// Where its value comes from, strongest first: the span's own words, then its resource's.
    pub const fn sources(self) -> &'static [Attr] {
        match self {
            Self::Driver => &[Attr::PlimsollDriver, Attr::ResourceDriver, Attr::HwDriverVersion],
            // Providers that hide their engine give a fingerprint of it.
            Self::Runtime => &[
                Attr::PlimsollRuntime,
                Attr::ResourceRuntime,
                Attr::OpenAiSystemFingerprint,
                Attr::ContainerImageId,
            ],
            Self::ModelDigest => &[Attr::PlimsollModelDigest, Attr::ResourceModelDigest],
            Self::TokenizerDigest => &[Attr::PlimsollTokenizerDigest, Attr::ResourceTokenizerDigest],
            Self::Concurrency => &[Attr::PlimsollConcurrency, Attr::ResourceConcurrency],
        }
    }
}

/// The envelope of a trace or run; `None` is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Envelope<'a> {
    pub driver: Option<&'a str>,
    pub runtime: Option<&'a str>,
    pub model_digest: Option<&'a str>,
    pub tokenizer_digest: Option<&'a str>,
    pub concurrency: Option<i64>,
}

impl<'a> Envelope<'a> {
    /// What the span and its resource say.
    pub fn of(span: &Span<'a>) -> Self {
        let text = |key: EnvelopeKey| key.sources().iter().find_map(|source| span.str(*source));
        Self {
            driver: text(EnvelopeKey::Driver),
            runtime: text(EnvelopeKey::Runtime),
            model_digest: text(EnvelopeKey::ModelDigest),
            tokenizer_digest: text(EnvelopeKey::TokenizerDigest),
            concurrency: EnvelopeKey::Concurrency.sources().iter().find_map(|source| {
                match span.get(*source)? {
                    Value::Int(n) => Some(n),
                    // Resource attributes that come from the environment are text.
                    Value::Str(text) => text.trim().parse().ok(),
                    _ => None,
                }
            }),
        }
    }

    /// This one, and where it does not know the other.
    pub fn or(self, other: Self) -> Self {
        Self {
            driver: self.driver.or(other.driver),
            runtime: self.runtime.or(other.runtime),
            model_digest: self.model_digest.or(other.model_digest),
            tokenizer_digest: self.tokenizer_digest.or(other.tokenizer_digest),
            concurrency: self.concurrency.or(other.concurrency),
        }
    }

    pub fn is_complete(&self) -> bool {
        let Self { driver, runtime, model_digest, tokenizer_digest, concurrency } = self;
        [driver, runtime, model_digest, tokenizer_digest].iter().all(|part| part.is_some())
            && concurrency.is_some()
    }
}

/// `driver=550.54 concurrency=64`: what is known, for people.
impl fmt::Display for Envelope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = [self.driver, self.runtime, self.model_digest, self.tokenizer_digest];
        let mut space = "";
        for (key, value) in EnvelopeKey::ALL.into_iter().zip(texts) {
            if let Some(value) = value {
                write!(f, "{space}{}={value}", key.as_str())?;
                space = " ";
            }
        }
        match self.concurrency {
            Some(n) => write!(f, "{space}{}={n}", EnvelopeKey::Concurrency.as_str()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_its_column() {
        use crate::table::Table;
        assert!(EnvelopeKey::ALL.iter().map(|k| k.as_str()).eq(COLUMNS[2..].iter().copied()));
        for table in [Table::Traces, Table::StageRuns] {
            let schema = table.file_schema();
            assert!(COLUMNS.iter().all(|c| schema.field_with_name(c).is_ok_and(|f| f.is_nullable())));
        }
    }

    #[test]
    fn it_says_what_is_known() {
        let envelope = Envelope { runtime: Some("vllm 0.29"), concurrency: Some(64), ..Envelope::default() };
        assert_eq!(envelope.to_string(), "runtime=vllm 0.29 concurrency=64");
        assert_eq!(Envelope::default().to_string(), "");
        let other = Envelope { runtime: Some("sglang"), driver: Some("550.54"), ..Envelope::default() };
        let both = envelope.or(other);
        assert_eq!(both.to_string(), "driver=550.54 runtime=vllm 0.29 concurrency=64");
        assert!(!both.is_complete());
    }
}
