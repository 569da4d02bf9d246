//! Marks the signatures over a model's thoughts by the vendor that made them, for callers whose dialect does not tell one vendor's from
//! another's: a vendor refuses those of all others.

use crate::hub::{Content, Delta, Event, PartKind, Reply};

/// Puts a mark before the signatures of one answer, and before thoughts that are hidden in it.
#[derive(Debug)]
pub struct SignatureMark {
    mark: String,
    /// The part whose signature has begun.
    begun: Option<(u32, u32)>,
}

impl SignatureMark {
    pub(crate) const fn new(mark: String) -> Self {
        Self { mark, begun: None }
    }

    /// Marks those of a whole answer.
    pub fn put(&self, reply: &mut Reply) {
        for part in reply.choices.iter_mut().flat_map(|choice| &mut choice.parts) {
            match &mut part.content {
                Content::Thinking { text: _, signature: Some(text) } | Content::RedactedThinking(text) => {
                    self.mark(text);
                }
                _ => {}
            }
        }
    }

    /// Marks what the next event of a streamed one says of them.
    pub fn see(&mut self, event: &mut Event) {
        match event {
            Event::PartStart { kind: PartKind::RedactedThinking(data), .. } => self.mark(data),
            // What is more of it has its mark.
            Event::Delta { choice, part, delta: Delta::Signature(text) }
                if self.begun.replace((*choice, *part)) != Some((*choice, *part)) =>
            {
                self.mark(text);
            }
            _ => {}
        }
    }

    fn mark(&self, text: &mut String) {
        if !text.is_empty() {
            text.insert_str(0, &self.mark);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{Dialect, ProviderProfile};

    /// The thoughts of the model's turn that a model at Bedrock is sent, where a caller of Anthropic's dialect has this signature of them.
    fn sent(model: &str, signature: &str) -> Value {
        let body = json!({"model": model, "max_tokens": 9, "messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": signature}, {"type": "text", "text": "y"},
            ]},
            {"role": "user", "content": "z"},
        ]});
        let call = Dialect::AnthropicMessages.decode_call(body.to_string().as_bytes()).unwrap();
        let sent = Dialect::BedrockConverse.encode_call(&call, &ProviderProfile::default()).unwrap();
        let sent: Value = serde_json::from_slice(&sent.body).unwrap();
        sent["messages"][1]["content"][0]["reasoningContent"]["reasoningText"]["signature"].clone()
    }

    #[test]
    fn a_signature_goes_back_to_the_vendor_that_made_it_and_to_no_other() {
        const NOVA: &str = "us.amazon.nova-2-lite-v1:0";
        const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
        let answer = br#"{"output":{"message":{"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"Hm.","signature":"s1"}}},{"text":"y"}]}},"stopReason":"end_turn"}"#;
        let told = |model: &str| {
            let mut reply = Dialect::BedrockConverse.decode_reply(answer).unwrap();
            Dialect::BedrockConverse.signature_mark(model).into_iter().for_each(|mark| mark.put(&mut reply));
            let told: Value =
                serde_json::from_slice(&Dialect::AnthropicMessages.encode_reply(&reply, b"{}").body).unwrap();
            told["content"][0]["signature"].as_str().unwrap().to_owned()
        };
        let (novas, claudes) = (told(NOVA), told(CLAUDE));
        assert_eq!((novas.as_str(), claudes.as_str()), ("sluicegate.b.amazon:s1", "s1"));
        assert_eq!(sent(NOVA, &novas), "s1");
        assert_eq!(sent(CLAUDE, &claudes), "s1");
        assert_eq!((sent(NOVA, &claudes), sent(CLAUDE, &novas)), (Value::Null, Value::Null));
        assert_eq!(sent("moonshot.kimi-k2-thinking", &claudes), Value::Null);
    }

    #[test]
    fn a_signature_in_pieces_has_one_mark() {
        let mut mark = SignatureMark::new("m:".to_owned());
        let mut told = String::new();
        for (part, piece) in [(0, "a"), (0, "b"), (1, "c")] {
            let mut event = Event::Delta { choice: 0, part, delta: Delta::Signature(piece.to_owned()) };
            mark.see(&mut event);
            if let Event::Delta { delta: Delta::Signature(piece), .. } = event {
                told += &piece;
            }
        }
        assert_eq!(told, "m:abm:c");
    }
}
