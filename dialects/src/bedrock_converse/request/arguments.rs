//! The arguments of a call as Converse takes them: it refuses an object with a member of no name ("Provide a json object for the field"), as
//! models write some, and with it each later turn of the conversation (github.com/earendil-works/pi issue 7782).

use std::ops::Range;

use bytes::Bytes;

use crate::hub::ToolCall;
use crate::json_places::elements;
use crate::scan;
use crate::verbatim::{Edit, splice};

/// The objects within one another that are looked at.
const DEEPEST: usize = 100;

/// The call without members of no name, at whichever depth; `None`: it has none.
pub(super) fn without_nameless(call: &ToolCall) -> Option<ToolCall> {
    if !may_have_one(&call.arguments) {
        return None;
    }
    let body = Bytes::copy_from_slice(call.arguments.as_bytes());
    let start = body.len() - body.trim_ascii_start().len();
    let mut edits = Vec::new();
    nameless(&body, start..body.trim_ascii_end().len(), DEEPEST, &mut edits);
    if edits.is_empty() {
        return None;
    }
    let arguments = String::from_utf8(splice(&body, &edits).into()).ok()?;
    Some(ToolCall { id: call.id.clone(), name: call.name.clone(), arguments })
}

/// True if two quotes stand before a colon: mostly none do, and nothing has to be read.
fn may_have_one(arguments: &str) -> bool {
    arguments.match_indices("\"\"").any(|(at, quotes)| {
        arguments.get(at + quotes.len()..).is_some_and(|rest| rest.trim_ascii_start().starts_with(':'))
    })
}

fn nameless(body: &[u8], place: Range<usize>, deeper: usize, edits: &mut Vec<Edit>) {
    let Some(left) = deeper.checked_sub(1) else { return };
    match body.get(place.start) {
        Some(b'[') => elements(body, place).into_iter().for_each(|element| nameless(body, element, left, edits)),
        Some(b'{') => {
            let json = body.get(place.clone()).unwrap_or_default();
            let mut within = Vec::new();
            let seen = scan::members(json, |name, value| {
                let value = place.start + value.start..place.start + value.end;
                if name.is_empty() {
                    let quote = (name.as_ptr() as usize).saturating_sub(body.as_ptr() as usize + 1);
                    edits.push(Edit::remove(quote..value.end));
                } else {
                    within.push(value);
                }
            });
            if seen.is_ok() {
                within.into_iter().for_each(|value| nameless(body, value, left, edits));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_no_name_are_left_out_at_any_depth() {
        for (given, made) in [
            (r#"{"a":"x","":""}"#, Some(r#"{"a":"x"}"#)),
            (r#" {"" : {"b":1}, "n":1.50} "#, Some(r#" { "n":1.50} "#)),
            (r#"{"":1}"#, Some("{}")),
            (r#"{"l":[{"":1,"b":{"":[],"c":""}}]}"#, Some(r#"{"l":[{"b":{"c":""}}]}"#)),
            (r#"{"a":"","b":"\"\":"}"#, None),
            (r#"{"a\"":1}"#, None),
            (r#"{"":"#, None),
            ("", None),
        ] {
            let call = ToolCall { id: "i".to_owned(), name: "t".to_owned(), arguments: given.to_owned() };
            assert_eq!(without_nameless(&call).map(|call| call.arguments).as_deref(), made, "{given}");
        }
    }
}
