//! A look over a JSON object that keeps nothing: where its members' values stand, and that all of it is JSON.
//!
//! A prompt is mostly long strings, so strings are crossed by sixteen bytes at a time and not byte by byte; that is what
//! makes a look at 200 KB cheap. Depth takes a bit a level and no stack. The grammar is RFC 8259's.

use std::ops::Range;

use wide::u8x16;

/// So many bytes are looked at at once.
const LANE: usize = 16;
/// So many digits fit into 64 bits, whichever they are.
const DIGITS: usize = 19;

/// The bytes are no JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotJson;

/// Shows each member of the object: the text between its name's quotes as it is written, and where its value stands.
/// Gives the offset just behind the opening brace. The inside of strings is not checked to be UTF-8.
pub(crate) fn members(bytes: &[u8], show: impl FnMut(&[u8], Range<usize>)) -> Result<usize, NotJson> {
    watched(bytes, show, &mut ())
}

/// Is told of what a body holds, beside its members.
pub(crate) trait Watch {
    /// Told of a name below the members, as it is written between its quotes.
    fn name(&mut self, name: &[u8]);
    /// Told of a text below the members, from behind its quote, with all that follows it.
    fn text(&mut self, text: &[u8]);
    /// Told that there is a byte that is no ASCII, in a name or a text or beside one.
    fn not_ascii(&mut self);
}

/// Nobody.
impl Watch for () {
    #[inline]
    fn name(&mut self, _name: &[u8]) {}
    #[inline]
    fn text(&mut self, _text: &[u8]) {}
    #[inline]
    fn not_ascii(&mut self) {}
}

/// The same as `members`, with somebody who is told of the rest.
pub(crate) fn watched(
    bytes: &[u8],
    mut show: impl FnMut(&[u8], Range<usize>),
    watch: &mut impl Watch,
) -> Result<usize, NotJson> {
    whole(bytes, |name, at| {
        let start = space(bytes, at);
        let end = value_watched(bytes, start, watch)?;
        if !name.is_ascii() {
            watch.not_ascii();
        }
        show(name, start..end);
        Ok(end)
    })
}

/// The place of a count in an object of counts, and the place where it is kept when it is found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CountPlace {
    /// It is the member's value.
    At(usize),
    /// The value is an object (which is kept as such), and counts are in there.
    In(usize, &'static [(&'static [u8], usize)]),
    /// The value is no count and is kept as the number that stands for it.
    Word(usize, fn(&[u8]) -> u64),
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

/// Finds the counts in the member `of` of the object (the last one of that name), and the values of the members `beside` it
/// (empty where there is none), in the one pass that checks it all.
pub(crate) fn counts_beside<'a, const N: usize, const M: usize>(
    bytes: &'a [u8],
    (of, beside): (&[u8], [&[u8]; M]),
    names: &Names,
) -> Result<(Option<CountsFound<'a, N>>, [&'a [u8]; M]), NotJson> {
    let (mut last, mut others): (_, [&[u8]; M]) = (None, [b""; M]);
    whole(bytes, |name, at| {
        if name != of {
            let end = value(bytes, at)?;
            for (known, other) in beside.iter().zip(&mut others) {
                if *known == name {
                    *other = bytes.get(space(bytes, at)..end).unwrap_or_default();
                }
            }
            return Ok(end);
        }
        let start = space(bytes, at);
        let (found, end) = Found::read(bytes, start, names)?;
        let json = bytes.get(start..end).unwrap_or_default();
        last = Some(CountsFound { json, plain: found.plain.then_some(found.counts) });
        Ok(end)
    })?;
    Ok((last, others))
}

/// The counts in a whole JSON value that stands alone.
pub(crate) fn counts_of<'a, const N: usize>(json: &'a str, names: &Names) -> CountsFound<'a, N> {
    let json = json.as_bytes();
    let found = Found::read(json, 0, names).ok().filter(|(found, end)| found.plain && *end == json.len());
    CountsFound { json, plain: found.map(|(found, _)| found.counts) }
}

struct Found<const N: usize> {
    counts: [Count; N],
    plain: bool,
}

