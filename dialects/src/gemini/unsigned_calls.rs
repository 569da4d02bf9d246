//! Calls of tools that come back without a signature, as those of other vendors' models do: Gemini's newer models refuse the whole
//! conversation for one in the current turn.

use std::ops::Range;

use bytes::Bytes;

use crate::json_places::{elements, member, text};
use crate::mark::SeenMarks;
use crate::vendors::{self, UNSIGNED};
use crate::verbatim::{Edit, splice};

/// The body in whose current turn the first call of each step has a signature, if only the word that Google documents for calls which another
/// model made; itself, uncopied, where all have one.
pub(super) fn signed(body: &Bytes, seen: SeenMarks, model: &str) -> Bytes {
    if !seen.calls || !vendors::gemini(model).signed_calls {
        return body.clone();
    }
    let contents = member(body, 0..body.len(), b"contents").map(|list| elements(body, list)).unwrap_or_default();
    let is_models = |content: &Range<usize>| text(body, content.clone(), b"role") == Some("model");
    let parts = |content: &Range<usize>| {
        member(body, content.clone(), b"parts").map(|list| elements(body, list)).unwrap_or_default()
    };
    let has_result =
        |part: &Range<usize>| either(body, part, [b"functionResponse".as_slice(), b"function_response"]).is_some();
    // The user's own words begin a turn; Google looks at no earlier one.
    let begins = |content: &Range<usize>| !is_models(content) && !parts(content).iter().any(has_result);
    let start = contents.iter().rposition(begins).map_or(0, |last| last + 1);
    let mut edits = Vec::new();
    // Contents of the model's in a row are one step, of which the first call alone is signed.
    let mut called = false;
    for content in contents.iter().skip(start) {
        called &= is_models(content);
        if called || !is_models(content) {
            continue;
        }
        let has_call =
            |part: &Range<usize>| either(body, part, [b"functionCall".as_slice(), b"function_call"]).is_some();
        if let Some(call) = parts(content).into_iter().find(has_call) {
            called = true;
            edits.extend(signature(body, &call));
        }
    }
    splice(body, &edits)
}

/// The edit that signs a call; `None`: it is signed.
fn signature(body: &Bytes, call: &Range<usize>) -> Option<Edit> {
    match either(body, call, [b"thoughtSignature".as_slice(), b"thought_signature"]) {
        None => {
            let word = format!("\"thoughtSignature\":\"{UNSIGNED}\",");
            Some(Edit::write(call.start + 1..call.start + 1, word))
        }
        Some(given) => match body.get(given.clone()) {
            Some(b"\"\"" | b"null") => Some(Edit::write(given, format!("\"{UNSIGNED}\""))),
            _ => None,
        },
    }
}

/// The place of a member by either of its names.
fn either(body: &[u8], part: &Range<usize>, names: [&[u8]; 2]) -> Option<Range<usize>> {
    names.into_iter().find_map(|name| member(body, part.clone(), name))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::dialect::Dialect;
    use crate::mark::SeenMarks;

    fn sent(body: &str, model: &str) -> String {
        let body = Bytes::copy_from_slice(body.as_bytes());
        String::from_utf8(Dialect::Gemini.disown(&body, SeenMarks::of(&body), model).to_vec()).unwrap()
    }

    #[test]
    fn calls_of_the_current_turn_that_nobody_signed_say_so() {
        let turn = |old: &str, first: &str, second: &str| {
            format!(
                r#"{{"contents":[{{"role":"user","parts":[{{"text":"x"}}]}},{{"role":"model","parts":[{{{old}"functionCall":{{"name":"o"}}}}]}},{{"role":"user","parts":[{{"functionResponse":{{"name":"o"}}}}]}},{{"role":"model","parts":[{{"text":"y"}}]}}, {{"role":"user","parts":[{{"text":"z"}}]}},{{"role":"model","parts":[{{"text":"I look."}},{{{first}"functionCall":{{"name":"f"}}}},{{"functionCall":{{"name":"g"}}}}]}},{{"role":"user","parts":[{{"functionResponse":{{"name":"f"}}}},{{"functionResponse":{{"name":"g"}}}},{{"text":"beside"}}]}},{{"role":"model","parts":[{{{second}"function_call":{{"name":"h"}}}}]}},{{"role":"model","parts":[{{"functionCall":{{"name":"i"}}}}]}},{{"role":"function","parts":[{{"function_response":{{"name":"h"}}}}]}}]}}"#
            )
        };
        let word = r#""thoughtSignature":"skip_thought_signature_validator","#;
        let own = r#""thought_signature":"S","#;
        for model in ["gemini-3-pro-preview", "models/gemini-3.5-flash", "gemini-flash-latest"] {
            assert_eq!(sent(&turn("", "", ""), model), turn("", word, word), "{model}");
        }
        assert_eq!(sent(&turn("", own, ""), "gemini-3-pro-preview"), turn("", own, word));
        let (empty, spoken) = (r#""thoughtSignature":"","#, turn("", own, word));
        assert_eq!(sent(&turn("", own, empty), "gemini-3-pro-preview"), spoken);
        // What is signed stays as it came, and other models ask for none.
        let body = Bytes::from(spoken);
        let same = Dialect::Gemini.disown(&body, SeenMarks::of(&body), "gemini-3-pro-preview");
        assert_eq!(same.as_ptr(), body.as_ptr(), "uncopied");
        for model in ["gemini-2.5-pro", "tuned"] {
            assert_eq!(sent(&turn("", "", ""), model), turn("", "", ""), "{model}");
        }
        for odd in [
            r#"{"contents":{"functionCall":1}}"#,
            r#"{"contents":[7,{"role":"model","parts":[{"functionCall":{}},7]}]"#,
        ] {
            assert_eq!(sent(odd, "gemini-3-pro-preview"), odd);
        }
    }

    #[test]
    fn a_call_whose_other_vendors_thoughts_stand_on_the_text_before_it_is_signed_when_they_go() {
        // The part's signature begins as those do that hold another vendor's thoughts.
        let turn = |thoughts: &str, word: &str| {
            format!(
                r#"{{"contents":[{{"parts":[{{"text":"x"}}]}},{{"role":"model","parts":[{{"text":"I look."{thoughts}}},{{{word}"functionCall":{{"name":"f"}}}}]}}]}}"#
            )
        };
        let thoughts = r#","thoughtSignature":"c2x1aWNlZ2F0ZTpbAAAA""#;
        let word = r#""thoughtSignature":"skip_thought_signature_validator","#;
        assert_eq!(sent(&turn(thoughts, ""), "gemini-3-pro-preview"), turn("", word));
        assert_eq!(sent(&turn(thoughts, ""), "gemini-2.5-pro"), turn("", ""));
    }
}
