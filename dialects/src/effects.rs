//! The effects that a call has beside its answer, by what its body asks for: of these it is not the same to be made once and twice.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The fields by which a provider is asked to keep something, or to let tools of its own act.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AskedEffects<'a> {
    #[serde(borrow)]
    store: Option<&'a RawValue>,
    #[serde(borrow)]
    background: Option<&'a RawValue>,
    #[serde(borrow)]
    conversation: Option<&'a RawValue>,
    #[serde(borrow)]
    thread: Option<&'a RawValue>,
    #[serde(borrow)]
    container: Option<&'a RawValue>,
    #[serde(borrow)]
    mcp_servers: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ToolType<'a> {
    #[serde(borrow, default)]
    r#type: Option<Cow<'a, str>>,
}

/// The effects of a call beside its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effects {
    /// The provider keeps its answer (`store`).
    pub is_kept: bool,
    /// Something is made, goes on or is done elsewhere each time that it is called: an answer in the background, a conversation or a container
    /// that the provider keeps, an act of a tool that it runs.
    pub acts: bool,
}

impl Effects {
    /// True if the same call made twice is not the same as made once.
    #[must_use]
    pub const fn any(self) -> bool {
        self.is_kept || self.acts
    }
}

/// True for a type of tool that the provider calls elsewhere, of which nobody here knows what it does.
#[must_use]
pub fn acts(tool_type: &str) -> bool {
    tool_type.starts_with("mcp")
}

/// The effects of a call by its body. One that can not be read has all of them.
#[must_use]
pub fn effects(body: &[u8]) -> Effects {
    let Ok(asked) = serde_json::from_slice::<AskedEffects<'_>>(body) else {
        return Effects { is_kept: true, acts: true };
    };
    let is_true = |raw: Option<&RawValue>| raw.is_some_and(|raw| raw.get() == "true");
    let is_there = |raw: Option<&RawValue>| raw.is_some_and(|raw| !matches!(raw.get(), "null" | "[]" | "\"\""));
    let is_of_tools = |raw: &RawValue| {
        let tools = serde_json::from_str::<Vec<ToolType<'_>>>(raw.get()).unwrap_or_default();
        tools.iter().any(|tool| tool.r#type.as_deref().is_some_and(acts))
    };
    let keeps = [asked.conversation, asked.thread, asked.container, asked.mcp_servers];
    let acts = is_true(asked.background) || keeps.into_iter().any(is_there) || asked.tools.is_some_and(is_of_tools);
    Effects { is_kept: is_true(asked.store), acts }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_something_behind_is_known() {
        assert_eq!(effects(br#"{"store":true}"#), Effects { is_kept: true, acts: false });
        for body in [
            r#"{"background":true}"#,
            r#"{"conversation":"c"}"#,
            r#"{"thread":{}}"#,
            r#"{"container":{"skills":[]}}"#,
            r#"{"mcp_servers":[{"type":"url"}]}"#,
            r#"{"tools":[{"type":"web_search"},{"type":"mcp"}]}"#,
            "[",
        ] {
            assert!(effects(body.as_bytes()).acts, "{body}");
        }
        for body in [
            "{}",
            r#"{"store":false,"thread":null,"mcp_servers":[],"background":false}"#,
            r#"{"messages":[{"store":true,"type":"mcp"}],"tools":[{"type":"function","name":"mcp"},{"name":"a"}]}"#,
        ] {
            assert!(!effects(body.as_bytes()).any(), "{body}");
        }
    }
}
