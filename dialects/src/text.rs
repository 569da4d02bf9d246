//! Text of JSON strings in which half a surrogate pair may stand: JSON can write it (`\ud83d`), Rust's strings can not
//! hold it. Providers that stream by UTF-16 units or by bytes of a token cut pairs in two, and the other half comes with
//! the next piece.

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The text of a JSON value, if it is a string in which nothing is escaped: most are, and a raw value has been looked at before.
pub(crate) fn unescaped(raw: &RawValue) -> Option<&str> {
    let inside = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    memchr::memchr(b'\\', inside.as_bytes()).is_none().then_some(inside)
}

/// A JSON string as it was, halves and all (as WTF-8).
#[derive(Debug)]
pub(crate) struct Text(Vec<u8>);

impl Text {
    /// The text of a JSON value, if it is a string.
    pub(crate) fn of(raw: &RawValue) -> Option<Self> {
        unescaped(raw).map(Self::from).or_else(|| serde_json::from_str(raw.get()).ok())
    }

    /// All there is: half a pair without the other is U+FFFD.
    pub(crate) fn whole(self) -> String {
        let mut seam = Seam::default();
        let mut text = seam.join(self);
        text.extend(seam.end());
        text
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if there is nothing but white space.
    pub(crate) fn is_blank(&self) -> bool {
        self.0.trim_ascii().is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Text;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a string")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Text, E> {
                Ok(Text(bytes.to_vec()))
            }

            fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Text, E> {
                Ok(Text(bytes))
            }
        }
        // As bytes serde_json gives halves, which it refuses as a string.
        reader.deserialize_bytes(Bytes)
    }
}

/// The seam where one piece of a streamed text meets the next: a pair that was cut in two is put together again.
#[derive(Debug, Default)]
pub(crate) struct Seam {
    half: Option<u16>,
}

impl Seam {
    /// The next piece, as far as its characters are whole; it may be empty.
    pub(crate) fn join(&mut self, piece: Text) -> String {
        let bytes = match (self.half, String::from_utf8(piece.0)) {
            (None, Ok(text)) => return text,
            (Some(_), Ok(text)) => text.into_bytes(),
            (_, Err(error)) => error.into_bytes(),
        };
        let mut text = String::with_capacity(bytes.len() + 4);
        let mut rest = &*bytes;
        while !rest.is_empty() {
            let plain = rest.windows(2).position(|pair| matches!(pair, [0xED, 0xA0..=0xBF])).unwrap_or(rest.len());
            let (said, more) = rest.split_at(plain);
            if !said.is_empty() {
                text.extend(self.end());
                text.push_str(&String::from_utf8_lossy(said));
            }
            rest = match more {
                [_, middle, last, rest @ ..] => {
                    let unit = 0xD000 | u16::from(middle & 0x3F) << 6 | u16::from(last & 0x3F);
                    self.unit(unit, &mut text);
                    rest
                }
                _ => &[],
            };
        }
        text
    }

    /// Ends the text: half of a pair, if there is one now, gets no other.
    pub(crate) fn end(&mut self) -> Option<char> {
        self.half.take().map(|_| char::REPLACEMENT_CHARACTER)
    }

    fn unit(&mut self, unit: u16, text: &mut String) {
        let first = (0xD800..0xDC00).contains(&unit);
        match self.half.filter(|_| !first) {
            Some(half) => {
                self.half = None;
                text.extend(char::decode_utf16([half, unit]).map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER)));
            }
            None if first => {
                text.extend(self.end());
                self.half = Some(unit);
            }
            None => text.push(char::REPLACEMENT_CHARACTER),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str) -> Text {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn whole_pairs_are_characters_and_lone_halves_are_not_an_error() {
        for (json, said) in [
            (r#""a\ud83c\udf0db""#, "a🌍b"),
            (r#""\ud83d""#, "\u{FFFD}"),
            (r#""a\udf0db""#, "a\u{FFFD}b"),
            (r#""\ud83c\ud83c\udf0d""#, "\u{FFFD}🌍"),
            (r#""\ud83cx\udf0d""#, "\u{FFFD}x\u{FFFD}"),
            (r#""北京 🌍 \ud83d""#, "北京 🌍 \u{FFFD}"),
            (r#""\ud7ff\ue000""#, "\u{d7ff}\u{e000}"),
            (r#""""#, ""),
        ] {
            assert_eq!(text(json).whole(), said, "{json}");
        }
        assert!(serde_json::from_str::<Text>("7").is_err());
        assert!(serde_json::from_str::<Text>("[104,105]").is_err());
    }

    #[test]
    fn a_pair_cut_in_two_is_one_character() {
        let mut seam = Seam::default();
        let said: Vec<String> =
            [r#""a\ud83c""#, r#""""#, r#""\udf0d\ud83c""#, r#""\udf0db""#].map(|json| seam.join(text(json))).into();
        assert_eq!(said, ["a", "", "🌍", "🌍b"]);
        assert_eq!(seam.end(), None);
        assert_eq!((seam.join(text(r#""\ud83c""#)).as_str(), seam.end(), seam.end()), ("", Some('\u{FFFD}'), None));
    }
}
