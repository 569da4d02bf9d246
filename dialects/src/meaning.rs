//! The meaning of a call that every dialect can say: turns of text, instructions, and the settings that all have. Two calls that mean the
//! same may share an answer, whichever dialects they are in. Anything else in a call, and it has no such meaning.

use crate::conversation::without_billing_digest;
use crate::dialect::Dialect;
use crate::hub::{Call, Content, Message, Part, Role, Sampling, SystemPart};

/// Bodies beyond this size are not looked at: a look costs a reading of the whole.
const MOST: usize = 256 << 10;

impl Dialect {
    /// The meaning of a call, in bytes that no other meaning has; the model is not in it. `None`: it can not be said in every dialect.
    #[must_use]
    pub fn meaning(self, body: &[u8]) -> Option<Vec<u8>> {
        if !self.shares_meanings() || body.len() > MOST {
            return None;
        }
        let mut out = Vec::with_capacity(body.len());
        write(&self.decode_call(body).ok()?, &mut out)?;
        Some(out)
    }

    /// True if it has calls whose answers calls in other dialects may share: conversations, told as text, that no provider keeps.
    #[must_use]
    pub fn shares_meanings(self) -> bool {
        let habits = self.habits();
        !habits.is_binary && !habits.keeps_answers && !self.has_prompts()
    }
}

fn write(call: &Call, out: &mut Vec<u8>) -> Option<()> {
    let Call {
        model: _,
        system,
        messages,
        tools,
        tool_choice: None,
        parallel_tools: None,
        max_tokens,
        sampling,
        stop,
        format: None,
        reasoning: None,
        thoughts_told: false,
        stream: _,
        stream_usage: _,
        end_user: None,
        extra,
    } = call
    else {
        return None;
    };
    if !tools.is_empty() || !extra.fields.is_empty() {
        return None;
    }
    settings(sampling, out)?;
    number(*max_tokens, out);
    count(stop.len(), out);
    stop.iter().for_each(|stop| text(stop, out));
    instructions(system, out)?;
    count(messages.len(), out);
    messages.iter().try_for_each(|message| turn(message, out))
}

fn settings(sampling: &Sampling, out: &mut Vec<u8>) -> Option<()> {
    let Sampling {
        temperature,
        top_p,
        top_k: None,
        seed: None,
        frequency_penalty: None,
        presence_penalty: None,
        choices,
    } = sampling
    else {
        return None;
    };
    if choices.is_some_and(|choices| choices != 1) {
        return None;
    }
    for setting in [temperature, top_p] {
        // As numbers: 1 and 1.0 are one.
        let setting = setting.as_ref().map(|number| number.as_f64()).map_or(Some(None), |number| number.map(Some))?;
        number(setting.map(f64::to_bits), out);
    }
    Some(())
}

fn instructions(system: &[SystemPart], out: &mut Vec<u8>) -> Option<()> {
    count(system.len(), out);
    for part in system {
        let SystemPart { text: said, cache: None, developer: _, name: None, extra } = part else { return None };
        if !extra.is_empty() {
            return None;
        }
        text(&without_billing_digest(said), out);
    }
    Some(())
}

fn turn(message: &Message, out: &mut Vec<u8>) -> Option<()> {
    let Message { role, name: None, parts, extra, at: _ } = message else { return None };
    if !extra.is_empty() {
        return None;
    }
    out.push(match role {
        Role::User => 1,
        Role::Assistant => 2,
        // Not every dialect has them here.
        Role::System | Role::Developer => return None,
    });
    count(parts.len(), out);
    for part in parts {
        let Part { content: Content::Text { text: said, citations: None }, cache: None, extra } = part else {
            return None;
        };
        if !extra.is_empty() {
            return None;
        }
        text(said, out);
    }
    Some(())
}

fn number(number: Option<u64>, out: &mut Vec<u8>) {
    out.push(u8::from(number.is_some()));
    out.extend_from_slice(&number.unwrap_or_default().to_le_bytes());
}

fn count(count: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&u64::try_from(count).unwrap_or(u64::MAX).to_le_bytes());
}

