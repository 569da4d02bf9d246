//! The same compile offline: prints what proxies would run on and what is to be said about the manifests, and the
//! CustomResourceDefinitions. For a look before a change is applied, and for a check of pull requests.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use sluicegate_config::Snapshot;
use sluicegate_config::compile::{Finding, Severity, Verdict, compile, manifests};
use sluicegate_crds::schema;

use crate::settings::{Compile, Crds, Form, Output};

/// The most bytes of a file; more than any object may have.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// How a command went, as its exit status says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// 0: all is well.
    Well,
    /// 1: something is refused.
    Refused,
    /// 2: something could not be read or written.
    Unreadable,
}

impl Outcome {
    /// The exit status.
    #[must_use]
    pub const fn status(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::Refused => 1,
            Self::Unreadable => 2,
        }
    }
}

/// What is printed as JSON or YAML.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    snapshot: &'a Snapshot,
    verdicts: Vec<Said<'a>>,
}

/// One thing to say, about an object or a file.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Said<'a> {
    severity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    message: &'a str,
}

impl<'a> From<&'a Verdict> for Said<'a> {
    fn from(verdict: &'a Verdict) -> Self {
        let Verdict { kind, object, file, line, path, severity, reason, message } = verdict;
        Self {
            severity: severity.to_string(),
            kind: Some(kind.as_str()),
            object: Some(&object.0),
            file: file.as_deref(),
            line: *line,
            path: Some(path.as_str()).filter(|path| !path.is_empty()),
            reason: Some(reason.as_str()),
            message,
        }
    }
}

impl<'a> From<&'a Finding> for Said<'a> {
    fn from(finding: &'a Finding) -> Self {
        let Finding { file, line, severity, message } = finding;
        let (kind, object, path, reason) = (None, None, None, None);
        Self { severity: severity.to_string(), kind, object, file: Some(file), line: *line, path, reason, message }
    }
}

/// Compiles manifests and prints what comes of it.
///
/// # Errors
/// If what is printed cannot be written.
pub fn compile_manifests(settings: &Compile, out: &mut dyn Write, errors: &mut dyn Write) -> io::Result<Outcome> {
    let files = match read(&settings.manifests) {
        Ok(files) => files,
        Err(message) => {
            writeln!(errors, "error: {message}")?;
            return Ok(Outcome::Unreadable);
        }
    };
    let (inputs, findings) = manifests::read(&files);
    let compiled = compile(&inputs);
    let refused = findings.iter().map(|finding| finding.severity);
    let refused = refused.chain(compiled.verdicts.iter().map(|verdict| verdict.severity));
    let outcome =
        if refused.into_iter().any(|severity| severity == Severity::Error) { Outcome::Refused } else { Outcome::Well };
    let said = findings.iter().map(Said::from).chain(compiled.verdicts.iter().map(Said::from)).collect();
    let report = Report { snapshot: &compiled.snapshot, verdicts: said };
    match settings.output {
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, &report)?;
            writeln!(out)?;
        }
        Output::Yaml => write!(out, "{}", yaml(&report)?)?,
        Output::Text => {
            for finding in &findings {
                writeln!(out, "{finding}")?;
            }
            for verdict in &compiled.verdicts {
                writeln!(out, "{verdict}")?;
            }
            summary(&compiled.snapshot, &inputs.routes.len(), &inputs.pools.len(), out)?;
        }
    }
    Ok(outcome)
}

fn summary(snapshot: &Snapshot, routes: &usize, pools: &usize, out: &mut dyn Write) -> io::Result<()> {
    for (id, route) in &snapshot.routes {
        writeln!(out, "LLMRoute {} compiles to revision {}", id.0, route.revision)?;
    }
    for (id, pool) in &snapshot.pools {
        writeln!(out, "ProviderPool {} compiles to revision {}", id.0, pool.revision)?;
    }
    writeln!(out, "{} of {routes} routes and {} of {pools} pools compile", snapshot.routes.len(), snapshot.pools.len())
}

/// Prints the CustomResourceDefinitions.
///
/// # Errors
/// If what is printed cannot be written.
pub fn print_crds(settings: &Crds, out: &mut dyn Write) -> io::Result<Outcome> {
    let definitions = schema::definitions()?;
    match settings.output {
        Form::Yaml => {
            for definition in &definitions {
                write!(out, "---\n{}", yaml(definition)?)?;
            }
        }
        Form::Json => {
            let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": definitions });
            serde_json::to_writer_pretty(&mut *out, &list)?;
            writeln!(out)?;
        }
    }
    Ok(Outcome::Well)
}

fn yaml<T: Serialize>(value: &T) -> io::Result<String> {
    serde_saphyr::to_string(value).map_err(io::Error::other)
}

/// The manifests of a folder, or one file: `(file name, text)`, sorted by name.
fn read(path: &Path) -> Result<Vec<(String, String)>, String> {
    let told = |path: &Path, error: &dyn std::fmt::Display| format!("{} cannot be read: {error}", path.display());
    let mut files = Vec::new();
    if fs::metadata(path).map_err(|error| told(path, &error))?.is_file() {
        files.push(path.to_owned());
    } else {
        for entry in fs::read_dir(path).map_err(|error| told(path, &error))? {
            let file = entry.map_err(|error| told(path, &error))?.path();
            let is_hidden = file.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
            let is_manifest = file.extension().is_some_and(|e| ["yaml", "yml", "json"].iter().any(|known| e == *known));
            if !is_hidden && is_manifest && file.is_file() {
                files.push(file);
            }
        }
    }
    if files.is_empty() {
        return Err(format!("{} holds no .yaml, .yml or .json file", path.display()));
    }
    files.sort_unstable();
    files
        .iter()
        .map(|file| {
            if fs::metadata(file).map_err(|error| told(file, &error))?.len() > MOST_BYTES {
                return Err(told(file, &format!("it has more than {MOST_BYTES} bytes")));
            }
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            fs::read_to_string(file).map(|text| (name, text)).map_err(|error| told(file, &error))
        })
        .collect()
}
