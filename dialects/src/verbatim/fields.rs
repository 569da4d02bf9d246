//! A provider's policy for top-level fields, carried out on a body whoever wrote it: by span, every other byte stays.

use bytes::Bytes;

use super::splice::{Edit, EditKind, splice};
use crate::codec::Refusal;
use crate::scan;
use crate::vendors::{FieldAction, FieldPolicy};

/// A body under a policy.
#[derive(Debug)]
pub struct Governed {
    /// The body, uncopied where nothing was to be changed.
    pub body: Bytes,
    /// The fields that were left out.
    pub dropped: Vec<String>,
}

/// Carries a policy out. Errors: the body has a field that the provider does not take.
pub fn govern(body: &Bytes, policy: &FieldPolicy) -> Result<Governed, Refusal> {
    let mut edits = Vec::new();
    let mut dropped = Vec::new();
    let mut refused = None;
    if !policy.is_empty() {
        let names = names(body);
        for (name, start, value) in &names {
            match policy.get(name.as_str()) {
                None | Some(FieldAction::Pass) => {}
                Some(FieldAction::Refuse) if body.get(value.clone()) == Some(b"null") => {
                    edits.push(Edit { span: start.start..value.end, kind: EditKind::RemoveMember });
                }
                Some(FieldAction::Refuse) => refused = Some(name.clone()),
                // Where the other name stands there already, this one has nothing more to say.
                Some(FieldAction::Rename(to)) if !names.iter().any(|(other, ..)| other == to) => {
                    let text = serde_json::to_vec(to).unwrap_or_default();
                    edits.push(Edit { span: start.clone(), kind: EditKind::Write(text) });
                }
                Some(FieldAction::Rename(_) | FieldAction::Drop) => {
                    dropped.push(name.clone());
                    edits.push(Edit { span: start.start..value.end, kind: EditKind::RemoveMember });
                }
            }
        }
    }
    match refused {
        Some(name) => Err(Refusal::field(name, "this provider does not take the field")),
        None => Ok(Governed { body: splice(body, &edits), dropped }),
    }
}

type Span = std::ops::Range<usize>;

/// The top-level fields: their names, where these stand with their quotes, and where the values do.
pub(crate) fn names(body: &[u8]) -> Vec<(String, Span, Span)> {
    let mut found = Vec::new();
    let scanned = scan::members(body, |name, value| {
        let start = (name.as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
        let quoted = start.saturating_sub(1)..start + name.len() + 1;
        let text = body.get(quoted.clone()).and_then(|name| serde_json::from_slice::<String>(name).ok());
        found.extend(text.map(|text| (text, quoted, value)));
    });
    // What is no object was refused before.
    scanned.map_or_else(|_| Vec::new(), |_| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rules: &[(&str, FieldAction)]) -> FieldPolicy {
        rules.iter().map(|(name, action)| ((*name).to_owned(), action.clone())).collect()
    }

    #[test]
    fn fields_are_left_out_and_renamed_and_all_else_stays() {
        let rename = |to: &str| FieldAction::Rename(to.to_owned());
        let rules = policy(&[("a", FieldAction::Drop), ("seed", rename("random_seed")), ("b", FieldAction::Pass)]);
        for (given, made, dropped) in [
            (r#"{"a":1,"model":"m"}"#, r#"{"model":"m"}"#, &["a"][..]),
            (r#"{ "model" : "m" , "a" : {"a":[1]} }"#, r#"{ "model" : "m"  }"#, &["a"]),
            (r#"{"model":"m","\u0061":1, "b":2}"#, r#"{"model":"m", "b":2}"#, &["a"]),
            (r#"{"seed" :1e400,"x":{"seed":2,"a":1}}"#, r#"{"random_seed" :1e400,"x":{"seed":2,"a":1}}"#, &[]),
            (r#"{"seed":1,"random_seed":2}"#, r#"{"random_seed":2}"#, &["seed"]),
            (r#"{"b":1}"#, r#"{"b":1}"#, &[]),
            (r#"{"a":1}"#, r"{}", &["a"]),
        ] {
            let governed = govern(&Bytes::copy_from_slice(given.as_bytes()), &rules).unwrap();
            assert_eq!(String::from_utf8_lossy(&governed.body), made);
            assert_eq!(governed.dropped, dropped, "{given}");
        }
        let refuses = policy(&[("c", FieldAction::Refuse)]);
        // Who says nothing asks for nothing.
        assert_eq!(&govern(&Bytes::from_static(br#"{"c": null,"d":1}"#), &refuses).unwrap().body[..], br#"{"d":1}"#);
        let refusal = govern(&Bytes::from_static(br#"{"c":1}"#), &refuses).unwrap_err();
        assert_eq!(refusal.param.as_deref(), Some("c"));
    }
}
