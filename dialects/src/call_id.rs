//! Ids of tool calls: in the letters that every vendor takes, and told apart from those of other answers.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

/// The longest id that Bedrock takes, and OpenAI's Responses.
pub(crate) const LONGEST_IN_ITEMS: usize = 64;

/// An id of this many letters at most, of which Anthropic and Bedrock refuse none; a changed one keeps a hash of what it was, so that two stay two, and a call and
/// its result still meet.
pub(crate) fn plain(id: &str, longest: usize) -> Cow<'_, str> {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !id.is_empty() && id.len() <= longest && id.bytes().all(fine) {
        return Cow::Borrowed(id);
    }
    let kept: String = id.chars().take(40).map(|c| if u8::try_from(c).is_ok_and(fine) { c } else { '_' }).collect();
    Cow::Owned(format!("{kept}_{:016x}", fnv(id.as_bytes())))
}

/// The longest id that OpenAI's Chat Completions take.
pub(crate) const LONGEST_IN_CHAT: usize = 40;

/// An id of at most so many bytes; a longer one keeps its beginning and a hash of the whole.
pub(crate) fn short(id: &str, longest: usize) -> Cow<'_, str> {
    if id.len() <= longest {
        return Cow::Borrowed(id);
    }
    let kept = id.get(..id.floor_char_boundary(longest - 17)).unwrap_or_default();
    Cow::Owned(format!("{kept}_{:016x}", fnv(id.as_bytes())))
}

/// The beginning of an id that was made for a call whose provider gave it none.
const MADE: &str = "call__";

/// An id for a call that its provider gave none, in the letters that every dialect takes: by the answer that it is in, as far as that has an
/// id, and its place there.
pub(crate) fn made(reply_id: &str, choice: u32, call: u32) -> String {
    let letters: String = reply_id.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    format!("{MADE}{letters}_{choice}_{call}")
}

/// Names a call by what is told apart from all other answers, where its id was made, or is its place in an answer and nothing else: some
/// servers give all answers the same id, or none, or begin to count anew with each, and clients take two calls of one id, in however many
/// turns, for one.
pub fn tell_apart(id: &mut String, by: &str) {
    let place = id.strip_prefix(MADE).or_else(|| counted(id).map(|_| id.as_str()));
    if let Some(place) = place {
        *id = format!("call_{:016x}", fnv(format!("{by} {place}").as_bytes()));
    }
}

/// The name and the number of an id that is made of them, as Kimi's are: `functions.NAME:NUMBER`, or `NAME:NUMBER`.
pub(crate) fn counted(id: &str) -> Option<(&str, &str)> {
    let is_number = |number: &str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    id.rsplit_once(':').filter(|(name, number)| !name.is_empty() && is_number(number))
}

/// Calls that have another id than they came with, in the order of a conversation.
#[derive(Default)]
pub(crate) struct RenamedCalls {
    /// The new ids by the old one: of the calls that wait for a result, and of the last that has one.
    by_old: HashMap<String, (VecDeque<String>, String)>,
    /// True if a result has come since the last call.
    answered: bool,
}

impl RenamedCalls {
    /// A call comes.
    pub(crate) fn call(&mut self, old: &str, new: &str) {
        if std::mem::take(&mut self.answered) {
            // The step before is over: what has no result by now gets none.
            self.by_old.values_mut().for_each(|(waiting, _)| waiting.clear());
        }
        let (waiting, last) = self.by_old.entry(old.to_owned()).or_default();
        waiting.push_back(new.to_owned());
        if waiting.len() == 1 {
            new.clone_into(last);
        }
    }

    /// The new id of the call that the next result with this id answers; `None`: there was no such call.
    pub(crate) fn result(&mut self, old: &str) -> Option<String> {
        self.answered = true;
        let (waiting, last) = self.by_old.get_mut(old)?;
        if let Some(new) = waiting.pop_front() {
            *last = new;
        }
        Some(last.clone())
    }
}

/// FNV-1a: stable between processes and versions.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use crate::codec::StreamOptions;
    use crate::dialect::Dialect;
    use crate::hub::{Event, PartKind};

    #[test]
    fn a_long_id_is_short_and_stays_another_than_the_next() {
        assert_eq!(super::short("call_1", 40), "call_1");
        let [one, other] = ["a", "b"].map(|end| super::short(&("toolu_".repeat(10) + end), 40).into_owned());
        assert!(one.len() == 40 && other.len() == 40 && one != other, "{one} {other}");
        assert!(super::short(&"é".repeat(40), 40).len() <= 40);
    }

    #[test]
    fn calls_of_two_answers_have_two_ids_though_the_answers_have_one() {
        let told = |reply: &str, call: u32, by: &str| {
            let mut id = super::made(reply, 0, call);
            super::tell_apart(&mut id, by);
            id
        };
        let ids = [("c", 0, "a"), ("c", 1, "a"), ("c", 0, "b"), ("", 0, "a"), ("", 0, "b")];
        let ids: std::collections::BTreeSet<String> = ids.map(|(reply, call, by)| told(reply, call, by)).into();
        assert!(ids.len() == 5 && ids.iter().all(|id| id.len() == 21), "{ids:?}");
        assert_eq!(told("chatcmpl-1", 0, "a"), told("chatcmpl-1", 0, "a"));
        let mut own = "call_1".to_owned();
        super::tell_apart(&mut own, "a");
        assert_eq!(own, "call_1");
    }

    #[test]
    fn ids_that_count_calls_from_the_beginning_in_every_answer_are_given_out_once() {
        for counted in ["functions.Bash:0", "list_dir:12"] {
            let [one, same, other] = ["a", "a", "b"].map(|by| {
                let mut id = counted.to_owned();
                super::tell_apart(&mut id, by);
                id
            });
            assert!(one == same && one != other && one.len() == 21, "{counted} {one} {other}");
        }
        for own in ["call_0", "toolu_01:x", ":0", "f:", "chatcmpl-tool-1"] {
            let mut id = own.to_owned();
            super::tell_apart(&mut id, "a");
            assert_eq!(id, own);
        }
    }

    #[test]
    fn ids_are_the_same_in_streams_as_in_what_is_sent_back() {
        let plain = super::plain("functions.f:0", usize::MAX).into_owned();
        assert!(plain.starts_with("functions_f_0_"), "{plain}");
        assert_ne!(plain, super::plain("functions.f_0", usize::MAX));
        for dialect in [Dialect::AnthropicMessages, Dialect::BedrockConverse] {
            let (mut encoder, mut out) = (dialect.stream_encoder(StreamOptions::default()), Vec::new());
            encoder.push(&Event::Start { id: "c".into(), model: "m".into(), created: None }, &mut out);
            let kind = PartKind::ToolCall { id: "functions.f:0".into(), name: "f".into() };
            encoder.push(&Event::PartStart { choice: 0, part: 0, kind }, &mut out);
            let told = String::from_utf8_lossy(&out);
            assert!(told.contains(&plain) && !told.contains("functions.f:0"), "{told}");
        }
    }
}
