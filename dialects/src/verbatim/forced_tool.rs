//! A forced tool for a model that thinks unless it is told not to, where its vendor lets none be forced meanwhile: it is told not to, in a
//! body that stays as it is otherwise.

use bytes::Bytes;
use memchr::memmem;

use super::splice::{Edit, splice};
use crate::json_places::member;
use crate::vendors::{LookAlike, thinker};

/// The body with the word that lets its tool be forced; itself, uncopied, where none is, or where the caller says how to think.
#[must_use]
pub fn let_force(body: &Bytes, look_alike: Option<&LookAlike>, model: &str) -> Bytes {
    let off = look_alike.filter(|row| !row.must_beside_thoughts).and_then(|row| row.off);
    let Some(off) = off.filter(|_| thinker(model).is_some_and(|model| model.rests)) else { return body.clone() };
    if memmem::find(body, b"\"tool_choice\"").is_none() {
        return body.clone();
    }
    let of = |name: &str| member(body, 0..body.len(), name.as_bytes());
    let (name, json) = off.member();
    let forces = of("tool_choice").is_some_and(|choice| {
        body.get(choice.clone()) == Some(b"\"required\"".as_slice()) || member(body, choice, b"function").is_some()
    });
    if !forces || [name, "thinking", "reasoning_effort"].into_iter().any(|said| of(said).is_some()) {
        return body.clone();
    }
    let Some(start) = body.iter().position(|byte| *byte == b'{') else { return body.clone() };
    splice(body, &[Edit::write(start + 1..start + 1, format!("\"{name}\":{json},"))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_can_rest_does_beside_a_forced_tool() {
        let said = |name: &str, model: &str, rest: &str| {
            let body = Bytes::from(format!("{{\"x\":1.50{rest}}}"));
            let fitted = let_force(&body, LookAlike::named(name).as_ref(), model);
            let fitted = String::from_utf8(fitted.to_vec()).unwrap();
            fitted.strip_suffix(&format!("\"x\":1.50{rest}}}")).unwrap().to_owned()
        };
        let required = r#","tool_choice":"required""#;
        let named = r#","tool_choice":{"type":"function","function":{"name":"f"}}"#;
        let disabled = r#"{"thinking":{"type":"disabled"},"#;
        assert_eq!(said("DeepSeek", "deepseek-v4-flash", required), disabled);
        assert_eq!(said("Moonshot", "kimi-k2.6", named), disabled);
        assert_eq!(said("Qwen", "qwen3.7-plus", named), r#"{"enable_thinking":false,"#);
        for (name, model, rest) in [
            ("DeepSeek", "deepseek-v4-flash", r#","tool_choice":"auto""#),
            ("DeepSeek", "deepseek-v4-flash", r#","tool_choice":"required","thinking":{"type":"enabled"}"#),
            ("DeepSeek", "deepseek-chat", required),
            ("Moonshot", "kimi-k3", required),
            ("vLLM", "deepseek-v4-flash", required),
        ] {
            assert_eq!(said(name, model, rest), "{", "{name} {model} {rest}");
        }
    }
}
