//! JSON by hand where serde's derives fall short: objects read member by member with the path kept for messages, and a
//! writer that takes raw values.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::Number;
use serde_json::value::RawValue;

use crate::codec::Refusal;
use crate::hub::{Fields, Raw};
use crate::scan;
use crate::text::{self, Text};

/// The place of a value in a body; costs nothing until it is written into a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Step<'p>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'p> {
    Field(&'p str),
    Index(usize),
}

impl<'p> Path<'p> {
    pub(crate) const fn top(field: &'p str) -> Self {
        Self { parent: None, step: Step::Field(field) }
    }

    pub(crate) const fn field(&'p self, field: &'p str) -> Path<'p> {
        Path { parent: Some(self), step: Step::Field(field) }
    }

    pub(crate) const fn index(&'p self, index: usize) -> Path<'p> {
        Path { parent: Some(self), step: Step::Index(index) }
    }

    pub(crate) fn refuse(&self, what: impl fmt::Display) -> Refusal {
        if self.is_root() {
            return Refusal::body(format!("the body {what}"));
        }
        Refusal::field(self.to_string(), what)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(out)?;
        }
        match self.step {
            Step::Field("") => Ok(()),
            Step::Field(field) if self.parent.is_none_or(Path::is_root) => out.write_str(field),
            Step::Field(field) => write!(out, ".{field}"),
            Step::Index(index) => write!(out, "[{index}]"),
        }
    }
}

impl Path<'_> {
    fn is_root(&self) -> bool {
        self.parent.is_none() && matches!(self.step, Step::Field(""))
    }
}

/// From so many bytes on a text is worth a copy.
const LONG: usize = 64;

/// So many names are compared in pairs, which costs less than a set of them.
const FEW: usize = 16;

/// The body itself.
pub(crate) const ROOT: Path<'static> = Path::top("");

