//! The cost of a model's tokens: by kind of token, for long prompts, in other service tiers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::Decimal;

/// Makes the types that have a rate for each kind of token, from the one table of them: per kind its name, its field, what it costs by,
/// and what it costs as where nothing is said. `named` is a type's own way to say the two that every price has.
macro_rules! rates {
    ($(($name:ident, $field:ident, $doc:literal, $default:literal)),* ; $output:ident, $output_field:ident, $output_doc:literal ;
     $(($later:ident, $later_field:ident, $later_doc:literal, $later_default:literal)),*) => {
        /// The cost of tokens, in US dollars per million tokens, as decimal strings with at most six decimals (`"2.50"`).
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct Price {
            /// Dollars per million input tokens that no prompt cache had.
            pub input_per_million: Decimal,
            $(
                #[doc = concat!($doc, " Default: as `", $default, "`.")]
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $field: Option<Decimal>,
            )*
            #[doc = $output_doc]
            pub $output_field: Decimal,
            $(
                #[doc = concat!($later_doc, " Default: as `", $later_default, "`.")]
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $later_field: Option<Decimal>,
            )*
            /// Prices of calls with long prompts: the one with the most tokens that the prompt exceeds holds for the whole call.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["overTokens"]))]
            pub long_context: Vec<LongContextPrice>,
            /// Prices in other service tiers than the usual one, by the tier that the provider's answer names. The cost of an answer
            /// from a tier that is left out is unknown.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub tiers: Option<TierPrices>,
        }

        rates!(@beside
            /// The prices of calls with long prompts; what is left out costs as in others.
            LongContextPrice {
                /// They hold where the prompt has more tokens than this, cached ones included.
                #[schemars(range(min = 1, max = 1_000_000_000))]
                pub over_tokens: u64,
            } $($field, $doc;)* $output_field, $output_doc; $($later_field, $later_doc;)*
        );

        rates!(@beside
            /// The prices of a service tier; what is left out costs as in the usual one, times `factor`.
            TierPrice {
                /// The price relative to the usual one's, such as `"0.5"`. Default: `"1"`.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub factor: Option<Decimal>,
            } $($field, $doc;)* $output_field, $output_doc; $($later_field, $later_doc;)*
        );

        /// The prices that are named, whichever of the three names them, each per million.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct NamedPrices<'a> {
            /// Input that no cache had.
            pub input: Option<&'a Decimal>,
            $(#[doc = concat!("`", stringify!($field), "`.")] pub $name: Option<&'a Decimal>,)*
            #[doc = concat!("`", stringify!($output_field), "`.")]
            pub $output: Option<&'a Decimal>,
            $(#[doc = concat!("`", stringify!($later_field), "`.")] pub $later: Option<&'a Decimal>,)*
        }

        rates!(@named Price LongContextPrice TierPrice : input, input_per_million; $($name, $field;)* $output, $output_field; $($later, $later_field;)*);
    };
    (@beside $(#[$about:meta])* $type:ident { $(#[$own_meta:meta])* pub $own:ident: $own_type:ty, } $($field:ident, $doc:literal;)*) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $type {
            $(#[$own_meta])*
            pub $own: $own_type,
            /// Dollars per million input tokens that no prompt cache had.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub input_per_million: Option<Decimal>,
            $(
                #[doc = $doc]
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $field: Option<Decimal>,
            )*
        }
    };
    (@named $type:ident $($types:ident)* : $($rest:tt)*) => {
        rates!(@one $type $($rest)*);
        rates!(@named $($types)* : $($rest)*);
    };
    (@named : $($rest:tt)*) => {};
    (@one $type:ident $($name:ident, $field:ident;)*) => {
        impl $type {
            /// The prices that it names.
            #[must_use]
            pub fn named(&self) -> NamedPrices<'_> {
                NamedPrices { $($name: (&self.$field).into(),)* }
            }
        }
    };
}

rates! {
    (cached_input, cached_input_per_million, "Dollars per million input tokens read from the provider's prompt cache.", "inputPerMillion"),
    (cache_write, cache_write_per_million, "Dollars per million input tokens written to the provider's prompt cache.", "inputPerMillion"),
    (cache_write_1h, cache_write_1h_per_million, "Dollars per million input tokens written there to be kept for an hour.", "cacheWritePerMillion");
    output, output_per_million, "Dollars per million output tokens.";
    (reasoning, reasoning_per_million, "Dollars per million output tokens of reasoning.", "outputPerMillion"),
    (audio_input, audio_input_per_million, "Dollars per million input tokens of audio.", "inputPerMillion"),
    (cached_audio, cached_audio_per_million, "Dollars per million input tokens of audio read from the prompt cache.", "cachedInputPerMillion"),
    (audio_output, audio_output_per_million, "Dollars per million output tokens of audio.", "outputPerMillion"),
    (image_input, image_input_per_million, "Dollars per million input tokens of images.", "inputPerMillion"),
    (image_output, image_output_per_million, "Dollars per million output tokens of images.", "outputPerMillion")
}

/// The service tiers that have prices of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TierPrices {
    /// Answers of the tier `batch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<TierPrice>,
    /// Answers of the tier `flex`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flex: Option<TierPrice>,
    /// Answers of the tier `priority`, and of Anthropic's fast mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<TierPrice>,
}
