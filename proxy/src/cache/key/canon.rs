//! A JSON text in one canonical form: parsed as it is read, no tree, each object's members sorted in place.
//!
//! Every value is written with a tag and, where its length varies, its length: two different values never give the same
//! bytes. Members are sorted rather than hashed one by one and summed: sums of hashes can be forged.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use sluicegate_dialects::conversation::without_billing_digest;
use sluicegate_dialects::effects::acts;

use super::rules::{FieldPlace, Rules};

/// Deeper JSON is not cached: sorting costs one copy per level.
const MAX_DEPTH: u32 = 64;
/// The largest integer that every number form holds exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The reason why a request has no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uncacheable {
    /// The caller's `Cache-Control` says so.
    Asked,
    /// The provider is asked to keep something, to go on with a conversation or a container that it keeps, or to let tools of its own act:
    /// a cached answer would do none of that.
    Stored,
    /// Not a JSON object.
    Malformed,
    /// Nested too deeply.
    TooDeep,
    /// A number too large to tell from its neighbours.
    Number,
}

impl Uncacheable {
    /// As a metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Stored => "stored",
            Self::Malformed => "malformed",
            Self::TooDeep => "too_deep",
            Self::Number => "number",
        }
    }
}

/// The place of a member in the bytes: name, then value.
#[derive(Debug, Clone, Copy)]
struct Member {
    name: usize,
    value: usize,
    end: usize,
}

/// Space to work in, used again from call to call.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    bytes: Vec<u8>,
    members: Vec<Member>,
    sorted: Vec<u8>,
    /// The turn that is being read has said that it is one of instructions.
    instructs: bool,
    refusal: Option<Uncacheable>,
}

impl Scratch {
    /// Empties it; what comes before the body is written to what this gives.
    pub(super) fn begin(&mut self) -> &mut Vec<u8> {
        self.bytes.clear();
        self.members.clear();
        self.sorted.clear();
        self.instructs = false;
        self.refusal = None;
        &mut self.bytes
    }

    /// Appends the canonical form of `body` and gives everything written since `begin`.
    pub(super) fn canonical(&mut self, body: &[u8], rules: &Rules) -> Result<&[u8], Uncacheable> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let top = Value { scratch: self, rules, depth: 0, place: FieldPlace::Top };
        let parsed = top.deserialize(&mut json).and_then(|()| json.end());
        match (parsed, self.refusal) {
            (_, Some(why)) => Err(why),
            (Err(_), None) => Err(Uncacheable::Malformed),
            (Ok(()), None) => Ok(&self.bytes),
        }
    }

    /// Gives back what a large body made grow.
    pub(super) fn end(&mut self, keep: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(keep);
        self.sorted.clear();
        self.sorted.shrink_to(keep);
        self.members.clear();
        self.members.shrink_to(keep / size_of::<Member>());
    }

    fn refuse<E: de::Error>(&mut self, why: Uncacheable) -> E {
        self.refusal = Some(why);
        E::custom("not cacheable")
    }

    fn tagged(&mut self, tag: u8, bytes: &[u8]) {
        self.bytes.push(tag);
        self.bytes.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes.push(b's');
        // Short lengths in one byte (LEB128): fewer bytes to hash.
        let mut length = text.len();
        while length >= 0x80 {
            self.bytes.push(0x80 | u8::try_from(length & 0x7f).unwrap_or(0x7f));
            length >>= 7;
        }
        self.bytes.push(u8::try_from(length).unwrap_or(0x7f));
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// A text whose white space or case may not count.
    fn lenient(&mut self, text: &str, rules: &Rules) {
        self.bytes.push(b'S');
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 8]);
        if rules.trim && text.is_ascii() {
            self.words(text.split_ascii_whitespace(), rules.lowercase);
        } else if rules.trim {
            self.words(text.split_whitespace(), rules.lowercase);
        } else {
            self.cased(text, rules.lowercase);
        }
        let length = u64::try_from(self.bytes.len() - at - 8).unwrap_or(u64::MAX);
        if let Some(place) = self.bytes.get_mut(at..at + 8) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }

    fn words<'t>(&mut self, words: impl Iterator<Item = &'t str>, lowercase: bool) {
        for (i, word) in words.enumerate() {
            if i > 0 {
                self.bytes.push(b' ');
            }
            self.cased(word, lowercase);
        }
    }

    fn cased(&mut self, text: &str, lowercase: bool) {
        if !lowercase {
            self.bytes.extend_from_slice(text.as_bytes());
        } else if text.is_ascii() {
            self.bytes.extend(text.bytes().map(|b| b.to_ascii_lowercase()));
        } else {
            self.bytes.extend_from_slice(text.to_lowercase().as_bytes());
        }
    }

    /// Closes an object whose members began at `first` in the list and whose bytes began at `start`.
    fn sort_members(&mut self, first: usize, start: usize) {
        let Self { bytes, members, sorted, .. } = self;
        let Some(own) = members.get_mut(first..) else { return };
        let name = |m: &Member| bytes.get(m.name..m.value).unwrap_or_default();
        if !own.is_sorted_by(|a, b| name(a) <= name(b)) {
            // Stable: of two members with one name the last counts for most readers, so their order does.
            own.sort_by(|a, b| name(a).cmp(name(b)));
            sorted.clear();
            for member in own.iter() {
                sorted.extend_from_slice(bytes.get(member.name..member.end).unwrap_or_default());
            }
            bytes.truncate(start);
            bytes.extend_from_slice(sorted);
        }
        members.truncate(first);
    }
}