/// An object's members, taken one by one; what is left over is the extra fields. `null` counts as absent.
#[derive(Debug, Default)]
pub(crate) struct Object<'a> {
    members: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Object<'a> {
    /// Reads an object's members without reading their values. Errors: it is no object, or a name stands there twice.
    pub(crate) fn read(json: &'a str, at: &Path<'_>) -> Result<Self, Refusal> {
        let object: Self = serde_json::from_str(json).map_err(|_| at.refuse("must be an object"))?;
        object.each_once(at)
    }

    /// Reads an object whose names may be written in camelCase or in snake_case, as Google's may; they are known by the
    /// former. Errors: as `read`.
    pub(crate) fn read_either(json: &'a str, at: &Path<'_>) -> Result<Self, Refusal> {
        let mut object: Self = serde_json::from_str(json).map_err(|_| at.refuse("must be an object"))?;
        for (name, _) in object.members.iter_mut().filter(|(name, _)| name.contains('_')) {
            *name = Cow::Owned(camel_case(name));
        }
        object.each_once(at)
    }

    /// Reads the members of a whole body. Errors: as `read`; broken JSON is told from a wrong type, by a second look that only
    /// a refused body gets.
    pub(crate) fn read_body(json: &'a str) -> Result<Self, Refusal> {
        Self::read(json, &ROOT).map_err(|refusal| broken(json).unwrap_or(refusal))
    }

    pub(crate) fn each_once(self, at: &Path<'_>) -> Result<Self, Refusal> {
        if self.members.len() <= FEW {
            let mut rest = self.members.as_slice();
            while let [(name, _), others @ ..] = rest {
                if others.iter().any(|(other, _)| other == name) {
                    return Err(at.field(name).refuse("the field stands there twice"));
                }
                rest = others;
            }
            return Ok(self);
        }
        // By set, not by pairs: a body may hold a million members.
        let mut seen = std::collections::HashSet::with_capacity(self.members.len());
        match self.members.iter().find(|(name, _)| !seen.insert(name)) {
            Some((name, _)) => Err(at.field(name).refuse("the field stands there twice")),
            None => Ok(self),
        }
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let place = self.members.iter().position(|(member, _)| member == name)?;
        let (_, raw) = self.members.swap_remove(place);
        (raw.get() != "null").then_some(raw)
    }

    pub(crate) fn text(&mut self, name: &str, at: &Path<'_>) -> Result<Option<String>, Refusal> {
        let Some(raw) = self.take(name) else { return Ok(None) };
        string(raw).map(Some).ok_or_else(|| at.field(name).refuse("must be a string"))
    }

    pub(crate) fn boolean(&mut self, name: &str, at: &Path<'_>) -> Result<Option<bool>, Refusal> {
        self.parsed(name, at, "true or false")
    }

    pub(crate) fn number(&mut self, name: &str, at: &Path<'_>) -> Result<Option<Number>, Refusal> {
        self.parsed(name, at, "a number")
    }

    /// A value of any type serde reads, `what` being its name in the refusal.
    pub(crate) fn parsed<T: Deserialize<'a>>(
        &mut self,
        name: &str,
        at: &Path<'_>,
        what: &str,
    ) -> Result<Option<T>, Refusal> {
        let Some(raw) = self.take(name) else { return Ok(None) };
        let value = serde_json::from_str(raw.get());
        value.map(Some).map_err(|_| at.field(name).refuse(format_args!("must be {what}")))
    }

    /// A whole number that is not negative, however it is written.
    pub(crate) fn count(&mut self, name: &str, at: &Path<'_>) -> Result<Option<u64>, Refusal> {
        let Some(raw) = self.take(name) else { return Ok(None) };
        let refused = || at.field(name).refuse("must be a whole number that is not negative");
        count(raw.get()).map(Some).ok_or_else(refused)
    }

    pub(crate) fn required(&mut self, name: &str, at: &Path<'_>) -> Result<String, Refusal> {
        self.text(name, at)?.ok_or_else(|| at.field(name).refuse("the field is required"))
    }

    pub(crate) fn object(&mut self, name: &str, at: &Path<'_>) -> Result<Option<Self>, Refusal> {
        self.take(name).map(|raw| Self::read(raw.get(), &at.field(name))).transpose()
    }

    pub(crate) fn list(&mut self, name: &str, at: &Path<'_>) -> Result<Option<Vec<&'a RawValue>>, Refusal> {
        self.parsed(name, at, "an array")
    }

    pub(crate) fn raw(&mut self, name: &str) -> Option<Raw> {
        self.take(name).map(ToOwned::to_owned)
    }

    /// Checks a union: one of these members at most, so that none is lost beside another. Errors: the first two.
    pub(crate) fn one_of(&self, names: &[&str], at: &Path<'_>) -> Result<(), Refusal> {
        let has = |name: &&&str| self.members.iter().any(|(member, raw)| member == **name && raw.get() != "null");
        let mut there = names.iter().filter(has);
        match (there.next(), there.next()) {
            (Some(one), Some(other)) => {
                Err(at.refuse(format_args!("holds both `{one}` and `{other}`: only one of them may stand there")))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.iter().all(|(_, raw)| raw.get() == "null")
    }

    /// The members that are left, in order of the body until something was taken.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.members.iter().map(|(name, raw)| (name.as_ref(), *raw))
    }

    /// The members that were not taken.
    pub(crate) fn rest(self) -> Fields {
        let kept = self.members.into_iter().filter(|(_, raw)| raw.get() != "null");
        kept.map(|(name, raw)| (name.into_owned(), raw.to_owned())).collect()
    }
}

/// The refusal of a body that is not JSON; `None`: it is.
pub(crate) fn broken(json: &str) -> Option<Refusal> {
    let error = serde_json::from_str::<&RawValue>(json).err()?;
    Some(Refusal::body(format!("the body is not JSON: {error}")))
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Object<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        // Most objects have no more.
        let mut members = Vec::with_capacity(8);
        while let Some((Name(name), raw)) = access.next_entry()? {
            members.push((name, raw));
        }
        Ok(Object { members })
    }
}

#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// A whole number that is not negative. It may be written with a point or an exponent (`10.0`, `1e3`):
/// floating-point languages write them so.
pub(crate) fn count(text: &str) -> Option<u64> {
    // Rust's own parser takes a sign that JSON has not.
    if !text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().or_else(|| {
        let number = text.parse::<f64>().ok().filter(|number| number.fract() == 0.0)?;
        // Up to 2^53 a double holds every whole number.
        let range = 0.0..=9_007_199_254_740_992.0;
        range.contains(&number).then_some(number as u64)
    })
}

/// The kind of an object that is kept raw, for messages: its `type`, or in dialects without one the name of its first
/// member.
pub(crate) fn kind_of(raw: &str) -> String {
    let Ok(mut object) = serde_json::from_str::<Object<'_>>(raw) else { return "unknown".to_owned() };
    let kind = object.take("type").and_then(string);
    kind.or_else(|| object.members().next().map(|(name, _)| name.to_owned())).unwrap_or_else(|| "unknown".to_owned())
}

/// A name of several words, each but the first with a capital letter.
pub(crate) fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

/// The text of a JSON string value, if it is one.
pub(crate) fn string(raw: &RawValue) -> Option<String> {
    match text::unescaped(raw) {
        Some(text) => Some(text.to_owned()),
        None => serde_json::from_str(raw.get()).ok().or_else(|| Text::of(raw).map(Text::whole)),
    }
}

