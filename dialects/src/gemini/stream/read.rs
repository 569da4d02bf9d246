//! Reads a streamed answer: each event is an answer in small, and what they say of one candidate goes together.
//!
//! Nothing in the dialect ends a stream but the body's end: it is whole when each answer has said why it ended. Some
//! models say so in every event, so it is told only then.

use crate::call_id;
use crate::codec::Malformed;
use crate::dialect::Dialect;
use crate::frames::FrameDecoder;
use crate::gemini::wire::{self, Candidate, Ended, Piece, WireAnswer};
use crate::gemini::{error, logprobs};
use crate::hub::{Content, Delta, ErrorKind, Event, PartKind, ProviderError, Raw, Stop, ToolCall};
use crate::spoke::DecodeStream;
use crate::sse::Frame;
use crate::text::{Seam, Text};

/// The most answers one stream may hold; Google's own limit is 8.
const MOST_CHOICES: u32 = 128;

/// Reads one streamed answer.
#[derive(Debug, Default)]
pub(crate) struct GeminiDecoder {
    frames: FrameDecoder,
    reader: AnswerReader,
}

impl DecodeStream for GeminiDecoder {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        let Self { frames, reader } = self;
        frames.push(bytes, |frame| reader.frame(frame, out))
    }

    fn held(&self) -> usize {
        self.frames.held()
    }

    fn finish(&mut self, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let Self { frames, reader } = self;
        frames.finish(|frame| reader.frame(frame, out))?;
        if !reader.over && reader.is_finished() {
            reader.over = true;
            for (choice, answer) in (0..).zip(&mut reader.choices) {
                answer.end(choice, out);
                let stop = match wire::ended(answer.reason.as_deref().unwrap_or_default(), answer.calls > 0) {
                    Ended::Stop(stop) => stop,
                    Ended::Broken => Stop::End,
                };
                out.push(Event::Finish { choice, stop });
            }
            out.push(Event::End);
        }
        Ok(())
    }

    fn is_finished(&self) -> bool {
        self.reader.is_finished()
    }
}

#[derive(Debug, Default)]
struct AnswerReader {
    started: bool,
    /// Whole or failed: what comes now is nothing.
    over: bool,
    id: String,
    choices: Vec<DecodedAnswer>,
}

/// One answer as far as it has been read.
#[derive(Debug, Default)]
struct DecodedAnswer {
    next_part: u32,
    open: Option<OpenText>,
    calls: u32,
    reason: Option<String>,
}

/// The part that is growing.
#[derive(Debug)]
struct OpenText {
    part: u32,
    thought: bool,
    seam: Seam,
}

impl AnswerReader {
    fn is_finished(&self) -> bool {
        !self.choices.is_empty() && self.choices.iter().all(|answer| answer.reason.is_some())
    }

    fn frame(&mut self, frame: Frame<'_>, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let data = frame.data.trim_ascii();
        // OpenAI's word for the end, which servers of many dialects add.
        if self.over || data.is_empty() || data == b"[DONE]" {
            return Ok(());
        }
        let text = std::str::from_utf8(data).map_err(|error| Malformed {
            message: "an event of the stream is not UTF-8".to_owned(),
            at: Some(error.valid_up_to()),
        })?;
        let answer: WireAnswer<'_> = serde_json::from_str(text).map_err(|error| Malformed {
            message: "an event of the stream is not what the dialect allows".to_owned(),
            at: Some(error.column()),
        })?;
        let WireAnswer { candidates, prompt_feedback, usage_metadata, model_version, response_id, error } = answer;
        if error.is_some() {
            self.fail(error::decode(0, data), out);
            return Ok(());
        }
        let begins = !std::mem::replace(&mut self.started, true);
        if begins {
            self.id = response_id.unwrap_or_default();
            let model = model_version.unwrap_or_default();
            out.push(Event::Start { id: self.id.clone(), model, created: None });
        }
        let mut usage_metadata = usage_metadata;
        let is_broken = |candidate: &Candidate<'_>| {
            candidate.finish_reason.as_deref().is_some_and(|word| wire::ended(word, false) == Ended::Broken)
        };
        if begins || candidates.iter().flatten().any(is_broken) {
            // Behind an error nothing is read, and some dialects say at once what the prompt was.
            out.extend(usage_metadata.take().map(|usage| Event::Usage(usage.into())));
        }
        for candidate in candidates.into_iter().flatten() {
            self.candidate(candidate, out)?;
        }
        if let Some(refusal) =
            prompt_feedback.as_ref().and_then(wire::Feedback::refusal).filter(|_| self.choices.is_empty())
        {
            let answer = DecodedAnswer { reason: Some("SAFETY".to_owned()), ..DecodedAnswer::default() };
            out.push(Event::PartStart { choice: 0, part: 0, kind: PartKind::Refusal });
            out.push(Event::Delta { choice: 0, part: 0, delta: Delta::Text(refusal) });
            out.push(Event::PartEnd { choice: 0, part: 0 });
            self.choices.push(answer);
        }
        if !self.over {
            out.extend(usage_metadata.map(|usage| Event::Usage(usage.into())));
        }
        Ok(())
    }

    fn fail(&mut self, error: ProviderError, out: &mut Vec<Event>) {
        self.over = true;
        out.push(Event::Error(error));
    }

    fn candidate(&mut self, candidate: Candidate<'_>, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let Candidate { index, content, finish_reason, finish_message, logprobs_result } = candidate;
        let choice = index.unwrap_or(0);
        if choice >= MOST_CHOICES {
            return Err(Malformed::new(format!("an event of the stream is for answer {choice}")));
        }
        while self.choices.len() <= choice as usize {
            self.choices.push(DecodedAnswer::default());
        }
        let Self { choices, id, .. } = self;
        let Some(answer) = choices.get_mut(choice as usize) else { return Ok(()) };
        for raw in content.and_then(|said| said.parts).unwrap_or_default() {
            let pieces = wire::pieces(raw);
            let pieces = pieces.ok_or_else(|| Malformed::new("a part of the stream is not what the dialect allows"))?;
            pieces.into_iter().for_each(|piece| answer.piece((choice, id), piece, out));
        }
        if let Some(raw) = logprobs_result.and_then(logprobs::read) {
            answer.logprobs(choice, raw, out);
        }
        let Some(word) = finish_reason.filter(|word| !word.is_empty()) else { return Ok(()) };
        if wire::ended(&word, false) == Ended::Broken {
            let error = ProviderError {
                kind: ErrorKind::BadGateway,
                message: wire::broken(&word, finish_message.as_deref()),
                r#type: None,
                code: None,
                param: None,
            };
            self.fail(error, out);
        } else {
            answer.reason = Some(word);
        }
        Ok(())
    }
}

