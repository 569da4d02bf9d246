//! A request that stands in a field of another: taken out of it, for hosts that want it as it is.

use bytes::Bytes;

use super::fields::names;
use super::splice::{Edit, splice};

/// The request in this field of a body, without the model that it names: the path says it. A body without the field stays as it is.
#[must_use]
pub fn unpack(body: &Bytes, field: &str) -> Bytes {
    let found = names(body).into_iter().find(|(name, ..)| name == field);
    let Some((_, _, value)) = found.filter(|(.., value)| body.get(value.start) == Some(&b'{')) else {
        return body.clone();
    };
    let inner = body.slice(value);
    let model = names(&inner).into_iter().find(|(name, ..)| name == "model");
    let edits: Vec<Edit> = model.map(|(_, name, value)| Edit::remove(name.start..value.end)).into_iter().collect();
    splice(&inner, &edits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_as_it_was() {
        for (given, made) in [
            (r#"{"r": { "model":"models/m", "contents" :[1.50] }}"#, r#"{  "contents" :[1.50] }"#),
            (r#"{"r":{"contents":[]},"x":1}"#, r#"{"contents":[]}"#),
            (r#"{"contents":[{"r":{}}]}"#, r#"{"contents":[{"r":{}}]}"#),
            (r#"{"r":"text"}"#, r#"{"r":"text"}"#),
        ] {
            assert_eq!(unpack(&Bytes::from_static(given.as_bytes()), "r"), made.as_bytes());
        }
    }
}