/// An answer, written: there is room for a usual one from the beginning.
pub(crate) fn written(answer: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 << 10);
    if serde_json::to_writer(&mut out, answer).is_err() {
        out.clear();
    }
    out
}

/// The value in one line, as a stream's events need it: providers print whole answers over many. Within JSON's strings
/// line ends are escaped; outside them they are white space.
pub(crate) fn one_line(raw: &RawValue) -> Cow<'_, str> {
    match raw.get() {
        text if text.contains(['\n', '\r']) => Cow::Owned(text.replace(['\n', '\r'], " ")),
        text => Cow::Borrowed(text),
    }
}

/// A value that prints as JSON, without the machinery of formats: a stream writes several with each event.
pub(crate) trait Literal {
    fn print(self, out: &mut Vec<u8>);
}

impl Literal for &str {
    fn print(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl Literal for bool {
    fn print(self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self { b"true" } else { b"false" });
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {
        $(impl Literal for $number {
            fn print(self, out: &mut Vec<u8>) {
                out.extend_from_slice(itoa::Buffer::new().format(self).as_bytes());
            }
        })*
    };
}

numbers!(i32 i64 u16 u32 u64 usize);

impl Literal for &Number {
    fn print(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.to_string().as_bytes());
    }
}

impl<T: Literal + Copy> Literal for &T {
    fn print(self, out: &mut Vec<u8>) {
        (*self).print(out);
    }
}

/// Writes a text as serde's derives do, at the price of a copy where nothing in it has to be escaped: prompts are long, and
/// serde_json looks at each byte by itself.
pub(crate) fn serialize_text<S: Serializer>(text: &str, writer: S) -> Result<S::Ok, S::Error> {
    if text.len() < LONG || !scan::is_plain(text.as_bytes()) {
        return writer.serialize_str(text);
    }
    match RawValue::from_string(["\"", text, "\""].concat()) {
        Ok(raw) => raw.serialize(writer),
        Err(_) => writer.serialize_str(text),
    }
}

/// Writes a character that can not stand in a JSON string as it is, as serde_json does.
fn escape(special: u8, out: &mut Vec<u8>) {
    let short = match special {
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        b'"' | b'\\' => special,
        _ => {
            let digit = |half: u8| char::from_digit(half.into(), 16).map_or(b'0', |digit| digit as u8);
            return out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(special >> 4), digit(special & 0xf)]);
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Writes JSON; commas are its own care.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { out: Vec::with_capacity(capacity) }
    }

