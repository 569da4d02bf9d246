//! Reads a folder of manifests, as `kubectl apply -f DIR` does: its own `*.yaml`, `*.yml` and `*.json`, no sub-folders.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::report::SourceProblem;

/// The most files of a folder.
const MOST_FILES: usize = 20_000;
/// The most bytes of a file; more than any object may have.
const MOST_BYTES: u64 = 4 * 1024 * 1024;
/// The most bytes of all files.
const MOST_TOTAL: u64 = 128 * 1024 * 1024;

/// The content of a folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Folder {
    /// `(file name, text)`, sorted by name.
    pub(super) files: Vec<(String, String)>,
    /// Names of files that are there and could not be read: what they last said still counts.
    pub(super) unread: Vec<String>,
    /// The mistakes.
    pub(super) problems: Vec<SourceProblem>,
}

/// Reads a folder, or one file. Never fails: what could not be read is a problem.
pub(super) fn read(path: &Path) -> Folder {
    let mut folder = Folder::default();
    let mut left = MOST_TOTAL;
    let (files, sub_folders) = match list(path) {
        Ok(listed) => listed,
        Err(error) => {
            folder
                .problems
                .push(SourceProblem::of_source("NotRead", format!("{} cannot be read: {error}", path.display())));
            return folder;
        }
    };
    if files.is_empty() {
        let hint = if sub_folders > 0 { " (sub-folders are not read)" } else { "" };
        let message = format!("{} holds no .yaml, .yml or .json file{hint}", path.display());
        folder.problems.push(SourceProblem::of_source("NoManifests", message));
    }
    for (at, file) in files.iter().enumerate() {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let text =
            if at < MOST_FILES { read_file(file, &mut left) } else { Err(format!("more than {MOST_FILES} files")) };
        match text {
            Ok(Some(text)) => folder.files.push((name, text)),
            Ok(None) => {}
            Err(message) => {
                folder.problems.push(SourceProblem::of_file(&name, "NotRead", message));
                folder.unread.push(name);
            }
        }
    }
    // An editor or a full disk may have left them so; a folder without a file is believed no more.
    if folder.unread.is_empty() && !folder.files.is_empty() && folder.files.iter().all(|(_, text)| is_blank(text)) {
        let message = format!("{} holds files, and nothing in them", path.display());
        folder.problems.push(SourceProblem::of_source("NoManifests", message));
        folder.files.clear();
    }
    folder
}

impl Folder {
    /// Files that held something before and are empty now are being written, or were left so by a full disk: what they last said still
    /// counts. `held` has the names of those that hold something.
    pub(super) fn keep_emptied(&mut self, held: &mut BTreeSet<String>) {
        let is_empty = |text: &str| text.trim_start_matches('\u{feff}').trim().is_empty();
        for (name, text) in &self.files {
            if !is_empty(text) {
                held.insert(name.clone());
            } else if held.contains(name) {
                let message = "is empty: what it held before serves on; remove the file, or leave a comment in it, to withdraw that";
                self.problems.push(SourceProblem::of_file(name, "NotRead", message.to_owned()));
                self.unread.push(name.clone());
            }
        }
        let there = |name: &String| self.files.iter().any(|(file, _)| file == name) || self.unread.contains(name);
        held.retain(there);
    }
}

fn is_blank(text: &str) -> bool {
    let mut lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    lines.all(|line| line.is_empty() || line.starts_with('#') || matches!(line, "---" | "..."))
}

/// The manifest files under a path, sorted, and how many sub-folders there are.
fn list(path: &Path) -> Result<(Vec<PathBuf>, usize), std::io::Error> {
    if fs::metadata(path)?.is_file() {
        return Ok((vec![path.to_owned()], 0));
    }
    let (mut files, mut sub_folders) = (Vec::new(), 0);
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        // Hidden names are editors' and Kubernetes' own (`..data`); what they hold is linked by visible ones.
        if path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b".")) {
            continue;
        }
        if path.is_dir() {
            sub_folders += 1;
        } else if is_manifest(&path) {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok((files, sub_folders))
}

fn is_manifest(path: &Path) -> bool {
    let endings = ["yaml", "yml", "json"];
    path.extension().is_some_and(|ending| endings.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

/// A file's text; `None` when it is gone since it was listed.
fn read_file(path: &Path, left: &mut u64) -> Result<Option<String>, String> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        // A link whose target is gone is an error; a file that is gone is not.
        Err(error) if error.kind() == ErrorKind::NotFound && fs::symlink_metadata(path).is_err() => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    // Opening a pipe would wait for its writer.
    if !metadata.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let limit = MOST_BYTES.min(*left);
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if length > limit {
        return Err(if limit < MOST_BYTES {
            format!("the files are larger than {MOST_TOTAL} bytes in all")
        } else {
            format!("is larger than {MOST_BYTES} bytes")
        });
    }
    *left -= length;
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|error| format!("is not UTF-8: byte {} is wrong", error.utf8_error().valid_up_to()))
}
