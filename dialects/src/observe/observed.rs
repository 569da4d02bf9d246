//! The facts known of a stream that passes: its usage, its text, its answers and its end.

use crate::answered_by::AnsweredBy;
use crate::codec::AnswerName;
use crate::hub::{ProviderError, ServiceTier, Usage};
use crate::sse::Frame;

use super::text::TextMeter;

/// A dialect's part of it: takes one event to what is known; true when it is nothing but the usage that OpenAI was asked to
/// add.
pub(crate) type ObserveEvent = fn(&mut Observed, Frame<'_>) -> bool;

/// The number of counts that a dialect may keep from one event to the next.
pub(crate) const COUNTS: usize = 15;

/// All that has been observed.
#[derive(Debug)]
pub(crate) struct Observed {
    /// The usage, by what the provider has said so far.
    pub(crate) usage: Option<Usage>,
    /// True if the usage was said at the answer's beginning alone, before anybody could know it.
    pub(crate) usage_is_early: bool,
    /// The service tier, where it is said beside the usage.
    pub(crate) tier: ServiceTier,
    /// Counts that a dialect says in several events, in an order of its own.
    pub(crate) counts: [Option<u64>; COUNTS],
    /// True if something of the answer itself went by.
    pub(crate) first_token: bool,
    /// True if thoughts have begun, whatever is shown of them.
    pub(crate) thought: bool,
    /// True if the stream said that it is whole.
    pub(crate) ended: bool,
    /// The error that the provider said in mid-stream, the first one.
    pub(crate) error: Option<ProviderError>,
    /// The number that the last event had, where the dialect numbers them.
    pub(crate) number: Option<u64>,
    /// True if another event still belongs to the error.
    pub(crate) error_goes_on: bool,
    /// The answer's name, where each event that tells of the answer says it.
    pub(crate) answer: Option<Box<AnswerName>>,
    /// The models behind the answer, where somebody wants to know.
    pub(super) behind: Option<Box<AnsweredBy>>,
    answers: Answers,
    text: TextMeter,
}

/// The answers in one stream: a bit for each, by its index. There are at most 128.
#[derive(Debug, Default)]
struct Answers {
    seen: u128,
    finished: u128,
}

impl Observed {
    /// At a stream's beginning; its texts stand behind this key.
    pub(super) fn new(text_key: &'static str) -> Self {
        Self {
            usage: None,
            usage_is_early: false,
            tier: ServiceTier::Unsaid,
            counts: [None; COUNTS],
            first_token: false,
            thought: false,
            ended: false,
            error: None,
            number: None,
            error_goes_on: false,
            answer: None,
            behind: None,
            answers: Answers::default(),
            text: TextMeter::new(text_key),
        }
    }

    /// Takes one event to what is known; true when it is nothing but usage that was asked for.
    pub(super) fn event(&mut self, observe: ObserveEvent, frame: Frame<'_>) -> bool {
        if frame.skipped {
            // Nothing but content is so large.
            self.first_token = true;
            return false;
        }
        self.text.measure(frame.data);
        self.behind.iter_mut().for_each(|behind| behind.read(frame.data));
        observe(self, frame)
    }

    /// Notes an answer of the stream, and whether it has said why it finished.
    pub(crate) fn answer(&mut self, index: u32, finishes: bool) {
        let bit = 1_u128.checked_shl(index).unwrap_or(0);
        self.answers.seen |= bit;
        if finishes {
            self.answers.finished |= bit;
        }
    }

    /// Notes that the provider failed, if it is the first time.
    pub(crate) fn fail(&mut self, read: impl FnOnce() -> ProviderError) {
        self.error.get_or_insert_with(read);
    }

    /// True if the stream said that it is whole, or an error: nothing stands behind either.
    pub(crate) const fn is_over(&self) -> bool {
        self.ended || (self.error.is_some() && !self.error_goes_on)
    }

    /// True if each of the answers said why it finished.
    pub(super) const fn is_finished(&self) -> bool {
        self.answers.seen != 0 && self.answers.seen == self.answers.finished
    }

    /// The length of the answer's own text so far, in bytes: close, not exact.
    pub(super) fn text_bytes(&self) -> u64 {
        self.text.bytes()
    }
}
