//! Items that a call names by their ids instead of saying them, and what puts them in their places.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use super::kept::{is_readable, list, member};
use crate::json::{Object, ROOT, string};
use crate::verbatim::{Edit, names, splice};

/// The ids of the items that a call names, in their order. A call whose input is no list names none.
#[must_use]
pub fn item_references(call: &[u8]) -> Vec<String> {
    let items = member(call, "input").filter(|input| input.starts_with('[')).and_then(list);
    items.into_iter().flatten().filter_map(referred).collect()
}

/// The id that an item is, where it is nothing else. One that says something twice may be one, of which nobody knows what it names.
fn referred(item: &RawValue) -> Option<String> {
    let read = serde_json::from_str::<Object<'_>>(item.get()).ok()?;
    let Ok(mut object) = read.each_once(&ROOT) else { return Some(String::new()) };
    let (kind, id) = (object.take("type"), object.take("id"));
    let is_one = match kind.filter(|kind| kind.get() != "null") {
        Some(kind) => string(kind).as_deref() == Some("item_reference"),
        // The vendor takes one that does not say what it is.
        None => object.take("role").is_none() && object.take("content").is_none(),
    };
    // What names nothing names what is not there.
    is_one.then(|| id.and_then(string).unwrap_or_default())
}

/// The ids of the items of a whole answer.
#[must_use]
pub fn ids_of_items(answer: &[u8]) -> Vec<String> {
    let items = member(answer, "output").and_then(list);
    let id = |item: &RawValue| Object::read(item.get(), &ROOT).ok()?.take("id").and_then(string);
    items.into_iter().flatten().filter_map(id).collect()
}

/// The items of a kept conversation by their ids, each as it may be said again: without that id. Those that nobody but their provider can
/// read are empty.
#[must_use]
pub fn items_by_id(conversation: &[u8]) -> HashMap<String, String> {
    let items = std::str::from_utf8(conversation).ok().and_then(list);
    let named = items.into_iter().flatten().filter_map(|item| {
        let mut whole: Value = serde_json::from_str(item.get()).ok()?;
        let fields = whole.as_object_mut()?;
        let id = fields.get("id")?.as_str()?.to_owned();
        // A provider that is told an id looks for what it keeps under it.
        if fields.get("type").and_then(Value::as_str) != Some("reasoning") {
            fields.shift_remove("id");
        }
        Some((id, if is_readable(item) { whole.to_string() } else { String::new() }))
    });
    named.collect()
}

/// A call with the items that it names in its own words. `None`: one of them is not among these.
#[must_use]
pub fn with_items(call: &Bytes, items: &HashMap<String, String>) -> Option<Bytes> {
    let said = list(member(call, "input")?)?;
    let mut written = Vec::with_capacity(said.len());
    for item in said {
        match referred(item) {
            None => written.push(item.get()),
            Some(id) => written.push(items.get(&id)?),
        }
    }
    written.retain(|item| !item.is_empty());
    let span = names(call).into_iter().find(|(name, ..)| name == "input")?.2;
    Some(splice(call, &[Edit::write(span, format!("[{}]", written.join(",")))]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_call_names_is_found_and_put_in_its_place() {
        let call = Bytes::from_static(
            br#"{"model":"m","input":[{"type":"item_reference","id":"msg_1"},{"role":"user","content":"x","id":"msg_9"}, {"id":"rs_1"},{"id":"fc_1","type":null},{"type":"message","id":"msg_8"}],"n":1.0}"#,
        );
        assert_eq!(item_references(&call), ["msg_1", "rs_1", "fc_1"]);
        let kept = br#"[{"type":"message","id":"msg_1","content":"a"},{"type":"reasoning","id":"rs_1","summary":[]},{"role":"user"},{"type":"function_call","id":"fc_1"}]"#;
        let items = items_by_id(kept);
        let answer = format!("{{\"output\":{}}}", String::from_utf8_lossy(kept));
        assert_eq!(ids_of_items(answer.as_bytes()), ["msg_1", "rs_1", "fc_1"]);
        let whole = with_items(&call, &items).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&whole),
            r#"{"model":"m","input":[{"type":"message","content":"a"},{"role":"user","content":"x","id":"msg_9"},{"type":"function_call"},{"type":"message","id":"msg_8"}],"n":1.0}"#
        );
        assert!(with_items(&call, &HashMap::new()).is_none());
    }

    #[test]
    fn what_names_nothing_names_what_is_not_there() {
        for (call, named) in [
            (r#"{"input":[{"type":"item_reference"}]}"#, &[""][..]),
            (r#"{"input":[{"type":"item_reference","id":7}]}"#, &[""]),
            (r#"{"input":[{"type":"message","id":"msg_1","type":"item_reference"}]}"#, &[""]),
            (r#"{"input":[{"type":"item_reference","id":null,"id":"msg_1"}]}"#, &[""]),
            (r#"{"input":[{"type":"item\u005freference","id":"a"}]}"#, &["a"]),
            (r#"{"input":"item_reference"}"#, &[]),
            (r#"{"input":[7,"a",{"type":7,"id":"a"}]}"#, &[]),
            ("[", &[]),
        ] {
            assert_eq!(item_references(call.as_bytes()), named, "{call}");
        }
    }
}
