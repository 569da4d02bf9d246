//! Dialects are told apart in few places: everywhere else a dialect is asked, and not compared.

use crate::tree::{CRATES, Source, sources};

/// The files, or the folders, that may name any dialect: the list of them, the one `match`, the tables of APIs, and what must hold for any
/// bytes, which knows the exceptions.
const MAY_NAME_ANY: &[&str] =
    &["dialects/src/dialect.rs", "dialects/src/dispatch/", "dialects/src/fuzzing/", "proxy/src/api/"];

/// The dialects that a file's shipping lines name, with their lines.
fn named(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    let lines = source.production().lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    lines.flat_map(|(number, line)| {
        line.split("Dialect::").skip(1).filter_map(move |rest| {
            let name = rest.split(|letter: char| !letter.is_alphanumeric()).next()?;
            let is_variant = name.chars().next()?.is_uppercase() && name.chars().any(char::is_lowercase);
            is_variant.then_some((number + 1, name))
        })
    })
}

/// `true` for a dialect's own folder: `openai_chat` may name `OpenAiChat`.
fn is_its_own(path: &str, name: &str) -> bool {
    let folder = path.strip_prefix("dialects/src/").and_then(|inside| inside.split('/').next());
    folder.is_some_and(|folder| folder.replace('_', "") == name.to_lowercase())
}

#[test]
fn dialects_are_named_in_few_places() {
    for krate in CRATES {
        for source in sources(krate).iter().filter(|source| !source.is_test()) {
            if MAY_NAME_ANY.iter().any(|place| source.path.starts_with(place)) {
                continue;
            }
            for (number, name) in named(source) {
                let path = &source.path;
                assert!(
                    is_its_own(path, name),
                    "{path}:{number} names {name}: ask the dialect, or put a row into a table"
                );
            }
        }
    }
}

#[test]
fn names_of_dialects_are_found() {
    let text = "use Dialect;\n// Dialect::OpenAiChat\nlet a = Dialect::AnthropicMessages;\nDialect::ALL;\nDialect::of_code(1);";
    let source = Source { path: String::new(), text: text.to_owned() };
    assert_eq!(named(&source).collect::<Vec<_>>(), [(3, "AnthropicMessages")]);
    assert!(is_its_own("dialects/src/openai_chat/reply.rs", "OpenAiChat"));
    assert!(!is_its_own("dialects/src/openai_chat/reply.rs", "AnthropicMessages"));
    assert!(!is_its_own("proxy/src/call/reply.rs", "OpenAiChat"));
}
