//! Names of tools: those in a namespace have one flat name with providers that know no namespaces.

use crate::call_id::short;
use crate::tool_names::LONGEST;

/// The flat name of a tool in a namespace: the two joined by two underscores. A name that would be too long is cut and
/// keeps a hash of the whole, so that two stay two.
pub(super) fn flat(namespace: &str, name: &str) -> String {
    short(&format!("{namespace}__{name}"), LONGEST).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_names_are_short_and_stay_apart() {
        assert_eq!(flat("agents", "spawn"), "agents__spawn");
        let (one, other) = (flat(&"n".repeat(70), "a"), flat(&"n".repeat(70), "b"));
        assert!(one.len() <= LONGEST && other.len() <= LONGEST && one != other, "{one} {other}");
        assert!(flat(&"é".repeat(40), "a").len() <= LONGEST);
    }
}