struct Value<'s, 'r> {
    scratch: &'s mut Scratch,
    rules: &'r Rules,
    depth: u32,
    place: FieldPlace,
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.leaf(b'n', &[])
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        if value && self.place == FieldPlace::Store {
            return Err(self.scratch.refuse(Uncacheable::Stored));
        }
        self.leaf(if value { b't' } else { b'f' }, &[])
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.integer(i128::from(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.integer(i128::from(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        if value.abs() >= EXACT {
            // Two long integers could have become one number.
            return Err(self.scratch.refuse(Uncacheable::Number));
        }
        match (self.place, self.rules.decimals) {
            (FieldPlace::Temperature, Some(decimals)) => self.rounded(value, decimals),
            #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53: exact")]
            _ if value.fract() == 0.0 => self.integer(i128::from(value as i64)),
            _ => self.leaf(b'd', &value.to_bits().to_le_bytes()),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        if self.depth == 0 {
            return Err(E::custom("not an object"));
        }
        let lenient = self.rules.trim || self.rules.lowercase;
        match self.place {
            FieldPlace::Store if !text.is_empty() => return Err(self.scratch.refuse(Uncacheable::Stored)),
            FieldPlace::ToolType if acts(text) => return Err(self.scratch.refuse(Uncacheable::Stored)),
            FieldPlace::Role => {
                self.scratch.instructs = matches!(text, "system" | "developer");
                self.scratch.text(text);
            }
            FieldPlace::Instructions if lenient => self.scratch.lenient(&without_billing_digest(text), self.rules),
            FieldPlace::Instructions => self.scratch.text(&without_billing_digest(text)),
            FieldPlace::Text if lenient => self.scratch.lenient(text, self.rules),
            _ => self.scratch.text(text),
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let depth = self.deeper()?;
        self.scratch.bytes.push(b'[');
        let Self { scratch, rules, place, .. } = self;
        let place = place.of_element();
        while seq.next_element_seed(Value { scratch: &mut *scratch, rules, depth, place })?.is_some() {}
        scratch.bytes.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        if self.place == FieldPlace::Store {
            return Err(self.scratch.refuse(Uncacheable::Stored));
        }
        let depth = if self.depth == 0 { 1 } else { self.deeper()? };
        if self.place == FieldPlace::Turn {
            // Where the role stands behind the content, the content counts to the last byte.
            self.scratch.instructs = false;
        }
        self.scratch.bytes.push(b'{');
        let start = self.scratch.bytes.len();
        let first = self.scratch.members.len();
        let Self { scratch, rules, place, .. } = &mut self;
        loop {
            let name = scratch.bytes.len();
            let found = map.next_key_seed(FieldName { scratch, rules, place: *place })?;
            match found {
                None => break,
                Some(None) => {
                    map.next_value::<de::IgnoredAny>()?;
                }
                Some(Some(place)) => {
                    let value = scratch.bytes.len();
                    map.next_value_seed(Value { scratch, rules, depth, place })?;
                    let end = scratch.bytes.len();
                    scratch.members.push(Member { name, value, end });
                }
            }
        }
        scratch.sort_members(first, start);
        scratch.bytes.push(b'}');
        Ok(())
    }
}

impl Value<'_, '_> {
    fn leaf<E: de::Error>(self, tag: u8, bytes: &[u8]) -> Result<(), E> {
        if self.depth == 0 {
            return Err(E::custom("not an object"));
        }
        self.scratch.tagged(tag, bytes);
        Ok(())
    }

    fn integer<E: de::Error>(self, value: i128) -> Result<(), E> {
        match (self.place, self.rules.decimals) {
            #[expect(clippy::cast_precision_loss, reason = "a temperature is a small number")]
            (FieldPlace::Temperature, Some(decimals)) => self.rounded(value as f64, decimals),
            _ => match i64::try_from(value) {
                Ok(value) => self.leaf(b'i', &value.to_le_bytes()),
                Err(_) => self.leaf(b'I', &value.to_le_bytes()),
            },
        }
    }

    fn rounded<E: de::Error>(self, value: f64, decimals: u32) -> Result<(), E> {
        let scale = f64::from(10_u32.saturating_pow(decimals));
        #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, which is as good a key")]
        let steps = (value * scale).round() as i64;
        self.leaf(b'r', &steps.to_le_bytes())
    }

    fn deeper<E: de::Error>(&mut self) -> Result<u32, E> {
        match self.depth {
            0 => Err(E::custom("not an object")),
            MAX_DEPTH => Err(self.scratch.refuse(Uncacheable::TooDeep)),
            depth => Ok(depth + 1),
        }
    }
}

/// A member's name: writes it and says where its value stands; `None`: the member does not count.
struct FieldName<'s, 'r> {
    scratch: &'s mut Scratch,
    rules: &'r Rules,
    place: FieldPlace,
}

impl<'de> DeserializeSeed<'de> for FieldName<'_, '_> {
    type Value = Option<FieldPlace>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldName<'_, '_> {
    type Value = Option<FieldPlace>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        if self.place.marks(name) || (self.place == FieldPlace::Top && self.rules.skips(name)) {
            return Ok(None);
        }
        self.scratch.text(name);
        Ok(Some(self.place.of_member(name, self.scratch.instructs)))
    }
}
