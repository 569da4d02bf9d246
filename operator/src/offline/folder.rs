//! Reads a folder of manifests, or one file, whatever is in it: bounded, and what cannot be read is named, all of it.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The endings of manifests' names.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];
/// The most files of a folder.
const MOST_FILES: usize = 20_000;
/// The most bytes of a file; more than any object may have.
const MOST_BYTES: u64 = 4 * 1024 * 1024;
/// The most bytes of all files.
const MOST_TOTAL: u64 = 128 * 1024 * 1024;

/// `(file name, text)`, sorted by name.
pub(super) type Files = Vec<(String, String)>;

/// The manifests of a folder (not of its sub-folders), or of one file: that may be a pipe, too.
///
/// # Errors
/// What could not be read, and why.
pub(super) fn read(path: &Path) -> Result<Files, Vec<String>> {
    let paths = list(path).map_err(|message| vec![message])?;
    let (mut files, mut errors, mut left) = (Files::new(), Vec::new(), MOST_TOTAL);
    for path in paths {
        match text(&path, &mut left) {
            Ok(text) => files.push((name(&path), text)),
            Err(message) => errors.push(unreadable(&path, &message)),
        }
    }
    if errors.is_empty() { Ok(files) } else { Err(errors) }
}

/// The files to read, sorted.
fn list(path: &Path) -> Result<Vec<PathBuf>, String> {
    let told = |error: std::io::Error| unreadable(path, &error.to_string());
    if !fs::metadata(path).map_err(told)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let (mut files, mut has_folders) = (Vec::new(), false);
    for entry in fs::read_dir(path).map_err(told)? {
        let path = entry.map_err(told)?.path();
        // Hidden names are editors' and Kubernetes' own (`..data`); what they hold is linked by visible ones.
        if path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b".")) {
            continue;
        }
        if path.is_dir() {
            has_folders = true;
        } else if path.extension().is_some_and(|is| ENDINGS.iter().any(|ending| is.eq_ignore_ascii_case(ending))) {
            files.push(path);
        }
    }
    if files.is_empty() {
        let hint = if has_folders { "; sub-folders are not read" } else { "" };
        return Err(format!("{} holds no .yaml, .yml or .json file{hint}", shown(path)));
    }
    if files.len() > MOST_FILES {
        return Err(format!("{} holds more than {MOST_FILES} manifests: check them folder by folder", shown(path)));
    }
    files.sort_unstable();
    // Of a folder only what can be read to its end: opening a pipe would wait for its writer.
    files
        .iter()
        .find(|file| fs::metadata(file).is_ok_and(|data| !data.is_file()))
        .map_or(Ok(files.clone()), |file| Err(unreadable(file, "it is not a regular file")))
}

fn text(path: &Path, left: &mut u64) -> Result<String, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let (mut bytes, limit) = (Vec::new(), MOST_BYTES.min(*left));
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if length > limit {
        return Err(if limit < MOST_BYTES {
            format!("the files have more than {MOST_TOTAL} bytes in all")
        } else {
            format!("it has more than {MOST_BYTES} bytes")
        });
    }
    *left -= length;
    String::from_utf8(bytes)
        .map_err(|error| format!("it is not UTF-8: byte {} is wrong", error.utf8_error().valid_up_to()))
}

fn unreadable(path: &Path, why: &str) -> String {
    format!("{} cannot be read: {why}", shown(path))
}

fn name(path: &Path) -> String {
    shown(Path::new(path.file_name().unwrap_or_default()))
}

/// A path as it may be printed: whoever names a file does not write to the reader's terminal.
fn shown(path: &Path) -> String {
    path.to_string_lossy().chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
