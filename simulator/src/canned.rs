//! Fixed answers, made once: an upstream that costs next to nothing, for load tests.

use std::time::Duration;

use bytes::Bytes;
use memchr::memmem::Finder;

use crate::anthropic;
use crate::ask::{Ask, Part, Turn};
use crate::gemini;
use crate::ids::Ids;
use crate::model;
use crate::openai;
use crate::plan::Plan;
use crate::prompts::Cached;
use crate::route::Vendor;
use crate::script::Piece;

/// Fixed answers of each vendor, whole and streamed.
#[derive(Debug, Clone)]
pub struct Canned {
    interval: Duration,
    openai: Answers,
    anthropic: Answers,
    google: Answers,
    finder: Finder<'static>,
}

#[derive(Debug, Clone)]
struct Answers {
    whole: Bytes,
    stream: Vec<Bytes>,
}

/// The answer.
#[derive(Debug)]
pub(crate) enum Fixed<'a> {
    /// This JSON.
    Whole(&'a Bytes),
    /// These events.
    Stream(&'a [Bytes]),
}

impl Canned {
    /// Answers of so many tokens, each a chunk of its own when streamed, `interval` apart (none: all at once).
    #[must_use]
    pub fn new(tokens: u32, interval: Duration) -> Self {
        let ids = Ids::new();
        let turns = vec![Turn { user: true, parts: vec![Part::Text("Hello".to_owned())] }];
        let ask = Ask { model: "canned".to_owned(), turns, answers: 1, input_tokens: 16, ..Ask::default() };
        let answers = model::answer(&ask, &Plan { tokens: Some(tokens), ..Plan::default() });
        let cached = Cached::default();
        let head = openai::reply::Letterhead {
            id: "chatcmpl-canned".to_owned(),
            created: 1_700_000_000,
            model: "canned".to_owned(),
        };
        let usage = openai::reply::usage(&ask, &answers, cached);
        let first = answers.first();
        let collect = |pieces: Vec<Piece>| pieces.into_iter().map(|piece| piece.bytes).collect();
        let openai = Answers {
            whole: Bytes::from(openai::reply::write(&head, &ask, &answers, cached, &ids).to_string()),
            stream: collect(openai::stream::Writer::new(&head, &ids, Some(usage)).write(&answers)),
        };
        let anthropic = Answers {
            whole: first
                .map(|answer| anthropic::reply::write(&ask, answer, cached, &ids).to_string())
                .unwrap_or_default()
                .into(),
            stream: first
                .map(|answer| collect(anthropic::stream::write(&ask, answer, cached, &ids)))
                .unwrap_or_default(),
        };
        let google = Answers {
            whole: gemini::reply::write(&ask, &answers, cached, &ids).to_string().into(),
            stream: collect(gemini::stream::write(&ask, &answers, cached, (&ids, false))),
        };
        Self { interval, openai, anthropic, google, finder: Finder::new(b"\"stream\"") }
    }

    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    /// The answer to this body, which is not read beyond `"stream": true`.
    pub(crate) fn answer(&self, vendor: Vendor, body: &[u8]) -> Fixed<'_> {
        let answers = match vendor {
            Vendor::OpenAi | Vendor::Cohere => &self.openai,
            Vendor::Anthropic | Vendor::Amazon => &self.anthropic,
            Vendor::Google => &self.google,
        };
        let wants = self.finder.find_iter(body).any(|at| {
            let rest = body.get(at + b"\"stream\"".len()..).unwrap_or_default();
            let value = rest.trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start);
            value.is_some_and(|value| value.starts_with(b"true"))
        });
        if wants { Fixed::Stream(&answers.stream) } else { Fixed::Whole(&answers.whole) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_when_asked_to() {
        let canned = Canned::new(64, Duration::ZERO);
        let streams = |body: &str| matches!(canned.answer(Vendor::OpenAi, body.as_bytes()), Fixed::Stream(_));
        assert!(streams(r#"{"messages":[],"stream" : true}"#));
        assert!(streams(r#"{"stream":true}"#));
        assert!(!streams(r#"{"stream":false}"#));
        assert!(!streams("{}"));
        let Fixed::Stream(chunks) = canned.answer(Vendor::Anthropic, br#"{"stream":true}"#) else { panic!("a stream") };
        assert_eq!(chunks.len(), 64 + 6);
    }
}
