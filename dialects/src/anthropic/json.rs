//! JSON read one level deep, and the path by which a refusal names what was wrong in it.

use crate::hub::Fields;
use crate::seam::Refusal;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// Where in the body something stands; a list on the stack, so that a good body pays nothing for it.
#[derive(Clone, Copy)]
pub(super) struct At<'p> {
    parent: Option<&'p At<'p>>,
    step: Step<'p>,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Field(&'p str),
    Index(usize),
}

impl<'p> At<'p> {
    pub(super) const fn root(name: &'p str) -> Self {
        At { parent: None, step: Step::Field(name) }
    }

    pub(super) const fn field(&'p self, name: &'p str) -> At<'p> {
        At { parent: Some(self), step: Step::Field(name) }
    }

    pub(super) const fn index(&'p self, index: usize) -> At<'p> {
        At { parent: Some(self), step: Step::Index(index) }
    }

    /// A refusal that names this place.
    pub(super) fn refuse(&self, why: impl fmt::Display) -> Refusal {
        refuse(&self.to_string(), why)
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}.")?;
        }
        match self.step {
            Step::Field(name) => f.write_str(name),
            Step::Index(index) => write!(f, "{index}"),
        }
    }
}

/// A refusal of the request that names `param`.
pub(super) fn refuse(param: &str, why: impl fmt::Display) -> Refusal {
    Refusal::field(param, why)
}

/// What a JSON error says, without its position: that counts from the start of an inner value, which nobody can see.
pub(super) fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text.get(..end).unwrap_or_default().to_owned(),
        None => text,
    }
}

/// An object's fields, each once, values unread.
pub(super) struct Object<'a> {
    fields: BTreeMap<Cow<'a, str>, &'a RawValue>,
}

impl<'a> Object<'a> {
    /// The value, `null` counting as absent; it is no longer among the rest.
    pub(super) fn raw(&mut self, name: &str) -> Option<&'a RawValue> {
        self.fields.remove(name).filter(|value| !is_null(value))
    }

    /// The value read as `T`, `null` counting as absent; the refusal names it.
    pub(super) fn take<T: Deserialize<'a>>(&mut self, name: &str) -> Result<Option<T>, Refusal> {
        self.raw(name)
            .map(|value| serde_json::from_str(value.get()).map_err(|error| refuse(name, reason(&error))))
            .transpose()
    }

    /// As `take`, in an object that stands at `at`.
    pub(super) fn take_at<T: Deserialize<'a>>(&mut self, name: &str, at: &At<'_>) -> Result<Option<T>, Refusal> {
        self.raw(name)
            .map(|value| serde_json::from_str(value.get()).map_err(|error| at.field(name).refuse(reason(&error))))
            .transpose()
    }

    /// As `take_at`, for what must be there.
    pub(super) fn need_at<T: Deserialize<'a>>(&mut self, name: &str, at: &At<'_>) -> Result<T, Refusal> {
        self.take_at(name, at)?.ok_or_else(|| at.field(name).refuse("this field is required"))
    }

    /// As `take`, for what must be there.
    pub(super) fn need<T: Deserialize<'a>>(&mut self, name: &str) -> Result<T, Refusal> {
        self.take(name)?.ok_or_else(|| refuse(name, "this field is required"))
    }

    /// What has not been taken, without the nulls.
    pub(super) fn rest(self) -> Fields {
        let kept = self.fields.into_iter().filter(|(_, value)| !is_null(value));
        kept.map(|(name, value)| (name.into_owned(), value.to_owned())).collect()
    }

    /// Whether every field has been taken.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.values().all(|value| is_null(value))
    }
}

fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some(Key(name)) = map.next_key::<Key<'de>>()? {
                    let value: &'de RawValue = map.next_value()?;
                    // Which of two wins differs between JSON readers: whoever checks one must not be fooled by the other.
                    if fields.contains_key(&name) {
                        return Err(A::Error::custom(format_args!("the field `{name}` is given twice")));
                    }
                    fields.insert(name, value);
                }
                Ok(Object { fields })
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// Content as it may be written: one text, or blocks.
pub(super) enum Said<'a> {
    Text(String),
    Blocks(Vec<&'a RawValue>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Said<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Said<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of content blocks")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Said<'de>, E> {
                Ok(Said::Text(text.to_owned()))
            }

            fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Said<'de>, E> {
                Ok(Said::Text(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Said<'de>, A::Error> {
                let mut blocks = Vec::new();
                while let Some(block) = seq.next_element()? {
                    blocks.push(block);
                }
                Ok(Said::Blocks(blocks))
            }
        }
        deserializer.deserialize_any(Either)
    }
}
