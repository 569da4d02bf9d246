//! The largest of a limit that an object of settings says by several names, or several times: nobody knows which of them its server obeys.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::token_count;

/// The largest count that stands under one of these names. `None`: none does, or it is no object.
pub(super) fn largest(object: &str, names: &[&str]) -> Option<u64> {
    LimitNames(names).deserialize(&mut serde_json::Deserializer::from_str(object)).ok().flatten()
}

struct LimitNames<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for LimitNames<'_> {
    type Value = Option<u64>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Option<u64>, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for LimitNames<'_> {
    type Value = Option<u64>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an object of settings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Option<u64>, A::Error> {
        let mut largest = None;
        while let Some(name) = object.next_key::<Cow<'de, str>>()? {
            let value: &RawValue = object.next_value()?;
            if self.0.contains(&&*name) {
                largest = largest.max(token_count::of_raw(value.get()));
            }
        }
        Ok(largest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_spellings_the_larger_counts() {
        for (object, most) in [
            ("{}", None),
            ("[]", None),
            (r#"{"maxTokens":7}"#, Some(7)),
            (r#"{"maxTokens":7,"max_tokens":900,"other":10000}"#, Some(900)),
            (r#"{"maxTokens":900,"maxTokens":7}"#, Some(900)),
            (r#"{"m\u0061xTokens":"8.0","x":[{"maxTokens":9}]}"#, Some(8)),
            (r#"{"maxTokens":null,"max_tokens":-1}"#, None),
        ] {
            assert_eq!(largest(object, &["maxTokens", "max_tokens"]), most, "{object}");
        }
    }
}
