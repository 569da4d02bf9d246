//! Names of tools as their vendors take them. What one takes another refuses with the whole call, and clients do not know who will answer:
//! such a name goes out as another one, and comes back as what it was.

use crate::call_id::fnv;
use crate::hub::{Call, Content, Reply, Tool, ToolChoice};

/// The longest name that every vendor takes.
pub(crate) const LONGEST: usize = 64;

/// The names that a vendor takes: of letters, digits and underscores, and what else is said here; at most 64 of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToolNameRule {
    /// Further letters.
    pub beside: &'static [u8],
    /// True if the first one is a letter or an underscore.
    pub begins_with_letter: bool,
}

impl ToolNameRule {
    fn takes(self, name: &str) -> bool {
        let begins = name.bytes().next().is_some_and(|first| self.may_begin(first));
        begins && name.len() <= LONGEST && name.bytes().all(|byte| self.has(byte))
    }

    fn has(self, byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || byte == b'_' || self.beside.contains(&byte)
    }

    fn may_begin(self, byte: u8) -> bool {
        !self.begins_with_letter || byte.is_ascii_alphabetic() || byte == b'_'
    }

    /// The name in its letters, with a hash of what it was, so that two stay two. Always the same.
    fn fitted(self, name: &str) -> String {
        let letters = name.chars().map(|c| u8::try_from(c).ok().filter(|byte| self.has(*byte)).map_or('_', char::from));
        let begins = name.bytes().next().is_some_and(|first| self.may_begin(first));
        let before = if begins { "" } else { "_" };
        let kept: String = before.chars().chain(letters).take(LONGEST - 17).collect();
        format!("{kept}_{:016x}", fnv(name.as_bytes()))
    }
}

/// The names of a call's tools that went out as others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolNames {
    /// As it went out, and as the caller has it.
    changed: Vec<(String, String)>,
}

impl ToolNames {
    /// Puts names into a call that its target takes, whatever another one was sent.
    pub fn fit(&mut self, call: &mut Call, rule: ToolNameRule) {
        each_name(call, |name| {
            self.give_back(name);
            if !rule.takes(name) {
                let own = std::mem::replace(name, rule.fitted(name));
                let pair = (name.clone(), own);
                if !self.changed.contains(&pair) {
                    self.changed.push(pair);
                }
            }
        });
    }

    /// The caller's own name again.
    pub fn give_back(&self, name: &mut String) {
        if let Some((_, own)) = self.changed.iter().find(|(fitted, _)| fitted == name) {
            own.clone_into(name);
        }
    }
}

impl ToolNames {
    /// Names the tools of an answer as its caller does.
    pub fn give_back_in(&self, reply: &mut Reply) {
        for part in reply.choices.iter_mut().flat_map(|choice| &mut choice.parts) {
            if let Content::ToolCall(call) = &mut part.content {
                self.give_back(&mut call.name);
            }
        }
    }
}

fn each_name(call: &mut Call, mut see: impl FnMut(&mut String)) {
    for tool in &mut call.tools {
        if let Tool::Function { name, .. } = tool {
            see(name);
        }
    }
    if let Some(ToolChoice::Named(name)) = &mut call.tool_choice {
        see(name);
    }
    for part in call.messages.iter_mut().flat_map(|message| &mut message.parts) {
        if let Content::ToolCall(called) = &mut part.content {
            see(&mut called.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dialect;

    fn call(name: &str) -> Call {
        let body = format!(
            r#"{{"model":"m","tools":[{{"type":"function","function":{{"name":"{name}","parameters":{{}}}}}}],"tool_choice":{{"type":"function","function":{{"name":"{name}"}}}},"messages":[{{"role":"user","content":"x"}},{{"role":"assistant","tool_calls":[{{"id":"c","type":"function","function":{{"name":"{name}","arguments":"{{}}"}}}}]}},{{"role":"tool","tool_call_id":"c","content":"y"}}]}}"#
        );
        Dialect::OpenAiChat.decode_call(body.as_bytes()).unwrap()
    }

    fn names(call: &mut Call) -> Vec<String> {
        let mut seen = Vec::new();
        each_name(call, |name| seen.push(name.clone()));
        seen
    }

    #[test]
    fn a_name_goes_out_as_its_vendor_takes_it_and_comes_back() {
        let long = format!("mcp__{}", "n".repeat(120));
        let rule = |dialect: Dialect| dialect.habits().tool_names;
        for (dialect, name, stays) in [
            (Dialect::OpenAiChat, "get_weather-2", true),
            (Dialect::OpenAiChat, "2get", true),
            (Dialect::OpenAiChat, "a.b:c", false),
            (Dialect::OpenAiChat, &long, false),
            (Dialect::OpenAiChat, "größe", false),
            (Dialect::AnthropicMessages, "a.b", false),
            (Dialect::Gemini, "a.b:c-d", true),
            (Dialect::Gemini, "2get", false),
            (Dialect::Gemini, "-get", false),
            (Dialect::BedrockConverse, &long, false),
            (Dialect::CohereChat, "get-it", false),
            (Dialect::CohereChat, "_get", true),
        ] {
            let (mut sent, mut known) = (call(name), ToolNames::default());
            known.fit(&mut sent, rule(dialect));
            let all = names(&mut sent);
            assert!(all.iter().all(|name| rule(dialect).takes(name) && *name == all[0]), "{dialect:?} {all:?}");
            assert_eq!((all.len(), all[0] == name), (3, stays), "{dialect:?} {all:?}");
            let mut back = all[0].clone();
            known.give_back(&mut back);
            assert_eq!(back, name);
        }
    }

    #[test]
    fn another_target_is_sent_what_it_takes_of_the_callers_own() {
        let (mut sent, mut known) = (call("a.b"), ToolNames::default());
        known.fit(&mut sent, Dialect::OpenAiChat.habits().tool_names);
        let first = names(&mut sent)[0].clone();
        known.fit(&mut sent, Dialect::Gemini.habits().tool_names);
        assert_eq!(names(&mut sent), ["a.b"; 3]);
        known.fit(&mut sent, Dialect::CohereChat.habits().tool_names);
        // Whoever answers: an answer of the first may still come.
        for mut name in [first, names(&mut sent)[0].clone()] {
            known.give_back(&mut name);
            assert_eq!(name, "a.b");
        }
        let rule = Dialect::OpenAiChat.habits().tool_names;
        assert_ne!(rule.fitted(&("n".repeat(90) + "a")), rule.fitted(&("n".repeat(90) + "b")));
    }
}
