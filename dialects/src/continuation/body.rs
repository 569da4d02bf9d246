//! The call for the rest of an answer: the caller's own, with what was said behind its last turn, and where the target has to be asked,
//! the words that ask it to go on.

use bytes::Bytes;

use crate::verbatim::{Edit, names, splice};

/// The place of turns in a dialect's bodies, and the form of one that is text alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerPlace {
    /// `messages`, each with its text as `content`.
    Messages,
    /// `messages`, each with a list of texts as `content`.
    TextBlocks,
    /// `contents`, each with a list of texts as `parts`.
    Contents,
    /// `input`: a list, or the one turn's text.
    Input,
    /// The text `prompt`, which an answer goes on with by itself.
    Prompt,
}

impl AnswerPlace {
    const fn field(self) -> &'static str {
        match self {
            Self::Messages | Self::TextBlocks => "messages",
            Self::Contents => "contents",
            Self::Input => "input",
            Self::Prompt => "prompt",
        }
    }

    fn turn(self, is_models: bool, text: &str) -> String {
        let text = quoted(text);
        let role = match (self, is_models) {
            (_, false) => "user",
            (Self::Contents, true) => "model",
            (_, true) => "assistant",
        };
        match self {
            Self::TextBlocks => format!("{{\"role\":\"{role}\",\"content\":[{{\"text\":{text}}}]}}"),
            Self::Contents => format!("{{\"role\":\"{role}\",\"parts\":[{{\"text\":{text}}}]}}"),
            Self::Messages | Self::Input | Self::Prompt => format!("{{\"role\":\"{role}\",\"content\":{text}}}"),
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// A body with what was said, and with the words that ask to go on where there are any; `None`: it has no place for them.
pub(crate) fn gone_on(body: &Bytes, place: AnswerPlace, (said, prompt): (&str, Option<&str>)) -> Option<Bytes> {
    let (.., span) = names(body).into_iter().find(|(name, ..)| name == place.field())?;
    let given = std::str::from_utf8(body.get(span.clone())?).ok()?;
    let text = serde_json::from_str::<String>(given).ok();
    // A model takes blanks at the end of what it has said for its own, and some servers refuse them.
    let said = said.trim_end();
    let made = match (place, text) {
        (AnswerPlace::Prompt, Some(text)) => quoted(&format!("{text}{said}")),
        (AnswerPlace::Prompt, None) => return None,
        (AnswerPlace::Input, Some(text)) => turns(&place.turn(false, &text), place, (said, prompt)),
        (_, Some(_)) => return None,
        (_, None) => {
            let inside = given.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'))?.trim();
            (!inside.is_empty()).then(|| turns(inside, place, (said, prompt)))?
        }
    };
    Some(splice(body, &[Edit::write(span, made)]))
}

fn turns(before: &str, place: AnswerPlace, (said, prompt): (&str, Option<&str>)) -> String {
    let asked = prompt.map(|prompt| format!(",{}", place.turn(false, prompt))).unwrap_or_default();
    format!("[{before},{}{asked}]", place.turn(true, said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_stands_behind_the_last_turn() {
        for (place, body, said, prompted) in [
            (
                AnswerPlace::Messages,
                r#"{"model":"m","messages":[{"role":"user","content":"Hi"}],"stream":true}"#,
                r#"{"model":"m","messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"One \"two\""}],"stream":true}"#,
                r#",{"role":"user","content":"Go on."}]"#,
            ),
            (
                AnswerPlace::TextBlocks,
                r#"{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}"#,
                r#"{"messages":[{"role":"user","content":[{"text":"Hi"}]},{"role":"assistant","content":[{"text":"One \"two\""}]}]}"#,
                r#",{"role":"user","content":[{"text":"Go on."}]}]"#,
            ),
            (
                AnswerPlace::Contents,
                r#"{"contents":[{"parts":[{"text":"Hi"}]}]}"#,
                r#"{"contents":[{"parts":[{"text":"Hi"}]},{"role":"model","parts":[{"text":"One \"two\""}]}]}"#,
                r#",{"role":"user","parts":[{"text":"Go on."}]}]"#,
            ),
            (
                AnswerPlace::Input,
                r#"{"input":"Hi"}"#,
                r#"{"input":[{"role":"user","content":"Hi"},{"role":"assistant","content":"One \"two\""}]}"#,
                r#",{"role":"user","content":"Go on."}]"#,
            ),
            (AnswerPlace::Prompt, r#"{"prompt":"Hi. "}"#, r#"{"prompt":"Hi. One \"two\""}"#, ""),
        ] {
            let body = Bytes::copy_from_slice(body.as_bytes());
            let made = gone_on(&body, place, ("One \"two\" ", None)).unwrap();
            assert_eq!(String::from_utf8_lossy(&made), said);
            let made = gone_on(&body, place, ("One \"two\" ", Some("Go on."))).unwrap();
            assert!(String::from_utf8_lossy(&made).contains(prompted), "{place:?}: {made:?}");
        }
    }

    #[test]
    fn a_body_without_a_place_for_it_stays() {
        for (place, body) in [
            (AnswerPlace::Messages, r#"{"messages":[]}"#),
            (AnswerPlace::Messages, r#"{"messages":"Hi"}"#),
            (AnswerPlace::Messages, r#"{"model":"m"}"#),
            (AnswerPlace::Prompt, r#"{"prompt":["Hi"]}"#),
            (AnswerPlace::Input, r#"{"input":{"role":"user"}}"#),
        ] {
            assert_eq!(gone_on(&Bytes::from_static(body.as_bytes()), place, ("One", None)), None, "{body}");
        }
    }
}
