//! The kinds of resources, as data: one row each. Whatever is kept per kind, in the operator and in proxies, is keyed by
//! these and walked in their order.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind's row.
struct Row {
    name: &'static str,
    plural: &'static str,
    compiled: &'static str,
    credentials: Option<&'static str>,
}

/// Makes the type of its rows. Their order is their rank: a kind comes before those that name it.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $row:expr;)*) => {
        /// A kind of resource. Ordered by rank: what is named comes before what names it, is published before it, and goes
        /// after it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(into = "&'static str", try_from = "std::borrow::Cow<'_, str>")]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// All of them, by rank.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            const fn row(self) -> Row {
                match self {
                    $(Self::$kind => $row,)*
                }
            }
        }
    };
}

kinds! {
    /// `ProviderPool`.
    ProviderPool =
        Row { name: "ProviderPool", plural: "providerpools", compiled: "pool", credentials: Some("credentials") };
    /// `LLMRoute`.
    LlmRoute = Row { name: "LLMRoute", plural: "llmroutes", compiled: "route", credentials: None };
}

impl Kind {
    /// As it is written in manifests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().name
    }

    /// The resource, as the API calls it.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        self.row().plural
    }

    /// The content label of its compiled form.
    #[must_use]
    pub const fn compiled_label(self) -> &'static str {
        self.row().compiled
    }

    /// The content label of its credentials, if it has any.
    #[must_use]
    pub const fn credentials_label(self) -> Option<&'static str> {
        self.row().credentials
    }

    /// The kind of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Kind> for &'static str {
    fn from(kind: Kind) -> Self {
        kind.as_str()
    }
}

impl TryFrom<std::borrow::Cow<'_, str>> for Kind {
    type Error = String;

    fn try_from(name: std::borrow::Cow<'_, str>) -> Result<Self, String> {
        Self::parse(&name).ok_or_else(|| "a kind that is not known here".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn kinds_are_told_apart_by_each_of_their_names() {
        for names in [Kind::as_str, Kind::plural, Kind::compiled_label] {
            let told: BTreeSet<&str> = Kind::ALL.iter().map(|kind| names(*kind)).collect();
            assert_eq!(told.len(), Kind::ALL.len());
        }
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_string(kind).unwrap(), format!("{:?}", kind.as_str()));
            assert_eq!(serde_json::from_str::<Kind>(&format!("{:?}", kind.as_str())).ok(), Some(*kind));
        }
        assert!(serde_json::from_str::<Kind>("\"Pod\"").is_err());
        assert!(Kind::ALL.is_sorted());
    }
}
