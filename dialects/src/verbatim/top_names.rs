//! The names of a body's own members: each stands there once, and in its dialect's letters. A provider may read the other one of two, and
//! servers in Go read names in any case (golang.org/pkg/encoding/json, `Unmarshal`): what was judged would not be what is answered.

use std::collections::BTreeSet;

use crate::codec::Refusal;

/// So many names are compared in pairs.
const FEW: usize = 24;
/// Members that name models beside the one that every dialect looks for.
const NAMING: [&[u8]; 2] = [b"fallbacks", b"models"];

/// The names that have been seen.
#[derive(Debug)]
pub(super) struct TopNames<'a> {
    body: &'a [u8],
    /// The places of the first of them: where each begins, and how long it is.
    few: [(usize, usize); FEW],
    count: usize,
    /// Those beyond, and such as have letters in other words, in small letters.
    more: BTreeSet<Vec<u8>>,
    wrong: Option<Refusal>,
}

impl<'a> TopNames<'a> {
    pub(super) fn of(body: &'a [u8]) -> Self {
        Self { body, few: [(0, 0); FEW], count: 0, more: BTreeSet::new(), wrong: None }
    }

    /// A name as it is written between its quotes, out of the body.
    #[inline]
    pub(super) fn see(&mut self, name: &[u8]) {
        let start = (name.as_ptr() as usize).saturating_sub(self.body.as_ptr() as usize);
        let before = self.few.get(..self.count).unwrap_or_default();
        let is_there = before.iter().any(|(at, length)| {
            *length == name.len() && self.body.get(*at..at + length).is_some_and(|one| one.eq_ignore_ascii_case(name))
        });
        if is_there {
            self.twice(name);
        }
        match self.few.get_mut(self.count) {
            Some(place) if self.more.is_empty() && !name.contains(&b'\\') => {
                *place = (start, name.len());
                self.count += 1;
            }
            _ => self.see_another(name),
        }
    }

    #[cold]
    fn see_another(&mut self, name: &[u8]) {
        let read = || serde_json::from_slice::<String>(&[b"\"", name, b"\""].concat()).ok();
        let text = if name.contains(&b'\\') { read().map(String::into_bytes) } else { None };
        let text = text.unwrap_or_else(|| name.to_vec()).to_ascii_lowercase();
        let before = self.few.get(..self.count).unwrap_or_default();
        let known = |(at, length): &(usize, usize)| self.body.get(*at..at + length);
        if before.iter().filter_map(known).any(|one| one.eq_ignore_ascii_case(&text)) || !self.more.insert(text) {
            self.twice(name);
        }
    }

    /// A name that no dialect has: it is none of another one, which `is_known` knows, in other letters.
    pub(super) fn see_unknown(&mut self, name: &[u8], is_known: impl Fn(&[u8]) -> bool) {
        if !name.iter().any(u8::is_ascii_uppercase) {
            return;
        }
        let small = name.to_ascii_lowercase();
        if is_known(&small) || NAMING.contains(&&small[..]) {
            let small = String::from_utf8_lossy(&small);
            self.wrong.get_or_insert_with(|| Refusal::field(shown(name), format_args!("is written `{small}`")));
        }
    }

    #[cold]
    fn twice(&mut self, name: &[u8]) {
        self.wrong.get_or_insert_with(|| Refusal::field(shown(name), "the field stands in the body twice"));
    }

    /// Errors: a name stands there twice, or in other letters than its dialect's.
    pub(super) fn judged(self) -> Result<(), Refusal> {
        self.wrong.map_or(Ok(()), Err)
    }
}

/// The beginning of a name, for whoever wrote it.
fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use crate::Dialect;
    use crate::verbatim::PathSays;

    #[test]
    fn a_name_stands_there_once_and_in_its_dialects_letters() {
        let many = (0..40).map(|n| format!(r#""field_{n}":1,"#)).collect::<String>();
        for (more, refused) in [
            (r#""tools":[],"stop":1"#.to_owned(), None),
            (r#""tools":[],"tools":[1]"#.to_owned(), Some("tools")),
            (r#""fallbacks":[],"fallback\u0073":[1]"#.to_owned(), Some("fallback\\u0073")),
            (r#""fallback\u0073":[],"fallbacks":[1]"#.to_owned(), Some("fallbacks")),
            (r#""fallback\u0073":[],"f\u0061llbacks":[1]"#.to_owned(), Some("f\\u0061llbacks")),
            (r#""Model":"x""#.to_owned(), Some("Model")),
            (r#""Models":["x"]"#.to_owned(), Some("Models")),
            (r#""MAX_TOKENS":7"#.to_owned(), Some("MAX_TOKENS")),
            (r#""ownWord":1,"ownword":1"#.to_owned(), Some("ownword")),
            (r#""ownWord":1,"own_word":1"#.to_owned(), None),
            (format!(r#"{many}"x":1"#), None),
            (format!(r#"{many}"field_3":1"#), Some("field_3")),
            (format!(r#"{many}"field_39":1"#), Some("field_39")),
        ] {
            let body = format!(r#"{{"model":"m",{more}}}"#);
            let looked = Dialect::OpenAiChat.peek(body.as_bytes(), PathSays::default());
            assert_eq!(looked.err().and_then(|refusal| refusal.param), refused.map(str::to_owned), "{body}");
        }
    }
}
