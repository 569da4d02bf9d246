//! The files that a call or an answer names by the ids under which a provider keeps them, whatever the dialect.

use std::collections::BTreeSet;

use bytes::Bytes;
use memchr::memmem;

use crate::every::EveryValue;
use crate::openai_responses::stored;

/// The members that name one file, and several.
const ONE: &str = "file_id";
const SEVERAL: &str = "file_ids";
/// The kinds of parts that name a file: what else has such a member is somebody's own (the arguments of a tool, a schema).
const PARTS: [&str; 10] = [
    "file",
    "input_file",
    "input_image",
    "container_upload",
    "computer_screenshot",
    "auto",
    "container_auto",
    "code_execution_output",
    "bash_code_execution_output",
    "text_editor_code_execution_output",
];
/// The deepest part that is looked at.
const DEEPEST: usize = 64;

/// The ids of the files that a text in JSON names, each once; none, where it is no JSON.
#[must_use]
pub fn named_files(text: &[u8]) -> Vec<String> {
    if memmem::find(text, b"file_id").is_none() && !may_hide(text) {
        return Vec::new();
    }
    let Some(value) = EveryValue::read(text) else { return Vec::new() };
    let mut found = BTreeSet::new();
    look(&value, DEEPEST, &mut found);
    found.into_iter().collect()
}

/// True if a letter of the members' names is written as an escape, which nobody does who writes no riddles.
fn may_hide(text: &[u8]) -> bool {
    let code = |at: usize| text.get(at + 4..at + 6).and_then(|code| std::str::from_utf8(code).ok());
    let letter = |at: usize| code(at).and_then(|code| u8::from_str_radix(code, 16).ok());
    memmem::find_iter(text, b"\\u00").filter_map(letter).any(|letter| SEVERAL.as_bytes().contains(&letter))
}

fn look(value: &EveryValue, deeper: usize, found: &mut BTreeSet<String>) {
    let Some(deeper) = deeper.checked_sub(1) else { return };
    value.elements().iter().for_each(|one| look(one, deeper, found));
    if value.texts("type").any(|kind| PARTS.contains(&kind)) {
        named(value, found);
        value.each("file").for_each(|file| named(file, found));
    }
    if value.texts("type").any(|kind| kind == "image_generation") {
        value.each("input_image_mask").for_each(|mask| named(mask, found));
    }
    // The arguments of a tool are its own.
    let is_use = value.texts("type").any(|kind| kind.ends_with("tool_use"));
    let others = value.members().iter().filter(|(name, _)| !(is_use && *name == "input"));
    others.for_each(|(_, value)| look(value, deeper, found));
}

fn named(part: &EveryValue, found: &mut BTreeSet<String>) {
    let several = part.each(SEVERAL).flat_map(EveryValue::elements).filter_map(EveryValue::text);
    found.extend(part.texts(ONE).chain(several).map(str::to_owned));
}

/// A text with other ids in the place of these, wherever one stands as a whole text in quotes; `None`: one of them does not, but in another
/// way of writing it.
#[must_use]
pub fn renamed_files(text: &Bytes, ids: &[(String, String)]) -> Option<Bytes> {
    let mut text = text.clone();
    for (from, to) in ids {
        let renamed = stored::renamed_text(&text, (from, to));
        if renamed == text {
            return None;
        }
        text = renamed;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_name_files_and_tools_name_what_they_like() {
        for (text, files) in [
            (r#"{"messages":[{"content":[{"type":"file","file":{"file_id":"file-1"}}]}]}"#, vec!["file-1"]),
            (
                r#"{"input":[{"content":[{"type":"input_file","file_id":"file-1"},{"type":"input_image","file_id":"file-2"}]}]}"#,
                vec!["file-1", "file-2"],
            ),
            (
                r#"{"messages":[{"content":[{"type":"document","source":{"type":"file","file_id":"file_1"}},{"type":"container_upload","file_id":"file_1"}]}]}"#,
                vec!["file_1"],
            ),
            (
                r#"{"tools":[{"type":"code_interpreter","container":{"type":"auto","file_ids":["file-1","file-2"]}}]}"#,
                vec!["file-1", "file-2"],
            ),
            (
                r#"{"tools":[{"type":"shell","environment":{"type":"container_auto","file_ids":["file-1"]}}]}"#,
                vec!["file-1"],
            ),
            (
                r#"{"content":[{"type":"file","type":"x","file_id":"file-1","file_id":"file-2"}]}"#,
                vec!["file-1", "file-2"],
            ),
            (r#"{"content":[{"type":"file","file":{"file\u005fid":"file-1"}}]}"#, vec!["file-1"]),
            (r#"{"content":[{"type":"file","file":{"\u0066ile_id":"file-1"}}]}"#, vec!["file-1"]),
            (r#"{"tools":[{"type":"image_generation","input_image_mask":{"file_id":"file-1"}}]}"#, vec!["file-1"]),
            (r#"{"content":[{"type":"tool_use","input":{"type":"file","file_id":"x"}}]}"#, vec![]),
            (r#"{"tools":[{"type":"function","parameters":{"properties":{"file_id":{"type":"string"}}}}]}"#, vec![]),
            (r#"{"output":[{"type":"function_call","arguments":"{\"type\":\"file\",\"file_id\":\"x\"}"}]}"#, vec![]),
            ("{\"file_id\":", vec![]),
        ] {
            assert_eq!(named_files(text.as_bytes()), files, "{text}");
        }
        let ids = |from: &str| [(from.to_owned(), "other".to_owned())];
        let text = Bytes::from_static(br#"{"file_id":"a","c":"a b"}"#);
        assert_eq!(renamed_files(&text, &ids("a")).unwrap(), br#"{"file_id":"other","c":"a b"}"#[..]);
        assert!(renamed_files(&text, &ids("b")).is_none());
    }
}