impl DecodedAnswer {
    fn piece(&mut self, (choice, id): (u32, &str), piece: Piece, out: &mut Vec<Event>) {
        match piece {
            Piece::Text { text, thought } => self.text(choice, text, thought, out),
            Piece::Signed(thoughts) => {
                self.end(choice, out);
                thoughts.into_iter().for_each(|thought| self.thought(choice, thought, out));
            }
            Piece::Call(ToolCall { id: own, name, arguments }) => {
                let id = if own.is_empty() { call_id::made(id, choice, self.calls) } else { own };
                self.calls += 1;
                let deltas = vec![Delta::Arguments(arguments)];
                self.whole(choice, PartKind::ToolCall { id, name }, deltas, out);
            }
            Piece::Picture { media_type, data } => {
                self.whole(choice, PartKind::Picture { media_type, data }, Vec::new(), out);
            }
            Piece::Other(raw) => {
                self.whole(choice, PartKind::Other { dialect: Dialect::Gemini, raw }, Vec::new(), out);
            }
        }
    }

    /// Log probabilities go with the text that is growing; of anything else other dialects tell none.
    fn logprobs(&self, choice: u32, raw: Raw, out: &mut Vec<Event>) {
        if let Some(OpenText { part, thought: false, .. }) = &self.open {
            out.push(Event::Delta { choice, part: *part, delta: Delta::Logprobs(raw) });
        }
    }

    fn thought(&mut self, choice: u32, thought: Content, out: &mut Vec<Event>) {
        match thought {
            Content::Thinking { text, signature } => {
                let text = Some(text).filter(|text| !text.is_empty()).map(Delta::Text);
                let deltas = text.into_iter().chain(signature.map(Delta::Signature)).collect();
                self.whole(choice, PartKind::Thinking, deltas, out);
            }
            Content::RedactedThinking(data) => {
                self.whole(choice, PartKind::RedactedThinking(data), Vec::new(), out);
            }
            _ => {}
        }
    }

    fn text(&mut self, choice: u32, text: Text, thought: bool, out: &mut Vec<Event>) {
        if self.open.as_ref().is_none_or(|open| open.thought != thought) {
            let kind = if thought { PartKind::Thinking } else { PartKind::Text };
            let part = self.begin(choice, kind, out);
            self.open = Some(OpenText { part, thought, seam: Seam::default() });
        }
        let Some(OpenText { part, seam, .. }) = &mut self.open else { return };
        let text = seam.join(text);
        if !text.is_empty() {
            out.push(Event::Delta { choice, part: *part, delta: Delta::Text(text) });
        }
    }

    /// A part that is whole at once.
    fn whole(&mut self, choice: u32, kind: PartKind, deltas: Vec<Delta>, out: &mut Vec<Event>) {
        let part = self.begin(choice, kind, out);
        out.extend(deltas.into_iter().map(|delta| Event::Delta { choice, part, delta }));
        out.push(Event::PartEnd { choice, part });
    }

    fn begin(&mut self, choice: u32, kind: PartKind, out: &mut Vec<Event>) -> u32 {
        self.end(choice, out);
        let part = self.next_part;
        self.next_part += 1;
        out.push(Event::PartStart { choice, part, kind });
        part
    }

    fn end(&mut self, choice: u32, out: &mut Vec<Event>) {
        let Some(OpenText { part, mut seam, .. }) = self.open.take() else { return };
        out.extend(seam.end().map(|half| Event::Delta { choice, part, delta: Delta::Text(half.into()) }));
        out.push(Event::PartEnd { choice, part });
    }
}
