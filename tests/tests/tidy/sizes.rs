//! A file is one idea: past 600 lines it is two. Its first line says which.

use crate::tree::{CRATES, files, root, sources};

const LINES: usize = 600;

#[test]
fn no_file_is_two_ideas() {
    for krate in CRATES {
        for source in sources(krate).iter().filter(|source| !source.is_test()) {
            let lines = source.production().lines().count();
            assert!(lines <= LINES, "{} has {lines} lines that ship; more than {LINES} is two ideas", source.path);
        }
    }
}

#[test]
fn every_file_says_first_what_it_is() {
    for krate in CRATES {
        for source in files(&root().join(krate), "rs") {
            if source.path.contains("/testdata/") {
                continue;
            }
            let first = source.text.lines().next().unwrap_or_default();
            let said = first.strip_prefix("//! ").is_some_and(|said| said.len() > 8);
            assert!(said, "{}: the first line must say what the file is, not {first:?}", source.path);
        }
    }
}

#[test]
fn no_room_has_a_name_that_says_nothing() {
    for krate in CRATES {
        for source in sources(krate) {
            for name in ["utils", "util", "helpers", "common", "types", "misc"] {
                let (file, folder) = (format!("/{name}.rs"), format!("/{name}/"));
                assert!(
                    !source.path.ends_with(&file) && !source.path.contains(&folder),
                    "{}: call it what it is",
                    source.path
                );
            }
        }
    }
}

#[test]
fn nothing_is_switched_off_or_left_for_later() {
    // Put together here, so that this file does not find itself.
    let words = [
        "todo".to_owned() + "!(",
        "unimplemented".to_owned() + "!(",
        "#[".to_owned() + "ignore",
        "FIX".to_owned() + "ME",
    ];
    for krate in CRATES {
        for source in files(&root().join(krate), "rs") {
            for word in &words {
                assert!(!source.text.contains(word.as_str()), "{} holds {word}", source.path);
            }
        }
    }
}