impl<const N: usize> Found<N> {
    /// Goes over a value that may be an object of counts. Gives the place behind it, too.
    #[inline]
    fn read(bytes: &[u8], at: usize, names: &Names) -> Result<(Self, usize), NotJson> {
        let mut found = Self { counts: [Count::Absent; N], plain: true };
        let end = if bytes.get(at) == Some(&b'{') {
            found.object(bytes, at + 1, names)?
        } else {
            found.plain = false;
            value(bytes, at)?
        };
        Ok((found, end))
    }

    /// Goes over an object of counts, from behind its brace.
    fn object(&mut self, bytes: &[u8], at: usize, names: &Names) -> Result<usize, NotJson> {
        object(bytes, at, |name, at| match names.iter().find(|(known, _)| *known == name) {
            Some((_, CountPlace::In(place, inner))) => {
                let start = space(bytes, at);
                if bytes.get(start) == Some(&b'{') {
                    self.keep(*place, Some(Count::Object));
                    return object(bytes, start + 1, |name, at| {
                        let place = inner.iter().find(|(known, _)| *known == name);
                        self.count(bytes, (name, at), place.map(|(_, at)| *at))
                    });
                }
                let end = self.count(bytes, (name, start), Some(*place))?;
                // An object or nothing.
                self.plain &= self.counts.get(*place) == Some(&Count::Null);
                Ok(end)
            }
            Some((_, CountPlace::At(place))) => self.count(bytes, (name, at), Some(*place)),
            Some((_, CountPlace::Word(place, read))) => {
                let start = space(bytes, at);
                let end = value(bytes, start)?;
                self.keep(*place, Some(Count::Number(read(bytes.get(start..end).unwrap_or_default()))));
                Ok(end)
            }
            None => self.count(bytes, (name, at), None),
        })
    }

    /// Goes over a value that is to be kept at that place, if there is one.
    #[inline]
    fn count(&mut self, bytes: &[u8], (name, at): (&[u8], usize), place: Option<usize>) -> Result<usize, NotJson> {
        let start = space(bytes, at);
        let Some(place) = place else {
            self.plain &= !name.contains(&b'\\');
            return value(bytes, start);
        };
        // Mostly it is a few digits and nothing else.
        if let (Some(number), end) = short(bytes, start)
            && matches!(bytes.get(end), Some(b',' | b'}' | b' ' | b'\n' | b'\r' | b'\t'))
        {
            self.keep(place, Some(Count::Number(number)));
            return Ok(end);
        }
        let end = value(bytes, start)?;
        self.keep(place, count(bytes.get(start..end).unwrap_or_default()));
        Ok(end)
    }

    fn keep(&mut self, at: usize, count: Option<Count>) {
        match (self.counts.get_mut(at), count) {
            (Some(slot @ Count::Absent), Some(count)) => *slot = count,
            _ => self.plain = false,
        }
    }
}

/// The whole number of few digits that stands there, if one does, and the place behind its digits.
#[inline]
fn short(bytes: &[u8], start: usize) -> (Option<u64>, usize) {
    let (mut number, mut at) = (0, start);
    while let Some(digit) = bytes.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10)
        && at - start < DIGITS
    {
        number = 10 * number + u64::from(digit);
        at += 1;
    }
    let is_number = at > start && (at == start + 1 || bytes.get(start) != Some(&b'0'));
    (is_number.then_some(number), at)
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

/// The length of the beginning of a text that stands in JSON as it is.
#[inline]
pub(crate) fn plain_length(text: &[u8]) -> usize {
    let (words, rest) = text.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let marked = not_plain(*word);
        if marked != 0 {
            return 8 * at + marked.trailing_zeros() as usize / 8;
        }
    }
    let special = rest.iter().position(|byte| *byte < b' ' || matches!(byte, b'"' | b'\\'));
    8 * words.len() + special.unwrap_or(rest.len())
}

/// The lists and objects that are open around the innermost one, up to a multiple of 64 of them: a bit for each. Those
/// around them are words of their own.
#[derive(Clone, Copy, Default)]
struct OpenNesting {
    /// The last one is the lowest bit, set for an object.
    bits: u64,
    depth: usize,
}

