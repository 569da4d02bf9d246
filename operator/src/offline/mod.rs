//! The same compile offline: prints what proxies would run on and what is to be said about the manifests, and the
//! CustomResourceDefinitions. For a look before a change is applied, and for a check of pull requests.

mod folder;

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use sluicegate_config::Snapshot;
use sluicegate_config::compile::{
    DeniedNetworks, Finding, Inputs, Kind, PriceList, Severity, Verdict, compile, manifests, steps,
};
use sluicegate_crds::schema;

use crate::settings::{Compile, CrdFormat, Crds, Output};

/// The outcome of a command, as its exit status says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// 0: all is well.
    Well,
    /// 1: something is refused.
    Refused,
    /// 2: something could not be read or written, or there was nothing to check.
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

/// The output as JSON or YAML.
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

/// The list of prices in a file.
fn prices(path: &Path) -> Result<PriceList, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    PriceList::parse(&text).map_err(|why| format!("{}: {why}", path.display()))
}

/// Compiles manifests and prints what comes of it.
///
/// # Errors
/// If what is printed cannot be written.
pub fn compile_manifests(settings: &Compile, out: &mut dyn Write, errors: &mut dyn Write) -> io::Result<Outcome> {
    let files = match folder::read(&settings.manifests) {
        Ok(files) => files,
        Err(messages) => {
            for message in messages {
                writeln!(errors, "error: {message}")?;
            }
            return Ok(Outcome::Unreadable);
        }
    };
    let prices = match settings.prices.as_deref().map(prices).transpose() {
        Ok(prices) => prices,
        Err(message) => {
            writeln!(errors, "error: --prices: {message}")?;
            return Ok(Outcome::Unreadable);
        }
    };
    let (mut inputs, findings) = manifests::read(&files);
    inputs.prices = prices.as_ref();
    inputs.model_claims = settings.model_claims.as_ref();
    inputs.denied = Arc::new(DeniedNetworks::everywhere().with(&settings.deny_networks, &settings.allow_networks));
    let compiled = compile(&inputs);
    let severities = findings.iter().map(|finding| finding.severity);
    let mut severities = severities.chain(compiled.verdicts.iter().map(|verdict| verdict.severity));
    let outcome = if severities.any(|severity| severity == Severity::Error) {
        Outcome::Refused
    } else if Kind::ALL.iter().all(|kind| steps(*kind).given(&inputs) == 0) {
        // A check that checks nothing, of the wrong folder say, must not pass.
        let path = settings.manifests.display();
        let kinds = Kind::ALL.iter().rev().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", no ");
        writeln!(errors, "error: {path} holds no {kinds}: there was nothing to check")?;
        Outcome::Unreadable
    } else {
        Outcome::Well
    };
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
            summary(&compiled.snapshot, &inputs, out)?;
        }
    }
    Ok(outcome)
}

/// Lists what compiles of each kind, those that others name last. A kind of which there is nothing is not counted.
fn summary(snapshot: &Snapshot, inputs: &Inputs<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut counts = Vec::new();
    for kind in Kind::ALL.iter().rev() {
        let (compiled, given) = (steps(*kind).all(snapshot), steps(*kind).given(inputs));
        for (id, revision) in &compiled {
            writeln!(out, "{kind} {} compiles to revision {revision}", id.0)?;
        }
        if given > 0 {
            counts.push(format!("{} of {given} {}s", compiled.len(), kind.compiled_label()));
        }
    }
    writeln!(out, "{} compile", listed(&counts))
}

/// `a, b and c`.
fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [firsts @ .., last] => format!("{} and {last}", firsts.join(", ")),
    }
}

/// Prints the CustomResourceDefinitions.
///
/// # Errors
/// If what is printed cannot be written.
pub fn print_crds(settings: &Crds, out: &mut dyn Write) -> io::Result<Outcome> {
    let definitions = schema::definitions()?;
    match settings.output {
        CrdFormat::Yaml => {
            for definition in &definitions {
                write!(out, "---\n{}", yaml(definition)?)?;
            }
        }
        CrdFormat::Json => {
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
