//! A look over a JSON object that keeps nothing: where its members' values stand, and that all of it is JSON.
//!
//! A prompt is mostly long strings, so strings are crossed by `memchr` and not byte by byte; that is what makes a look
//! at 200 KB cheap. Depth takes a byte a level and no stack. The grammar is RFC 8259's.

use std::ops::Range;

use memchr::memchr2;

/// The bytes are no JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotJson;

/// Shows each member of the object: the text between its name's quotes as it is written, and where its value stands.
/// Gives the offset just behind the opening brace. The inside of strings is not checked to be UTF-8.
pub(crate) fn members(bytes: &[u8], mut show: impl FnMut(&[u8], Range<usize>)) -> Result<usize, NotJson> {
    let mut scan = Scan { bytes, at: 0, open: Vec::new() };
    scan.space();
    scan.expect(b'{')?;
    let open = scan.at;
    scan.space();
    if !scan.eat(b'}') {
        loop {
            let name = scan.name()?;
            scan.space();
            let start = scan.at;
            scan.value()?;
            show(bytes.get(name).unwrap_or_default(), start..scan.at);
            scan.space();
            match scan.next()? {
                b',' => {}
                b'}' => break,
                _ => return Err(NotJson),
            }
        }
    }
    scan.space();
    if scan.at == bytes.len() { Ok(open) } else { Err(NotJson) }
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    /// What closes the lists and objects that are open.
    open: Vec<u8>,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Result<u8, NotJson> {
        let byte = self.peek().ok_or(NotJson)?;
        self.at += 1;
        Ok(byte)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, byte: u8) -> Result<(), NotJson> {
        if self.eat(byte) { Ok(()) } else { Err(NotJson) }
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// A member's name and its colon. Gives what stands between the quotes.
    fn name(&mut self) -> Result<Range<usize>, NotJson> {
        self.space();
        self.expect(b'"')?;
        let start = self.at;
        self.string()?;
        let name = start..self.at - 1;
        self.space();
        self.expect(b':')?;
        Ok(name)
    }

    /// One value of any kind.
    fn value(&mut self) -> Result<(), NotJson> {
        loop {
            self.space();
            match self.next()? {
                b'"' => self.string()?,
                b'{' => {
                    self.space();
                    if !self.eat(b'}') {
                        self.open.push(b'}');
                        self.name()?;
                        continue;
                    }
                }
                b'[' => {
                    self.space();
                    if !self.eat(b']') {
                        self.open.push(b']');
                        continue;
                    }
                }
                b't' => self.word(b"rue")?,
                b'f' => self.word(b"alse")?,
                b'n' => self.word(b"ull")?,
                first @ (b'-' | b'0'..=b'9') => self.number(first)?,
                _ => return Err(NotJson),
            }
            if self.close()? {
                return Ok(());
            }
        }
    }

    /// Behind a value: closes what ends here. False: another value comes.
    fn close(&mut self) -> Result<bool, NotJson> {
        while let Some(close) = self.open.last().copied() {
            self.space();
            match self.next()? {
                b',' => {
                    if close == b'}' {
                        self.name()?;
                    }
                    return Ok(false);
                }
                byte if byte == close => {
                    self.open.pop();
                }
                _ => return Err(NotJson),
            }
        }
        Ok(true)
    }

    /// The rest of a string, its closing quote included.
    fn string(&mut self) -> Result<(), NotJson> {
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let plain = rest.get(..memchr2(b'"', b'\\', rest).ok_or(NotJson)?).unwrap_or_default();
            // Folded without a way out, so that it is compiled to vector instructions.
            if plain.iter().fold(u8::MAX, |least, byte| least.min(*byte)) < b' ' {
                return Err(NotJson);
            }
            self.at += plain.len();
            if self.next()? == b'"' {
                return Ok(());
            }
            match self.next()? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                b'u' => {
                    for _ in 0..4 {
                        if !self.next()?.is_ascii_hexdigit() {
                            return Err(NotJson);
                        }
                    }
                }
                _ => return Err(NotJson),
            }
        }
    }

    fn word(&mut self, rest: &[u8]) -> Result<(), NotJson> {
        let there = self.bytes.get(self.at..).is_some_and(|bytes| bytes.starts_with(rest));
        self.at += rest.len();
        if there { Ok(()) } else { Err(NotJson) }
    }

    /// The rest of a number that begins with `first`.
    fn number(&mut self, first: u8) -> Result<(), NotJson> {
        let first = if first == b'-' { self.next()? } else { first };
        match first {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            _ => return Err(NotJson),
        }
        if self.eat(b'.') {
            self.some_digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _sign = self.eat(b'+') || self.eat(b'-');
            self.some_digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Result<(), NotJson> {
        if !self.next()?.is_ascii_digit() {
            return Err(NotJson);
        }
        self.digits();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    /// What a whole parser says of it.
    fn is_object(bytes: &[u8]) -> bool {
        bytes.trim_ascii_start().starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
    }

    fn agrees(bytes: &[u8]) {
        assert_eq!(members(bytes, |_, _| {}).is_ok(), is_object(bytes), "{}", String::from_utf8_lossy(bytes));
    }

    /// Values, and what nearly is one, between bars.
    const VALUES: &str = r#"0|-0|01|-|1.|1.5|.5|1e|1e5|1E+5|1e-05|-1.0e1|+1|00|1.e1|0x1|true|tru|truee|false|null|nul|""|"a|"\u00e4"|
        "\u00g4"|"\u00"|"\x"|"\"|"\/\b\f\n\r\t"|"ä"|[]|[ ]|[1]|[1,]|[,1]|[1 2]|[1,2]|[1|]|[[[]]]|[[]|{}|{ }|{"a":1}|{"a":1,}|{,}|{"a"}|
        {"a":}|{a:1}|{"a" : [ { } , { "b" : null } ] }|{"a":1]|[1}|{"a":1}}|Infinity|NaN|'a'|1 "#;

    #[test]
    fn takes_what_is_json_and_nothing_else() {
        let control = ["\"\u{1}\"", "\"\t\"", "\"\n\"", "\"\u{7f}\"", "\u{feff}1", "\u{b}1", ""];
        for value in VALUES.split('|').map(str::trim).chain(control) {
            let inside = format!("{{\"a\":{value}}}");
            let around = format!(" {{ \"a\" : {value} , \"b\":[{value}]\n}}\t");
            for body in [inside.as_str(), around.as_str(), value] {
                agrees(body.as_bytes());
            }
        }
    }

    #[test]
    fn shows_names_and_values_as_they_stand() {
        let body = br#" {"model" : "m\"1" ,"a\u0062":[1,{"model":2}], "n":-1.5e3}"#;
        let mut seen = Vec::new();
        let open = members(body, |name, value| {
            seen.push((String::from_utf8_lossy(name).into_owned(), String::from_utf8_lossy(&body[value]).into_owned()));
        });
        assert_eq!(open, Ok(2));
        let expected = [("model", r#""m\"1""#), (r"a\u0062", r#"[1,{"model":2}]"#), ("n", "-1.5e3")];
        assert_eq!(seen, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn depth_takes_no_stack() {
        let bomb = format!("{{\"a\":{}{}}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert!(members(bomb.as_bytes(), |_, _| {}).is_ok());
        assert!(members("{\"a\":[".repeat(1_000_000).as_bytes(), |_, _| {}).is_err());
    }

    proptest! {
        #[test]
        fn agrees_with_a_parser_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            agrees(&bytes);
        }

        #[test]
        fn agrees_with_a_parser_on_what_is_nearly_json(text in "[ \\t\\n{}\\[\\]:,\"\\\\0-9eE.+\\-truefalsn]{0,40}") {
            agrees(format!("{{\"a\":{text}}}").as_bytes());
            agrees(text.as_bytes());
        }
    }
}