impl OpenNesting {
    #[inline]
    fn push(&mut self, object: bool, outer: &mut Vec<u64>) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            outer.push(self.bits);
        }
        self.bits = (self.bits << 1) | u64::from(object);
        self.depth += 1;
    }

    /// True if what is innermost now is an object; `None`: nothing is open.
    #[inline]
    fn pop(&mut self, outer: &mut Vec<u64>) -> Option<bool> {
        let object = (self.depth > 0).then_some(self.bits & 1 == 1)?;
        self.depth -= 1;
        self.bits >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.bits = outer.pop().unwrap_or_default();
        }
        Some(object)
    }
}

/// Goes over bytes that are one object and nothing else. `each` is given a member's name and the place behind its colon,
/// and goes over its value. Gives the offset just behind the opening brace.
#[inline]
fn whole<'a>(bytes: &'a [u8], each: impl FnMut(&'a [u8], usize) -> Result<usize, NotJson>) -> Result<usize, NotJson> {
    let (b'{', open) = token(bytes, 0)? else { return Err(NotJson) };
    let end = object(bytes, open, each)?;
    if space(bytes, end) == bytes.len() { Ok(open) } else { Err(NotJson) }
}

// What follows goes over the bytes from a place in them, and gives the place behind what it was over. Places are passed by
// value: that keeps them in registers.

/// An object, from behind its brace.
#[inline]
fn object<'a>(
    bytes: &'a [u8],
    at: usize,
    mut each: impl FnMut(&'a [u8], usize) -> Result<usize, NotJson>,
) -> Result<usize, NotJson> {
    let (mut byte, mut at) = token(bytes, at)?;
    if byte == b'}' {
        return Ok(at);
    }
    loop {
        let start = at;
        at = name(bytes, byte, at, &mut ())?;
        let name = bytes.get(start..at - 1).unwrap_or_default();
        at = each(name, colon(bytes, at)?)?;
        (byte, at) = token(bytes, at)?;
        match byte {
            b',' => (byte, at) = token(bytes, at)?,
            b'}' => return Ok(at),
            _ => return Err(NotJson),
        }
    }
}

/// White space. Mostly there is none, which one comparison tells.
#[inline]
fn space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The next byte that is no white space, and the place behind it.
#[inline]
fn token(bytes: &[u8], mut at: usize) -> Result<(u8, usize), NotJson> {
    loop {
        let byte = *bytes.get(at).ok_or(NotJson)?;
        at += 1;
        if byte > b' ' {
            return Ok((byte, at));
        }
        if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            return Err(NotJson);
        }
    }
}

/// A member's name, of which the first byte is this one.
#[inline]
fn name(bytes: &[u8], first: u8, at: usize, watch: &mut impl Watch) -> Result<usize, NotJson> {
    if first == b'"' { string(bytes, at, watch) } else { Err(NotJson) }
}

/// The colon behind a name.
#[inline]
fn colon(bytes: &[u8], at: usize) -> Result<usize, NotJson> {
    if let (b':', at) = token(bytes, at)? { Ok(at) } else { Err(NotJson) }
}

/// One value of any kind.
fn value(bytes: &[u8], at: usize) -> Result<usize, NotJson> {
    value_watched(bytes, at, &mut ())
}

fn value_watched(bytes: &[u8], at: usize, watch: &mut impl Watch) -> Result<usize, NotJson> {
    match token(bytes, at)? {
        (b'"', at) => string(bytes, at, watch),
        (first @ (b'{' | b'['), at) => nested(bytes, first == b'{', at, watch),
        (first, at) => scalar(bytes, first, at),
    }
}

