//! Runs Helm, both of them, on the chart.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

/// Which Helm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Helm {
    Three,
    Four,
}

pub(crate) const BOTH: [Helm; 2] = [Helm::Three, Helm::Four];

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in a workspace").to_owned()
}

pub(crate) fn chart() -> PathBuf {
    root().join("charts/sluicegate")
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Compares with a file of the repository, or writes it when `UPDATE_GOLDEN` is set.
pub(crate) fn golden(path: &Path, text: &str) {
    #[expect(clippy::disallowed_methods, reason = "the one switch of all golden tests")]
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    if update {
        std::fs::write(path, text).expect("a golden file can be written");
    }
    let stored = std::fs::read_to_string(path).unwrap_or_default();
    if stored == text {
        return;
    }
    let line = stored.lines().zip(text.lines()).take_while(|(left, right)| left == right).count();
    let shown = |text: &str| text.lines().skip(line).take(4).collect::<Vec<_>>().join("\n  ");
    panic!(
        "{} has drifted in line {}; if that is meant: UPDATE_GOLDEN=1 cargo test -p sluicegate-tests --test chart\nthere:\n  {}\nnow:\n  {}",
        path.display(),
        line + 1,
        shown(&stored),
        shown(text)
    );
}

impl Helm {
    fn program(self) -> &'static Path {
        static BUILT: [OnceLock<PathBuf>; 2] = [const { OnceLock::new() }; 2];
        let (cell, version) = match self {
            Self::Three => (&BUILT[0], "3"),
            Self::Four => (&BUILT[1], "4"),
        };
        cell.get_or_init(|| {
            let script = root().join("tests/setup/helm.sh");
            let output = Command::new(script).arg(version).output().expect("tests/setup/helm.sh can be run");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).trim().into()
        })
    }

    /// Runs it with these words, away from any cluster and any settings of whoever runs the tests.
    pub(crate) fn run(self, words: &[&str]) -> Output {
        let home = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(self.program());
        for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(name, home.path());
        }
        command.env("KUBECONFIG", home.path().join("none")).current_dir(root());
        command.args(words).output().expect("Helm can be run")
    }

    /// The chart's text with these values and further words, or why there is none.
    pub(crate) fn text(self, values: &[&Path], more: &[&str]) -> Result<String, String> {
        let mut words =
            vec!["template", "sluicegate", "charts/sluicegate", "--namespace", "gateways", "--kube-version", "1.35.0"];
        let files: Vec<String> = values.iter().map(|path| path.display().to_string()).collect();
        for file in &files {
            words.extend(["--values", file]);
        }
        words.extend(more);
        let output = self.run(&words);
        let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() { Ok(out.into_owned()) } else { Err(error.into_owned()) }
    }

    /// The documents of a chart in this folder, released under this name in this namespace.
    pub(crate) fn released(self, chart: &Path, (name, namespace): (&str, &str), more: &[&str]) -> Vec<Value> {
        let chart = chart.display().to_string();
        let words = ["template", name, &chart, "--namespace", namespace, "--kube-version", "1.35.0"];
        let output = self.run(&[&words[..], more].concat());
        assert!(output.status.success(), "{name} {more:?}: {}", String::from_utf8_lossy(&output.stderr));
        documents(&String::from_utf8_lossy(&output.stdout))
    }

    /// The notes with these settings. Only an installation prints them, so they are rendered as a document of a copy.
    pub(crate) fn notes(self, set: &str) -> String {
        let (_folder, copy) = copied();
        std::fs::rename(copy.join("templates/NOTES.txt"), copy.join("files/notes")).expect("the chart has notes");
        let document = "notes: {{ tpl (.Files.Get \"files/notes\") . | toJson }}\n";
        std::fs::write(copy.join("templates/notes.yaml"), document).expect("written");
        let path = copy.display().to_string();
        let words = ["template", "sluicegate", &path, "--namespace", "gateways", "--kube-version", "1.35.0"];
        let output = self.run(&[&words[..], &["--show-only", "templates/notes.yaml", "--set", set]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let found = documents(&String::from_utf8_lossy(&output.stdout));
        found[0]["notes"].as_str().expect("notes").to_owned()
    }

    /// The chart's documents with these values and further words, in Helm's order.
    pub(crate) fn documents(self, values: &[&Path], more: &[&str]) -> Vec<Value> {
        let text = self.text(values, more).unwrap_or_else(|error| panic!("{values:?} {more:?}: {error}"));
        documents(&text)
    }
}

/// A copy of the chart, in a folder that goes with what is returned first.
pub(crate) fn copied() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let copied = Command::new("cp").arg("-r").arg(chart()).arg(folder.path()).status().expect("cp can be run");
    assert!(copied.success());
    let copy = folder.path().join("sluicegate");
    (folder, copy)
}

/// The documents of a YAML stream, empty ones left out.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    all.into_iter().filter(|document| !document.is_null()).collect()
}

/// `Kind/name`.
pub(crate) fn title(document: &Value) -> String {
    let word = |path: &str| document.pointer(path).and_then(Value::as_str).unwrap_or("?");
    format!("{}/{}", word("/kind"), word("/metadata/name"))
}

/// The one document of this title.
pub(crate) fn find<'a>(documents: &'a [Value], wanted: &str) -> &'a Value {
    documents.iter().find(|document| title(document) == wanted).unwrap_or_else(|| panic!("there is no {wanted}"))
}
