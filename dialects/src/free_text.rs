//! Custom tools, which take free text: for a provider that knows functions only each is a function of one text, and its calls are free
//! text again for the caller.

use serde_json::value::RawValue;

use crate::hub::{Fields, Tool};

/// The name of the one argument that stands for the free text.
const INPUT: &str = "input";
/// The beginning of such arguments, without white space.
const BEGINNING: &str = r#"{"input":""#;
/// White space before the text takes no more than this.
const LONGEST_BEGINNING: usize = 64;

/// The grammar of a free text.
#[derive(Debug)]
pub(crate) struct Grammar {
    /// The language that it is written in (`lark`).
    pub(crate) syntax: Option<String>,
    /// The grammar itself.
    pub(crate) definition: Option<String>,
}

/// A custom tool as a function of one text, whose grammar the model is told in words.
pub(crate) fn function(name: String, description: Option<String>, grammar: Option<Grammar>) -> Tool {
    let mut description = description.unwrap_or_default();
    if let Some(Grammar { syntax, definition: Some(definition) }) = grammar {
        let syntax = syntax.unwrap_or_else(|| "grammar".to_owned());
        description.push_str(&format!("\n\n`{INPUT}` must match this {syntax} grammar:\n{definition}"));
    }
    let schema = format!(
        r#"{{"type":"object","properties":{{"{INPUT}":{{"type":"string"}}}},"required":["{INPUT}"],"additionalProperties":false}}"#
    );
    Tool::Function {
        name,
        description: Some(description).filter(|text| !text.is_empty()),
        parameters: RawValue::from_string(schema).ok(),
        strict: None,
        cache: None,
        extra: Fields::new(),
    }
}

/// A free text as a function's arguments.
pub(crate) fn wrapped(input: &str) -> String {
    let text = serde_json::to_string(input).unwrap_or_default();
    format!("{{\"{INPUT}\":{text}}}")
}

/// The free text in a function's arguments. A model that wrote something else meant that.
pub(crate) fn unwrapped(arguments: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Wrapped {
        input: String,
    }
    serde_json::from_str::<Wrapped>(arguments).map_or_else(|_| arguments.to_owned(), |wrapped| wrapped.input)
}

/// Takes the free text out of a function's arguments as they come.
#[derive(Debug, Default)]
pub(crate) struct FreeText {
    place: Place,
    /// The first half of a letter that is written as two.
    half: Option<u16>,
}

/// The place that has been reached.
#[derive(Debug)]
enum Place {
    /// Before the text, with all until here.
    Before(String),
    /// In the text.
    Within,
    /// Behind a backslash.
    Escaped,
    /// In a letter's number, of which so many digits have come.
    Number(u8, u16),
    /// Behind the text.
    Behind,
    /// It is no free text in JSON, but what the model meant.
    Plain,
}

impl Default for Place {
    fn default() -> Self {
        Self::Before(String::new())
    }
}

impl FreeText {
    /// Takes the next piece of the arguments, cut anywhere, and gives what it says of the text.
    pub(crate) fn push(&mut self, piece: &str) -> String {
        let mut said = String::with_capacity(piece.len());
        for letter in piece.chars() {
            self.letter(letter, &mut said);
        }
        said
    }

    fn letter(&mut self, letter: char, said: &mut String) {
        match &mut self.place {
            Place::Before(before) => {
                before.push(letter);
                let dense: String = before.chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
                if dense == BEGINNING {
                    self.place = Place::Within;
                } else if !BEGINNING.starts_with(&dense) || before.len() > LONGEST_BEGINNING {
                    said.push_str(before);
                    self.place = Place::Plain;
                }
            }
            Place::Within => match letter {
                '\\' => self.place = Place::Escaped,
                '"' => {
                    self.one(None, said);
                    self.place = Place::Behind;
                }
                letter => self.one(Some(letter), said),
            },
            Place::Escaped => self.escaped(letter, said),
            Place::Number(digits, number) => {
                let digit = letter.to_digit(16).and_then(|digit| u16::try_from(digit).ok()).unwrap_or(0);
                *number = number.wrapping_mul(16).wrapping_add(digit);
                *digits += 1;
                if *digits == 4 {
                    let number = *number;
                    self.place = Place::Within;
                    self.unit(number, said);
                }
            }
            Place::Behind => {}
            Place::Plain => said.push(letter),
        }
    }

    fn escaped(&mut self, letter: char, said: &mut String) {
        self.place = Place::Within;
        let meant = match letter {
            'u' => return self.place = Place::Number(0, 0),
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'b' => '\u{8}',
            'f' => '\u{c}',
            '"' | '\\' | '/' => letter,
            // A backslash that the model forgot to write as two.
            other => {
                self.one(Some('\\'), said);
                other
            }
        };
        self.one(Some(meant), said);
    }

    /// A letter, or half of one, by its number.
    fn unit(&mut self, unit: u16, said: &mut String) {
        if let (Some(half), 0xdc00..=0xdfff) = (self.half, unit) {
            self.half = None;
            return said
                .extend(char::decode_utf16([half, unit]).map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER)));
        }
        self.one(None, said);
        match unit {
            0xd800..=0xdbff => self.half = Some(unit),
            unit => said.push(char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER)),
        }
    }

    /// A letter, behind a half that has stayed alone.
    fn one(&mut self, letter: Option<char>, said: &mut String) {
        said.extend(self.half.take().map(|_| char::REPLACEMENT_CHARACTER));
        said.extend(letter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_text_is_wrapped_and_unwrapped() {
        assert_eq!(unwrapped(&wrapped("*** Begin \"Patch\"\n")), "*** Begin \"Patch\"\n");
        assert_eq!(unwrapped("{\"other\":1}"), "{\"other\":1}");
    }

    #[test]
    fn it_is_taken_out_as_it_comes_wherever_that_is_cut() {
        for (arguments, text) in [
            (wrapped("*** \"a\\b\"\n\té 😀\u{1}"), "*** \"a\\b\"\n\té 😀\u{1}"),
            (r#" { "input" : "\ud83d\ude00\u00e9\/" , "x":"y"}"#.to_owned(), "😀é/"),
            (
                r#"{"input":"a\d
b\ud83d"}"#
                    .to_owned(),
                "a\\d\nb\u{fffd}",
            ),
            (r#"{"other":1}"#.to_owned(), r#"{"other":1}"#),
            ("*** Begin".to_owned(), "*** Begin"),
            ("{}".to_owned(), "{}"),
            (String::new(), ""),
        ] {
            for at in (0..=arguments.len()).filter(|at| arguments.is_char_boundary(*at)) {
                let mut reader = FreeText::default();
                let said = [reader.push(&arguments[..at]), reader.push(&arguments[at..])].concat();
                assert_eq!(said, text, "{arguments}, cut at {at}");
            }
        }
    }
}