/// A list or an object, and all that is in it, from behind its bracket.
fn nested(bytes: &[u8], object: bool, at: usize, watch: &mut impl Watch) -> Result<usize, NotJson> {
    let (mut open, mut outer) = (OpenNesting::default(), Vec::new());
    let (mut object, mut at, mut fresh) = (object, at, true);
    loop {
        let (mut byte, next) = token(bytes, at)?;
        let is_empty = fresh && byte == if object { b'}' } else { b']' };
        fresh = false;
        if !is_empty {
            at = next;
            if object {
                let start = at;
                at = name(bytes, byte, at, watch)?;
                watch.name(bytes.get(start..at - 1).unwrap_or_default());
                (byte, at) = token(bytes, colon(bytes, at)?)?;
            }
            match byte {
                b'"' => {
                    watch.text(bytes.get(at..).unwrap_or_default());
                    at = string(bytes, at, watch)?;
                }
                b'{' | b'[' => {
                    open.push(object, &mut outer);
                    (object, fresh) = (byte == b'{', true);
                    continue;
                }
                _ => at = scalar(bytes, byte, at)?,
            }
        }
        // Behind a value, or at the bracket of what is empty: closes what ends here.
        loop {
            (byte, at) = token(bytes, at)?;
            match byte {
                b',' => break,
                b'}' if object => {}
                b']' if !object => {}
                _ => return Err(NotJson),
            }
            match open.pop(&mut outer) {
                Some(around) => object = around,
                None => return Ok(at),
            }
        }
    }
}

/// The rest of a string, its closing quote included.
#[inline]
fn string(bytes: &[u8], at: usize, watch: &mut impl Watch) -> Result<usize, NotJson> {
    let end = plain(bytes, at, watch)?;
    if bytes.get(end) == Some(&b'"') { Ok(end + 1) } else { escaped(bytes, end, watch) }
}

/// The rest of a string from something in it that is not plain. Not inlined: most strings have none.
#[inline(never)]
fn escaped(bytes: &[u8], mut at: usize, watch: &mut impl Watch) -> Result<usize, NotJson> {
    loop {
        at += 1;
        match bytes.get(at - 1) {
            Some(b'"') => return Ok(at),
            Some(b'\\') => at = plain(bytes, escape(bytes, at)?, watch)?,
            _ => return Err(NotJson),
        }
    }
}

/// A string's plain text: to its first quote, backslash or control character.
#[inline]
fn plain(bytes: &[u8], mut at: usize, watch: &mut impl Watch) -> Result<usize, NotJson> {
    let mut highest = 0;
    while let Some(lane) = bytes.get(at..).and_then(<[u8]>::first_chunk::<LANE>) {
        let lane = u8x16::new(*lane);
        let quote = lane.simd_eq(u8x16::splat(b'"'));
        let escape = lane.simd_eq(u8x16::splat(b'\\'));
        let control = lane.min(u8x16::splat(b' ' - 1)).simd_eq(lane);
        let special = (quote | escape | control).to_bitmask();
        // The highest bit of each byte.
        highest |= lane.to_bitmask();
        if special != 0 {
            if highest != 0 {
                watch.not_ascii();
            }
            return Ok(at + special.trailing_zeros() as usize);
        }
        at += LANE;
    }
    if highest != 0 {
        watch.not_ascii();
    }
    last(bytes, at, watch)
}

/// The same where less than a lane is left. Not inlined: most strings end before.
#[inline(never)]
fn last(bytes: &[u8], at: usize, watch: &mut impl Watch) -> Result<usize, NotJson> {
    let rest = bytes.get(at..).unwrap_or_default();
    if !rest.is_ascii() {
        watch.not_ascii();
    }
    let end = rest.iter().position(|byte| *byte < b' ' || matches!(byte, b'"' | b'\\'));
    end.map(|end| at + end).ok_or(NotJson)
}

/// The rest of an escape.
fn escape(bytes: &[u8], at: usize) -> Result<usize, NotJson> {
    match bytes.get(at) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 1),
        Some(b'u') => {
            let digits = bytes.get(at + 1..at + 5).ok_or(NotJson)?;
            if digits.iter().all(u8::is_ascii_hexdigit) { Ok(at + 5) } else { Err(NotJson) }
        }
        _ => Err(NotJson),
    }
}

/// The rest of a word or a number that begins with `first`.
#[inline]
fn scalar(bytes: &[u8], first: u8, at: usize) -> Result<usize, NotJson> {
    match first {
        b't' => word(bytes, at, b"rue"),
        b'f' => word(bytes, at, b"alse"),
        b'n' => word(bytes, at, b"ull"),
        b'-' | b'0'..=b'9' => number(bytes, first, at),
        _ => Err(NotJson),
    }
}

