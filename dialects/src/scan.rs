//! A look over a JSON object that keeps nothing: where its members' values stand, and that all of it is JSON.
//!
//! A prompt is mostly long strings, so strings are crossed by `memchr` and not byte by byte; that is what makes a look
//! at 200 KB cheap. Names and short words are crossed eight bytes at a time. Depth takes a bit a level and no stack. The
//! grammar is RFC 8259's.

use std::ops::Range;

use memchr::memchr2;

/// Words of eight bytes that are looked at one by one; what is longer is crossed by `memchr`.
const SHORT: usize = 4;
/// So many digits fit into 64 bits, whichever they are.
const DIGITS: usize = 19;

/// The bytes are no JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotJson;

/// Shows each member of the object: the text between its name's quotes as it is written, and where its value stands.
/// Gives the offset just behind the opening brace. The inside of strings is not checked to be UTF-8.
pub(crate) fn members(bytes: &[u8], mut show: impl FnMut(&[u8], Range<usize>)) -> Result<usize, NotJson> {
    Scan::whole(bytes, |scan, name| {
        let start = scan.at;
        scan.value()?;
        show(name, start..scan.at);
        Ok(())
    })
}

/// The place of a count in an object of counts, and the place where it is kept when it is found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CountPlace {
    /// It is the member's value.
    At(usize),
    /// The value is an object (which is kept as such), and counts are in there.
    In(usize, &'static [(&'static [u8], usize)]),
}

/// The names of counts and their places.
pub(crate) type Names = [(&'static [u8], CountPlace)];

/// A value where a count may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    /// It is not there.
    Absent,
    /// `null`.
    Null,
    /// A whole number, in digits alone.
    Number(u64),
    /// An object of more counts.
    Object,
}

impl Count {
    /// The number, if it is one.
    pub(crate) fn number(self) -> Option<u64> {
        if let Self::Number(number) = self { Some(number) } else { None }
    }
}

/// An object of counts that was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CountsFound<'a, const N: usize> {
    /// All of it.
    pub(crate) json: &'a [u8],
    /// The counts. `None`: it wants a closer look, by a parser that knows everything. It may be no object, hold a name
    /// twice or written with escapes, or something else than a plain number, `null` or an object where a count stands.
    pub(crate) plain: Option<[Count; N]>,
}

/// Finds the counts in the member `of` of the object (the last one of that name), in the one pass that checks it all.
pub(crate) fn counts<'a, const N: usize>(
    bytes: &'a [u8],
    of: &[u8],
    names: &Names,
) -> Result<Option<CountsFound<'a, N>>, NotJson> {
    let mut last = None;
    Scan::whole(bytes, |scan, name| {
        if name != of {
            return scan.value();
        }
        let (start, mut found) = (scan.at, Found { counts: [Count::Absent; N], plain: true });
        if scan.peek() == Some(b'{') {
            scan.counts(names, &mut found)?;
        } else {
            scan.value()?;
            found.plain = false;
        }
        let json = bytes.get(start..scan.at).unwrap_or_default();
        last = Some(CountsFound { json, plain: found.plain.then_some(found.counts) });
        Ok(())
    })?;
    Ok(last)
}

struct Found<const N: usize> {
    counts: [Count; N],
    plain: bool,
}

impl<const N: usize> Found<N> {
    fn keep(&mut self, at: usize, count: Option<Count>) {
        match (self.counts.get_mut(at), count) {
            (Some(slot @ Count::Absent), Some(count)) => *slot = count,
            _ => self.plain = false,
        }
    }
}

/// A plain count.
fn count(json: &[u8]) -> Option<Count> {
    if json == b"null" {
        return Some(Count::Null);
    }
    let add = |sum: u64, digit: &u8| digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0'));
    let digits = Some(json).filter(|json| json.len() <= DIGITS)?;
    digits.iter().try_fold(0, add).map(Count::Number)
}

/// The end of a string's plain text: at its first quote, backslash or control character. `None`: not within a few
/// words.
#[inline]
fn plain(bytes: &[u8]) -> Option<usize> {
    for (at, word) in bytes.as_chunks::<8>().0.iter().take(SHORT).enumerate() {
        let marked = not_plain(*word);
        if marked != 0 {
            return Some(at * 8 + marked.trailing_zeros() as usize / 8);
        }
    }
    None
}

/// Marks the first of eight bytes that is a quote, a backslash or a control character; those behind it may be marked falsely.
#[inline]
const fn not_plain(word: [u8; 8]) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let word = u64::from_le_bytes(word);
    // A byte that is less than `n` borrows: its highest bit is set, and so may be those of bytes behind it, but none
    // before. Control characters and the quote, and they alone, are less than 0x21 when the bit of 2 is turned.
    let turned = word ^ (ONES * 2);
    let quote_or_control = turned.wrapping_sub(ONES * 0x21) & !turned;
    let escape = word ^ (ONES * b'\\' as u64);
    let escape = escape.wrapping_sub(ONES) & !escape;
    (quote_or_control | escape) & (ONES << 7)
}