    /// Goes on behind bytes written before.
    pub(crate) fn onto(out: Vec<u8>) -> Self {
        Self { out }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    fn comma(&mut self) {
        if !matches!(self.out.last(), None | Some(b'{' | b'[' | b':' | b' ' | b'\n')) {
            self.out.push(b',');
        }
    }

    pub(crate) fn open(&mut self, bracket: u8) {
        self.comma();
        self.out.push(bracket);
    }

    /// True if nothing stands yet in the list or object that was opened last.
    pub(crate) fn is_bare(&self) -> bool {
        matches!(self.out.last(), Some(b'{' | b'['))
    }

    /// Goes on behind JSON, or what stands before it, that was written elsewhere.
    pub(crate) fn open_written(&mut self, written: &[u8]) {
        self.out.extend_from_slice(written);
    }

    pub(crate) fn close(&mut self, bracket: u8) {
        self.out.push(bracket);
    }

    pub(crate) fn key(&mut self, name: &str) {
        self.text(name);
        self.out.push(b':');
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.comma();
        self.out.reserve(text.len() + 2);
        self.out.push(b'"');
        let mut rest = text.as_bytes();
        // What answers say has line ends and quotes in it, and long stretches between them.
        while let Some((plain, [special, behind @ ..])) = rest.split_at_checked(scan::plain_length(rest)) {
            self.out.extend_from_slice(plain);
            escape(*special, &mut self.out);
            rest = behind;
        }
        self.out.extend_from_slice(rest);
        self.out.push(b'"');
    }

    pub(crate) fn raw(&mut self, raw: &str) {
        self.comma();
        self.out.extend_from_slice(raw.as_bytes());
    }

    /// A value that prints as JSON: a number, a boolean, or JSON itself.
    pub(crate) fn value(&mut self, value: impl Literal) {
        self.comma();
        value.print(&mut self.out);
    }

    pub(crate) fn text_field(&mut self, name: &str, text: &str) {
        self.key(name);
        self.text(text);
    }

    pub(crate) fn value_field(&mut self, name: &str, value: impl Literal) {
        self.key(name);
        self.value(value);
    }

    pub(crate) fn raw_field(&mut self, name: &str, raw: &RawValue) {
        self.key(name);
        self.raw(raw.get());
    }

    pub(crate) fn open_field(&mut self, name: &str, bracket: u8) {
        self.key(name);
        self.open(bracket);
    }

    pub(crate) fn fields(&mut self, fields: &Fields) {
        for (name, raw) in fields {
            self.raw_field(name, raw);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_as_people_write_them() {
        let messages = ROOT.field("messages");
        let second = messages.index(2);
        assert_eq!(second.field("content").index(0).to_string(), "messages[2].content[0]");
        assert_eq!(ROOT.field("model").to_string(), "model");
    }

    #[test]
    fn members_are_taken_once_and_null_is_absent() {
        let mut object = Object::read(r#"{"a":1,"b":null,"\u0063":"x","d":[2]}"#, &ROOT).unwrap();
        assert_eq!(object.text("c", &ROOT).unwrap().as_deref(), Some("x"));
        assert!(object.take("b").is_none());
        assert_eq!(object.text("a", &ROOT).unwrap_err().message, "a: must be a string");
        assert_eq!(object.rest().keys().collect::<Vec<_>>(), ["d"]);
        assert!(Object::read(r#"{"a":1,"a":2}"#, &ROOT).unwrap_err().message.contains("twice"));
        for members in [2, FEW, FEW + 1, 100] {
            let names = (1..members).map(|number| format!("\"{number}\":0")).collect::<Vec<_>>().join(",");
            assert!(Object::read(&format!("{{{names}}}"), &ROOT).is_ok(), "{members}");
            let twice = format!("{{{names},\"1\":0}}");
            assert!(Object::read(&twice, &ROOT).unwrap_err().message.contains("twice"), "{members}");
        }
        assert_eq!(Object::read_body("[]").unwrap_err().message, "the body must be an object");
        assert!(Object::read_body("{").unwrap_err().message.starts_with("the body is not JSON: "));
    }

    #[test]
    fn names_are_taken_in_either_case() {
        let mut object = Object::read_either(r#"{"file_data":1,"mimeType":2,"x":3}"#, &ROOT).unwrap();
        assert!(object.take("fileData").is_some() && object.take("mimeType").is_some() && object.take("x").is_some());
        assert!(Object::read_either(r#"{"file_data":1,"fileData":2}"#, &ROOT).unwrap_err().message.contains("twice"));
    }

    #[test]
    fn whole_numbers_are_taken_in_every_spelling() {
        for (text, number) in [("10", 10), ("10.0", 10), ("1.0e1", 10), ("1E3", 1000), ("0", 0), ("-0.0", 0)] {
            assert_eq!(count(text), Some(number), "{text}");
        }
        for text in ["-1", "1.5", "1e300", "\"10\"", "true", "nan", "[1]"] {
            assert_eq!(count(text), None, "{text}");
        }
    }

    #[test]
    fn a_text_is_written_as_serde_json_writes_it_and_read_as_it_reads_it() {
        let every = (0..=0x7f_u8).map(char::from).chain("ä\u{2028}😀".chars()).collect::<String>();
        let specials = ['"', '\\', '\n', '\u{1}', '\u{1f}'];
        let placed = specials.iter().flat_map(|special| {
            (0..20).flat_map(move |before| {
                (0..20).map(move |behind| format!("{}{special}{}", "x".repeat(before), "y".repeat(behind)))
            })
        });
        for text in placed.chain([String::new(), "plain".to_owned(), every.clone(), every.repeat(3)]) {
            let mut json = Writer::default();
            json.text(&text);
            let written = String::from_utf8(json.into_bytes()).unwrap();
            assert_eq!(written, serde_json::to_string(&text).unwrap());
            let raw = RawValue::from_string(written).unwrap();
            assert_eq!((string(&raw), Text::of(&raw).map(Text::whole)), (Some(text.clone()), Some(text)));
        }
        for other in ["1", "null", "[\"a\"]", "{}"] {
            assert_eq!(string(&RawValue::from_string(other.to_owned()).unwrap()), None, "{other}");
        }
    }

    #[test]
    fn the_writer_minds_its_commas() {
        let mut json = Writer::default();
        json.open(b'{');
        json.text_field("a", "x\"{");
        json.open_field("b", b'[');
        json.value(1);
        json.open(b'{');
        json.close(b'}');
        json.close(b']');
        json.value_field("c", true);
        json.close(b'}');
        assert_eq!(json.into_bytes(), br#"{"a":"x\"{","b":[1,{}],"c":true}"#);
    }
}
