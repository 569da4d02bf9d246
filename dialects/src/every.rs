//! JSON with every member that an object has, also where two have one name: of two readers one takes the first and one the last, so that
//! whoever asks what a part may mean asks for each.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A value, as far as anybody asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EveryValue {
    Text(String),
    List(Vec<EveryValue>),
    Object(Vec<(String, EveryValue)>),
    /// A number, a truth, or nothing.
    Other,
}

impl EveryValue {
    /// Reads a text; `None`: it is no JSON.
    pub(crate) fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The elements of a list; of anything else there are none.
    pub(crate) fn elements(&self) -> &[Self] {
        if let Self::List(elements) = self { elements } else { &[] }
    }

    /// The members of an object; of anything else there are none.
    pub(crate) fn members(&self) -> &[(String, Self)] {
        if let Self::Object(members) = self { members } else { &[] }
    }

    /// The values of an object's members of this name, of which there is one where nobody writes riddles.
    pub(crate) fn each<'v>(&'v self, name: &'v str) -> impl Iterator<Item = &'v Self> {
        self.members().iter().filter(move |(known, _)| known == name).map(|(_, value)| value)
    }

    /// The texts among those.
    pub(crate) fn texts<'v>(&'v self, name: &'v str) -> impl Iterator<Item = &'v str> {
        self.each(name).filter_map(Self::text)
    }
}

impl<'de> Deserialize<'de> for EveryValue {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(EveryVisitor)
    }
}

struct EveryVisitor;

impl<'de> Visitor<'de> for EveryVisitor {
    type Value = EveryValue;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("any JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<EveryValue, E> {
        Ok(EveryValue::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<EveryValue, E> {
        Ok(EveryValue::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<EveryValue, E> {
        Ok(EveryValue::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<EveryValue, E> {
        Ok(EveryValue::Other)
    }

    fn visit_unit<E>(self) -> Result<EveryValue, E> {
        Ok(EveryValue::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<EveryValue, E> {
        Ok(EveryValue::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<EveryValue, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            elements.push(element);
        }
        Ok(EveryValue::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<EveryValue, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = object.next_entry()? {
            members.push(member);
        }
        Ok(EveryValue::Object(members))
    }
}
