//! The checkout as the tidy tests see it.

use std::path::{Path, PathBuf};

/// The crates of the workspace, by folder.
pub(crate) const CRATES: &[&str] =
    &["crds", "config", "dialects", "simulator", "operator", "proxy", "program", "tests"];

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in a workspace").to_owned()
}

/// A source file.
pub(crate) struct Source {
    /// Relative to the root.
    pub path: String,
    /// All of it.
    pub text: String,
}

impl Source {
    /// The lines that ship: up to the tests at the end of the file.
    pub(crate) fn production(&self) -> &str {
        self.text.find("\n#[cfg(test)]").map_or(self.text.as_str(), |end| &self.text[..end])
    }

    /// Whether nothing of it ships.
    pub(crate) fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs") || self.path.contains("/benches/")
    }
}

/// The Rust sources of a crate's `src`, sorted.
pub(crate) fn sources(krate: &str) -> Vec<Source> {
    files(&root().join(krate).join("src"), "rs")
}

/// Files with an ending, below a folder, sorted.
pub(crate) fn files(folder: &Path, ending: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(folder, ending, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(folder: &Path, ending: &str, found: &mut Vec<Source>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a folder can be listed").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !matches!(name.as_str(), "target" | "node_modules" | ".git") {
            collect(&path, ending, found);
        } else if path.extension().is_some_and(|extension| extension == ending) {
            let text = std::fs::read_to_string(&path).expect("a source is UTF-8");
            let path = path.strip_prefix(root()).expect("it is in the checkout").to_string_lossy().into_owned();
            found.push(Source { path, text });
        }
    }
}
