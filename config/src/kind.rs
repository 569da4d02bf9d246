//! The kinds of resources, as data: one row each. Whatever is kept per kind, in the operator and in proxies, is keyed by
//! these and walked in their order.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::consumer::Consumer;
use crate::ids::ObjectId;
use crate::snapshot::{Pool, Route, Snapshot};

/// A kind's row.
struct Row {
    name: &'static str,
    plural: &'static str,
    compiled: &'static str,
    credentials: Option<&'static str>,
    /// Its status counts the routes that name it.
    counts_routes: bool,
    /// Its keys are refused as soon as they can not be had any more: nothing of before is kept of them.
    takes_back: bool,
}

/// A compiled form, and the place that a snapshot has for its kind.
pub trait CompiledForm: Sized + 'static {
    /// Its kind.
    const KIND: Kind;

    /// The hash of its content.
    fn revision(&self) -> &str;

    /// All of its kind in a snapshot.
    fn all(snapshot: &Snapshot) -> &BTreeMap<ObjectId, Self>;

    /// As [`Self::all`], to be changed.
    fn all_mut(snapshot: &mut Snapshot) -> &mut BTreeMap<ObjectId, Self>;
}

/// Makes the types of its rows: `Kind: Form in field of a snapshot = names`. Their order is their rank: a kind comes before
/// those that name it.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident: $form:ident in $field:ident = $row:expr;)*) => {
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

        /// A compiled resource of some kind.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum CompiledObject {
            $($(#[$doc])* $kind(Box<$form>),)*
        }

        impl CompiledObject {
            /// Its kind.
            #[must_use]
            pub const fn kind(&self) -> Kind {
                match self {
                    $(Self::$kind(_) => Kind::$kind,)*
                }
            }
        }

        $(
            impl From<Box<$form>> for CompiledObject {
                fn from(form: Box<$form>) -> Self {
                    Self::$kind(form)
                }
            }

            impl CompiledForm for $form {
                const KIND: Kind = Kind::$kind;

                fn revision(&self) -> &str {
                    &self.revision
                }

                fn all(snapshot: &Snapshot) -> &BTreeMap<ObjectId, Self> {
                    &snapshot.$field
                }

                fn all_mut(snapshot: &mut Snapshot) -> &mut BTreeMap<ObjectId, Self> {
                    &mut snapshot.$field
                }
            }
        )*
    };
}

kinds! {
    /// `ProviderPool`.
    ProviderPool: Pool in pools = Row {
        name: "ProviderPool",
        plural: "providerpools",
        compiled: "pool",
        credentials: Some("credentials"),
        counts_routes: true,
        takes_back: false,
    };
    /// `LLMConsumer`.
    LlmConsumer: Consumer in consumers = Row {
        name: "LLMConsumer",
        plural: "llmconsumers",
        compiled: "consumer",
        credentials: None,
        counts_routes: false,
        takes_back: true,
    };
    /// `LLMRoute`.
    LlmRoute: Route in routes = Row {
        name: "LLMRoute",
        plural: "llmroutes",
        compiled: "route",
        credentials: None,
        counts_routes: false,
        takes_back: false,
    };
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

    /// True if its status counts the routes that name it.
    #[must_use]
    pub const fn counts_routes(self) -> bool {
        self.row().counts_routes
    }

    /// True if its keys are refused as soon as they can not be had any more: nothing of before is kept of them.
    #[must_use]
    pub const fn takes_back(self) -> bool {
        self.row().takes_back
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