fn text(text: &str, out: &mut Vec<u8>) {
    count(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: Dialect = Dialect::OpenAiChat;

    fn chat(body: &str) -> Option<Vec<u8>> {
        CHAT.meaning(body.as_bytes())
    }

    #[test]
    fn one_question_means_the_same_in_every_dialect_that_says_it() {
        let of = |dialect: Dialect, body: &str| {
            dialect.meaning(body.as_bytes()).unwrap_or_else(|| panic!("{dialect:?}: {body}"))
        };
        let wanted = of(
            CHAT,
            r#"{"model":"m","max_tokens":9,"temperature":1,"stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hello"}]}"#,
        );
        let same = [
            (
                CHAT,
                r#"{"model":"other","max_completion_tokens":9,"temperature":1.0,"messages":[{"role":"developer","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"Hello"}]}]}"#,
            ),
            (
                Dialect::AnthropicMessages,
                r#"{"model":"m","max_tokens":9,"temperature":1,"system":"Be brief.","messages":[{"role":"user","content":"Hello"}]}"#,
            ),
            (
                Dialect::Gemini,
                r#"{"systemInstruction":{"parts":[{"text":"Be brief."}]},"generationConfig":{"maxOutputTokens":9,"temperature":1},"contents":[{"role":"user","parts":[{"text":"Hello"}]}]}"#,
            ),
            (
                Dialect::CohereChat,
                r#"{"model":"m","max_tokens":9,"temperature":1,"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hello"}]}"#,
            ),
        ];
        for (dialect, body) in same {
            assert_eq!(of(dialect, body), wanted, "{dialect:?}");
        }
    }

    #[test]
    fn what_is_asked_differently_means_something_else() {
        let turn = r#""messages":[{"role":"user","content":"Hello"}]"#;
        let all: Vec<Vec<u8>> = [
            format!("{{\"model\":\"m\",{turn}}}"),
            format!("{{\"model\":\"m\",\"max_tokens\":9,{turn}}}"),
            format!("{{\"model\":\"m\",\"temperature\":0.5,{turn}}}"),
            format!("{{\"model\":\"m\",\"top_p\":0.5,{turn}}}"),
            format!("{{\"model\":\"m\",\"stop\":[\"x\"],{turn}}}"),
            r#"{"model":"m","messages":[{"role":"user","content":"hello"}]}"#.to_owned(),
            r#"{"model":"m","messages":[{"role":"assistant","content":"Hello"}]}"#.to_owned(),
            r#"{"model":"m","messages":[{"role":"user","content":"Hel"},{"role":"user","content":"lo"}]}"#.to_owned(),
            r#"{"model":"m","messages":[{"role":"system","content":"Hello"},{"role":"user","content":"Hello"}]}"#
                .to_owned(),
        ]
        .iter()
        .map(|body| chat(body).unwrap_or_else(|| panic!("{body}")))
        .collect();
        for (at, one) in all.iter().enumerate() {
            assert!(all.iter().skip(at + 1).all(|other| other != one), "{at}");
        }
    }

    #[test]
    fn what_not_every_dialect_can_say_has_no_meaning_for_all() {
        for member in [
            r#""tools":[{"type":"function","function":{"name":"f"}}]"#,
            r#""n":2"#,
            r#""user":"u""#,
            r#""seed":1"#,
            r#""response_format":{"type":"json_object"}"#,
            r#""reasoning_effort":"low""#,
            r#""logit_bias":{"1":2}"#,
            r#""something_new":true"#,
        ] {
            let body = format!(r#"{{"model":"m",{member},"messages":[{{"role":"user","content":"Hello"}}]}}"#);
            assert_eq!(chat(&body), None, "{member}");
        }
        let image = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://a.b/c.png"}}]}]}"#;
        assert_eq!(chat(image), None);
        for dialect in
            [Dialect::OpenAiResponses, Dialect::OpenAiCompletions, Dialect::BedrockConverse, Dialect::BedrockInvoke]
        {
            assert!(!dialect.shares_meanings(), "{dialect:?}");
        }
    }
}
