//! Names of tools: those in a namespace have one flat name with providers that know no namespaces.

use crate::call_id::short;
use crate::tool_names::LONGEST;

/// The flat name of a tool in a namespace: the two joined by two underscores. A name that would be too long is cut and
/// keeps a hash of the whole, so that two stay two.
pub(super) fn flat(namespace: &str, name: &str) -> String {
    short(&format!("{namespace}__{name}"), LONGEST).into_owned()
}

/// The name of the one argument that stands for the free text of a custom tool where the provider knows functions only.
pub(super) const INPUT: &str = "input";

/// A custom tool's free text as a function's arguments.
pub(super) fn wrapped(input: &str) -> String {
    let text = serde_json::to_string(input).unwrap_or_default();
    format!("{{\"{INPUT}\":{text}}}")
}

/// The free text in a function's arguments. A model that wrote something else meant that.
pub(super) fn unwrapped(arguments: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Wrapped {
        input: String,
    }
    serde_json::from_str::<Wrapped>(arguments).map_or_else(|_| arguments.to_owned(), |wrapped| wrapped.input)
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

    #[test]
    fn free_text_is_wrapped_and_unwrapped() {
        assert_eq!(unwrapped(&wrapped("*** Begin \"Patch\"\n")), "*** Begin \"Patch\"\n");
        assert_eq!(unwrapped("{\"other\":1}"), "{\"other\":1}");
    }
}