/// True if a text stands in JSON as it is: without a quote, a backslash or a control character.
#[inline]
pub(crate) fn is_plain(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    let mut last = [b' '; 8];
    last.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
    words.iter().fold(not_plain(last), |marked, word| marked | not_plain(*word)) == 0
}

/// The lists and objects that are open: a bit for each.
#[derive(Default)]
struct OpenNesting {
    /// The innermost 64; the last one is the lowest bit, set for an object.
    bits: u64,
    depth: usize,
    /// Those around them.
    outer: Vec<u64>,
}

impl OpenNesting {
    #[inline]
    fn push(&mut self, object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.bits);
        }
        self.bits = (self.bits << 1) | u64::from(object);
        self.depth += 1;
    }

    #[inline]
    fn pop(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.bits >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.bits = self.outer.pop().unwrap_or_default();
        }
    }

    /// True if the innermost is an object; `None`: nothing is open.
    #[inline]
    fn innermost(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.bits & 1 == 1)
    }
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    open: OpenNesting,
}

impl<'a> Scan<'a> {
    /// Goes over bytes that are one object and nothing else. `each` is given a member's name and goes over its value.
    /// Gives the offset just behind the opening brace.
    #[inline]
    fn whole(bytes: &'a [u8], each: impl FnMut(&mut Self, &'a [u8]) -> Result<(), NotJson>) -> Result<usize, NotJson> {
        let mut scan = Self { bytes, at: 0, open: OpenNesting::default() };
        scan.space();
        let open = scan.at + 1;
        scan.object(each)?;
        scan.space();
        if scan.at == bytes.len() { Ok(open) } else { Err(NotJson) }
    }

    #[inline]
    fn object(&mut self, mut each: impl FnMut(&mut Self, &'a [u8]) -> Result<(), NotJson>) -> Result<(), NotJson> {
        self.expect(b'{')?;
        self.space();
        if self.eat(b'}') {
            return Ok(());
        }
        loop {
            let name = self.name()?;
            self.space();
            each(self, name)?;
            self.space();
            match self.next()? {
                b',' => self.space(),
                b'}' => return Ok(()),
                _ => return Err(NotJson),
            }
        }
    }

    /// An object of counts.
    fn counts<const N: usize>(&mut self, names: &Names, found: &mut Found<N>) -> Result<(), NotJson> {
        self.object(|scan, name| match names.iter().find(|(known, _)| *known == name) {
            Some((_, CountPlace::In(at, inner))) if scan.peek() == Some(b'{') => {
                found.keep(*at, Some(Count::Object));
                scan.object(|scan, name| {
                    let place = inner.iter().find(|(known, _)| *known == name);
                    scan.count(name, place.map(|(_, at)| *at), found)
                })
            }
            Some((_, CountPlace::In(at, _))) => {
                scan.count(name, Some(*at), found)?;
                // An object or nothing.
                found.plain &= found.counts.get(*at) == Some(&Count::Null);
                Ok(())
            }
            Some((_, CountPlace::At(at))) => scan.count(name, Some(*at), found),
            None => scan.count(name, None, found),
        })
    }

    /// A value that is to be kept at that place, if there is one.
    fn count<const N: usize>(
        &mut self,
        name: &[u8],
        place: Option<usize>,
        found: &mut Found<N>,
    ) -> Result<(), NotJson> {
        let start = self.at;
        self.value()?;
        match place {
            Some(at) => found.keep(at, count(self.bytes.get(start..self.at).unwrap_or_default())),
            None => found.plain &= !name.contains(&b'\\'),
        }
        Ok(())
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn next(&mut self) -> Result<u8, NotJson> {
        let byte = self.peek().ok_or(NotJson)?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), NotJson> {
        if self.eat(byte) { Ok(()) } else { Err(NotJson) }
    }

    #[inline]
    fn space(&mut self) {
        // Mostly there is none, which one comparison tells.
        while self.peek().is_some_and(|byte| byte <= b' ') {
            if !matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
                return;
            }
            self.at += 1;
        }
    }

    /// A member's name and its colon. Gives what stands between the quotes.
    #[inline]
    fn name(&mut self) -> Result<&'a [u8], NotJson> {
        self.expect(b'"')?;
        let start = self.at;
        self.string()?;
        let name = self.bytes.get(start..self.at - 1).unwrap_or_default();
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
                        self.open.push(true);
                        self.name()?;
                        continue;
                    }
                }
                b'[' => {
                    self.space();
                    if !self.eat(b']') {
                        self.open.push(false);
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
    #[inline]
    fn close(&mut self) -> Result<bool, NotJson> {
        while let Some(object) = self.open.innermost() {
            self.space();
            match self.next()? {
                b',' => {
                    if object {
                        self.space();
                        self.name()?;
                    }
                    return Ok(false);
                }
                b'}' if object => self.open.pop(),
                b']' if !object => self.open.pop(),
                _ => return Err(NotJson),
            }
        }
        Ok(true)
    }

    /// The rest of a string, its closing quote included.
    fn string(&mut self) -> Result<(), NotJson> {
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            self.at += match plain(rest) {
                Some(length) => length,
                None => long(rest)?,
            };
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                _ => return Err(NotJson),
            }
        }
    }

    /// The rest of an escape.
    fn escape(&mut self) -> Result<(), NotJson> {
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
        Ok(())
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

    #[inline]
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

/// The end of a long string's plain text.
fn long(bytes: &[u8]) -> Result<usize, NotJson> {
    let text = bytes.get(..memchr2(b'"', b'\\', bytes).ok_or(NotJson)?).unwrap_or_default();
    // Folded without a way out, so that it is compiled to vector instructions.
    if text.iter().fold(u8::MAX, |least, byte| least.min(*byte)) < b' ' {
        return Err(NotJson);
    }
    Ok(text.len())
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
    fn a_text_is_plain_if_json_has_no_other_form_of_it() {
        for length in 0..40 {
            let text = "a\u{7f}ä".chars().cycle().take(length).collect::<String>();
            assert!(is_plain(text.as_bytes()), "{length}");
            for at in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
                for mark in (0..0x20).map(char::from).chain(['"', '\\']) {
                    let mut text = text.clone();
                    text.insert(at, mark);
                    assert!(!is_plain(text.as_bytes()), "{text:?}");
                }
            }
        }
    }

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
    fn a_string_ends_where_it_ends_at_whatever_place_in_a_word() {
        for before in 0..70 {
            let text = "a".repeat(before);
            for end in ["\"", "\\", "\u{1}", "\u{1f}", "\n"] {
                assert_eq!(
                    plain(format!("{text}{end}{text}\"\u{1}\\12345678").as_bytes()),
                    (before < 32).then_some(before)
                );
                for inside in ["\u{7f}", "ä", " ", "!", "#", "[", "]", "\u{80}", "\u{ff}"] {
                    agrees(format!("{{\"a\":\"{inside}{text}{end}{text}\"}}").as_bytes());
                    agrees(format!("{{\"{text}{inside}\":\"{text}{inside}{end}\"}}").as_bytes());
                    agrees(format!("{{\"{inside}{text}\":\"{text}{inside}\"}}").as_bytes());
                }
            }
        }
    }

    #[test]
    fn counts_are_read_only_as_everybody_writes_them() {
        const NAMES: &Names = &[(b"a", CountPlace::At(0)), (b"b", CountPlace::In(1, &[(b"c", 2)]))];
        let of = |json: &str| {
            let body = format!(r#"{{"a":7,"of":[],"of" : {json} ,"b":{{}}}}"#);
            let found = counts::<3>(body.as_bytes(), b"of", NAMES).unwrap().unwrap();
            assert_eq!(found.json, json.as_bytes());
            found.plain
        };
        let (absent, number) = (Count::Absent, Count::Number);
        assert_eq!(of(r#"{"c":[{"a":1}],"a": 12 ,"b":null}"#), Some([number(12), Count::Null, absent]));
        assert_eq!(of(r#"{ "b" : { "d":[1], "c":5 } }"#), Some([absent, Count::Object, number(5)]));
        assert_eq!(of(r#"{"a":9999999999999999999}"#), Some([number(9_999_999_999_999_999_999), absent, absent]));
        assert_eq!(of("{}"), Some([absent; 3]));
        let odd = r#"{"a":1,"a":1}|{"a":null,"a":1}|{"\u0061":1}|{"a":10000000000000000000}|{"a":-1}|{"a":1.0}|{"a":"1"}|{"a":true}|
            {"a":{}}|{"b":1}|{"b":[]}|{"b":{},"b":{}}|{"b":{"c":1,"c":2}}|{"b":{"c":{}}}|{"b":{"\u0063":1}}|[]|null|1"#;
        for json in odd.split('|').map(str::trim) {
            assert_eq!(of(json), None, "{json}");
        }
        assert_eq!(counts::<3>(br#"{"o":{"a":1}}"#, b"of", NAMES), Ok(None));
        for broken in ["", "{", r#"{"of":{"a":1}"#, r#"{"of":{"a":01}}"#, r#"{"of":{"a":1,}}"#, r#"{"of":{"b":{"c"}}}"#]
        {
            assert_eq!(counts::<3>(broken.as_bytes(), b"of", NAMES), Err(NotJson), "{broken}");
        }
    }

    #[test]
    fn what_is_open_is_known_at_any_depth() {
        let kinds = (0..300).map(|at: usize| at.is_multiple_of(3) || at.is_multiple_of(7)).collect::<Vec<_>>();
        let text = |flip: Option<usize>| {
            let opening = kinds.iter().map(|object| if *object { "{\"a\":" } else { "[" }).collect::<String>();
            let closing = kinds.iter().enumerate().rev();
            let closing = closing.map(|(at, object)| if *object != (flip == Some(at)) { '}' } else { ']' });
            format!("{{\"a\":{opening}1{}}}", closing.collect::<String>())
        };
        assert!(members(text(None).as_bytes(), |_, _| {}).is_ok());
        for at in 0..kinds.len() {
            assert!(members(text(Some(at)).as_bytes(), |_, _| {}).is_err(), "{at}");
        }
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