#[inline]
fn word(bytes: &[u8], at: usize, rest: &[u8]) -> Result<usize, NotJson> {
    let there = bytes.get(at..).is_some_and(|bytes| bytes.starts_with(rest));
    if there { Ok(at + rest.len()) } else { Err(NotJson) }
}

fn number(bytes: &[u8], first: u8, mut at: usize) -> Result<usize, NotJson> {
    let first = if first == b'-' {
        at += 1;
        *bytes.get(at - 1).ok_or(NotJson)?
    } else {
        first
    };
    match first {
        b'0' => {}
        b'1'..=b'9' => at = digits(bytes, at),
        _ => return Err(NotJson),
    }
    if bytes.get(at) == Some(&b'.') {
        at = some_digits(bytes, at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        let sign = matches!(bytes.get(at + 1), Some(b'+' | b'-'));
        at = some_digits(bytes, at + 1 + usize::from(sign))?;
    }
    Ok(at)
}

#[inline]
fn digits(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

fn some_digits(bytes: &[u8], at: usize) -> Result<usize, NotJson> {
    let end = digits(bytes, at);
    if end > at { Ok(end) } else { Err(NotJson) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    fn counts<'a>(bytes: &'a [u8], of: &[u8], names: &Names) -> Result<Option<CountsFound<'a, 3>>, NotJson> {
        counts_beside(bytes, (of, []), names).map(|(counts, [])| counts)
    }

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
                let found = plain(format!("{text}{end}{text}\"\u{1}\\12345678").as_bytes(), 0, &mut ());
                assert_eq!(found, Ok(before), "{text}{end:?}");
                for inside in ["\u{7f}", "ä", " ", "!", "#", "[", "]", "\u{80}", "\u{ff}"] {
                    agrees(format!("{{\"a\":\"{inside}{text}{end}{text}\"}}").as_bytes());
                    agrees(format!("{{\"{text}{inside}\":\"{text}{inside}{end}\"}}").as_bytes());
                    agrees(format!("{{\"{inside}{text}\":\"{text}{inside}\"}}").as_bytes());
                }
            }
        }
    }

    #[test]
    fn a_string_that_does_not_end_is_none() {
        for length in (0..70).chain([4_095, 4_096]) {
            let text = "x".repeat(length);
            assert_eq!(plain(text.as_bytes(), 0, &mut ()), Err(NotJson), "{length}");
            assert_eq!(string(format!("{text}\\").as_bytes(), 0, &mut ()), Err(NotJson), "{length}");
            assert_eq!(string(format!("{text}\\n{text}\"").as_bytes(), 0, &mut ()), Ok(2 * length + 3), "{length}");
        }
    }

    #[test]
    fn counts_are_read_only_as_everybody_writes_them() {
        const NAMES: &Names = &[(b"a", CountPlace::At(0)), (b"b", CountPlace::In(1, &[(b"c", 2)]))];
        let of = |json: &str| {
            let body = format!(r#"{{"a":7,"of":[],"of" : {json} ,"b":{{}}}}"#);
            let found = counts(body.as_bytes(), b"of", NAMES).unwrap().unwrap();
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
        assert_eq!(counts(br#"{"o":{"a":1}}"#, b"of", NAMES), Ok(None));
        for broken in ["", "{", r#"{"of":{"a":1}"#, r#"{"of":{"a":01}}"#, r#"{"of":{"a":1,}}"#, r#"{"of":{"b":{"c"}}}"#]
        {
            assert_eq!(counts(broken.as_bytes(), b"of", NAMES), Err(NotJson), "{broken}");
        }
    }

    #[test]
    fn what_stands_beside_counts_is_found_as_it_is_written() {
        const NAMES: &Names = &[(b"a", CountPlace::At(0))];
        let body = br#"{"x": [1 , {}],"of":{"a":1},"y":"z","in":{"y":1},"x" :null}"#;
        let (counts, [x, y, none]) = counts_beside::<1, 3>(body, (b"of", [b"x", b"y", b"n"]), NAMES).unwrap();
        assert_eq!(counts.unwrap().plain, Some([Count::Number(1)]));
        assert_eq!((x, y, none), (&b"null"[..], &b"\"z\""[..], &b""[..]));
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
