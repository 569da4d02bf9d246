//! A list of models and the pages of one: the parts that do not depend on a dialect.

use std::collections::BTreeSet;

use crate::codec::Refusal;

/// A model of a list, and what is known of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListedModel {
    /// Its name.
    pub name: String,
    /// Since when it is there, in seconds since 1970.
    pub created: i64,
    /// The name that people are shown; `None`: its name.
    pub display_name: Option<String>,
    /// The most tokens that a prompt and its answer may have together.
    pub context_window: Option<u64>,
    /// The most tokens that it answers with.
    pub max_output: Option<u64>,
    /// The forms that it reads; empty: nobody has said.
    pub input: BTreeSet<Modality>,
    /// The forms that it writes; empty: nobody has said.
    pub output: BTreeSet<Modality>,
    /// Its abilities, as far as anybody has said them.
    pub capabilities: BTreeSet<ModelCapability>,
    /// True if anybody who serves it offers vectors, of whatever models; `None`: nobody has said.
    pub vectors_offered: Option<bool>,
    /// The cost of its tokens.
    pub price: Option<TokenPrices>,
}

/// The cost of a token by its kind, in picodollars (10⁻¹² USD).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenPrices {
    /// Input that no cache had.
    pub input: u64,
    /// Output.
    pub output: u64,
    /// Input read from the provider's prompt cache.
    pub cached_input: u64,
    /// Input written there.
    pub cache_write: u64,
    /// Output of reasoning, where that costs otherwise.
    pub reasoning: Option<u64>,
}

/// A form in which a model reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Modality {
    /// Text.
    Text,
    /// Pictures.
    Image,
    /// Documents.
    File,
    /// Sound.
    Audio,
    /// Moving pictures.
    Video,
}

impl Modality {
    /// The word that lists have for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Image => "image",
            Self::File => "file",
            Self::Audio => "audio",
            Self::Video => "video",
        }
    }

    /// The one of a word, whatever its case; `None`: it is not known.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        let same = |other: &str| word.eq_ignore_ascii_case(other);
        match () {
            () if same("text") => Some(Self::Text),
            () if same("image") => Some(Self::Image),
            () if same("file") || same("pdf") => Some(Self::File),
            () if same("audio") => Some(Self::Audio),
            () if same("video") => Some(Self::Video),
            () => None,
        }
    }
}

/// An ability of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ModelCapability {
    /// It calls tools.
    Tools,
    /// It keeps to a JSON schema.
    StructuredOutput,
    /// It thinks before it answers.
    Thinking,
    /// It makes vectors of texts, and no answers.
    Embeddings,
}

impl ListedModel {
    /// The name that people are shown.
    pub(crate) fn shown(&self) -> &str {
        self.display_name.as_deref().unwrap_or(&self.name)
    }

    /// True if anybody has said what it reads, writes or can do.
    pub(crate) fn is_described(&self) -> bool {
        !(self.input.is_empty() && self.output.is_empty() && self.capabilities.is_empty())
    }

    /// True if it has an ability.
    #[must_use]
    pub fn can(&self, capability: ModelCapability) -> bool {
        self.capabilities.contains(&capability)
    }
}

/// A page of a provider's list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelPage {
    /// Its models.
    pub models: Vec<ListedModel>,
    /// The token of the page behind it; `None`: it is the last.
    pub next: Option<String>,
}

/// Writes the list, or the part of it that a query asks for.
type WriteList = fn(models: &[ListedModel], query: Option<&str>) -> Result<Vec<u8>, Refusal>;

/// The shape in which a dialect has models.
#[derive(Clone, Copy)]
pub(crate) struct ModelShape {
    /// One model.
    pub(crate) one: fn(&ListedModel) -> Vec<u8>,
    /// The list, or the part of it that a query asks for. Errors: the query makes no sense.
    pub(crate) list: WriteList,
    /// A page of a provider's list; `None`: it is none.
    pub(crate) read: fn(&[u8]) -> Option<ModelPage>,
}

/// A cost in picodollars as a decimal number of dollars.
pub(crate) fn dollars(pico: u64) -> String {
    const ONE: u64 = 1_000_000_000_000;
    let (whole, rest) = (pico / ONE, pico % ONE);
    let rest = format!("{rest:012}");
    let rest = rest.trim_end_matches('0');
    if rest.is_empty() { whole.to_string() } else { format!("{whole}.{rest}") }
}

/// Picodollars of a decimal number of dollars, digits beyond them left out; `None`: it is none, or no price.
pub(crate) fn picodollars(text: &str) -> Option<u64> {
    const DECIMALS: usize = 12;
    let text = text.trim();
    // Small numbers come as `1.5e-06` too.
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok().filter(|exponent| exponent.abs() < 20)?),
        None => (text, 0),
    };
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + rest.len() > 30 || (whole.is_empty() && rest.is_empty()) || !is_number(whole) || !is_number(rest) {
        return None;
    }
    let scale = i32::try_from(DECIMALS).ok()? + exponent - i32::try_from(rest.len()).ok()?;
    let number: u128 = format!("{whole}{rest}").parse().ok()?;
    let power = 10_u128.checked_pow(scale.unsigned_abs())?;
    let pico = if scale >= 0 { number.checked_mul(power)? } else { number / power };
    u64::try_from(pico).ok()
}

/// The value of a query's member, still as it was sent; of several the last that says anything.
pub(crate) fn member<'q>(query: Option<&'q str>, names: &[&str]) -> Option<&'q str> {
    let pairs = query.into_iter().flat_map(|query| query.split('&')).filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, value)| names.contains(name) && !value.is_empty()).map(|(_, value)| value).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_written_and_read_to_the_picodollar() {
        for (pico, text) in [
            (2_500_000, "0.0000025"),
            (0, "0"),
            (1_000_000_000_000, "1"),
            (1_250_000_000_001, "1.250000000001"),
            (20, "0.00000000002"),
        ] {
            assert_eq!(dollars(pico), text);
            assert_eq!(picodollars(text), Some(pico), "{text}");
        }
        for (text, pico) in [
            ("2.5e-06", Some(2_500_000)),
            ("1E-12", Some(1)),
            ("1e-13", Some(0)),
            ("3", Some(3_000_000_000_000)),
            ("-1", None),
            ("", None),
            ("free", None),
            ("1e99", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(picodollars(text), pico, "{text}");
        }
    }

    #[test]
    fn of_a_members_values_the_last_counts() {
        assert_eq!(member(Some("a=1&b=2&a=3&a="), &["a"]), Some("3"));
        assert_eq!(member(Some("a"), &["a"]), None);
        assert_eq!(member(None, &["a"]), None);
    }
}
