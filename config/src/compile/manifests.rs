//! Manifests from files: what `kubectl apply` would take, read as strictly.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::document::{self, Node, NodeContent};
use super::inputs::{Fault, Inputs, Labels, Secret, SecretValue, Source};
use super::kinds::{Resource, Spec, steps};
use super::structure;
use super::verdict::{Finding, Severity};
use crate::{Kind, ObjectId};

const API_VERSION: &str = "sluicegate.dev/v1alpha1";
const TOP_LEVEL: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];

/// Reads files, given as name and text. What can be read becomes inputs, bad objects included: they come with what is
/// wrong with them. Findings are about what could not be told to be an object of ours; with an `Error` among them the
/// inputs are `incomplete`.
#[must_use]
pub fn read(files: &[(String, String)]) -> (Inputs<'static>, Vec<Finding>) {
    let mut reader = Reader::default();
    for (file, text) in files {
        for document in document::parse(text) {
            match document {
                Ok(node) => reader.object(file, &node),
                Err(unreadable) => reader.error(file, unreadable.line, unreadable.message),
            }
        }
    }
    reader.findings.sort();
    reader.inputs.incomplete = reader.findings.iter().any(|finding| finding.severity == Severity::Error);
    (reader.inputs, reader.findings)
}

#[derive(Default)]
struct Reader {
    inputs: Inputs<'static>,
    findings: Vec<Finding>,
}

impl Reader {
    fn error(&mut self, file: &str, line: u64, message: impl Into<String>) {
        self.find(file, line, Severity::Error, message.into());
    }

    fn find(&mut self, file: &str, line: u64, severity: Severity, message: String) {
        self.findings.push(Finding { file: file.to_owned(), line: Some(line), severity, message });
    }

    fn object(&mut self, file: &str, node: &Node) {
        let NodeContent::Map(_) = &node.content else {
            return self.error(file, node.line, "this is no object: begin it with apiVersion and kind");
        };
        let field = |name: &str| node.get(name).and_then(Node::as_str);
        let (Some(version), Some(kind)) = (field("apiVersion"), field("kind")) else {
            return self.error(file, node.line, "an object needs apiVersion and kind: write both, as strings");
        };
        let of_list = kind.strip_suffix("List").and_then(Kind::parse);
        match (version, kind) {
            (API_VERSION, _) if Kind::parse(kind).is_some() => {}
            ("v1", "Secret" | "Namespace") => {}
            // As `kubectl get -o yaml` writes them, and `kubectl apply` takes them.
            (API_VERSION, _) if of_list.is_some() => return self.list(file, kind, node),
            ("v1", "List" | "SecretList" | "NamespaceList") => return self.list(file, kind, node),
            (API_VERSION, _) => {
                let message = format!("there is no kind {kind:?} in {API_VERSION}: write {}", names(" or "));
                return self.error(file, node.line, message);
            }
            _ if version.starts_with("sluicegate.dev/") || Kind::parse(kind).is_some() => {
                let message = format!("apiVersion {version:?} of {kind} is not known here: write {API_VERSION}");
                return self.error(file, node.line, message);
            }
            _ => {
                let kinds = names(", ");
                let message = format!("{version} {kind} is passed over: only {kinds}, Secret and Namespace are read");
                return self.find(file, node.line, Severity::Warning, message);
            }
        }
        let id = match identity(node) {
            Ok(id) => id,
            Err(message) => return self.error(file, node.line, format!("{kind}: {message}")),
        };
        match kind {
            "Secret" => self.secret(file, id, node),
            "Namespace" => self.namespace(file, &id, node),
            _ => {
                if let Some(kind) = Kind::parse(kind) {
                    steps(kind).give(&mut self.inputs, resource(kind, file, id, node));
                }
            }
        }
    }

    /// Each of a list for itself; lists within lists are as deep as a document may be.
    fn list(&mut self, file: &str, kind: &str, node: &Node) {
        match node.get("items").map(|items| &items.content) {
            Some(NodeContent::Seq(items)) => items.iter().for_each(|item| self.object(file, item)),
            Some(NodeContent::Null) => {}
            _ => self.error(file, node.line, format!("{kind}: items must be a list of objects: write them under it")),
        }
    }

    /// Its labels, which an `allowedRoutes` may ask for.
    fn namespace(&mut self, file: &str, id: &ObjectId, node: &Node) {
        let name = id.0.rsplit('/').next().unwrap_or_default();
        let mut labels = Labels::new();
        let written = node.get("metadata").and_then(|metadata| metadata.get("labels"));
        if let Some(NodeContent::Map(fields)) = written.map(|node| &node.content) {
            for (key, value) in fields {
                let Some(text) = value.as_str() else {
                    let message = format!("Namespace {name}: the label {key} must be a string: put it in quotes");
                    self.error(file, value.line, message);
                    continue;
                };
                labels.insert(key.clone(), text.to_owned());
            }
        }
        if self.inputs.namespaces.contains_key(name) {
            let message = format!("Namespace {name} is there more than once: keep one of them");
            return self.error(file, node.line, message);
        }
        self.inputs.namespaces.insert(name.to_owned(), labels);
    }

    fn secret(&mut self, file: &str, id: ObjectId, node: &Node) {
        let mut secret = Secret::new();
        // `stringData` is written over `data`, as an API server does.
        for (field, encoded) in [("data", true), ("stringData", false)] {
            let Some(data) = node.get(field).filter(|data| data.content != NodeContent::Null) else { continue };
            let NodeContent::Map(entries) = &data.content else {
                self.error(file, data.line, format!("Secret {}: {field} must be a map of strings", id.0));
                continue;
            };
            for (key, value) in entries {
                let bytes = match value.as_str() {
                    Some(text) if encoded => base64(text),
                    text => text.map(|text| text.as_bytes().to_vec()),
                };
                match bytes {
                    Some(bytes) => drop(secret.insert(key.clone(), SecretValue::new(bytes))),
                    None if encoded => self.error(
                        file,
                        value.line,
                        format!(
                            "Secret {}: data.{key} is not base64: encode it, or write it as it is under stringData",
                            id.0
                        ),
                    ),
                    None => self.error(
                        file,
                        value.line,
                        format!("Secret {}: stringData.{key} must be a string: put it in quotes", id.0),
                    ),
                }
            }
        }
        if self.inputs.secrets.contains_key(&id) {
            return self.error(file, node.line, format!("Secret {} is there more than once: keep one of them", id.0));
        }
        self.inputs.secrets.insert(id, secret);
    }
}

/// The kinds, one after another.
fn names(between: &str) -> String {
    Kind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(between)
}

fn resource(kind: Kind, file: &str, id: ObjectId, node: &Node) -> Resource<'static> {
    let mut source = Source { file: Some(file.to_owned()), lines: BTreeMap::new() };
    node.lines("", &mut source.lines);
    Resource { id, created: 0, source, spec: spec(kind, node) }
}

fn spec(kind: Kind, node: &Node) -> Spec<'static> {
    let fault = |path: &str, message: String| Fault { path: path.to_owned(), message };
    let mut faults = Vec::new();
    if let NodeContent::Map(fields) = &node.content {
        let unknown = fields.iter().filter(|(name, _)| !TOP_LEVEL.contains(&name.as_str()));
        faults.extend(unknown.map(|(name, _)| {
            fault(name, format!("unknown field {name:?}: move it under spec, where it may belong, or remove it"))
        }));
    }
    let spec = match node.get("spec") {
        Some(spec) => structure::check(kind, spec),
        None => Err(vec![fault("spec", "Required value: write spec and what belongs in it".to_owned())]),
    };
    match spec {
        Ok(value) if faults.is_empty() => Spec::Tree(value),
        Ok(_) => Spec::Faulty(faults),
        Err(more) => Spec::Faulty(faults.into_iter().chain(more).collect()),
    }
}

/// `namespace/name`.
fn identity(node: &Node) -> Result<ObjectId, String> {
    let metadata = node.get("metadata").ok_or("metadata is missing: write metadata with a name")?;
    let field = |name: &str| match metadata.get(name).map(|node| (node, node.as_str())) {
        None => Ok(None),
        Some((node, None)) if node.content == NodeContent::Null => Ok(None),
        Some((_, None)) => Err(format!("metadata.{name} must be a string: put it in quotes")),
        Some((_, Some(text))) if is_name(text) => Ok(Some(text.to_owned())),
        Some((_, Some(text))) => {
            Err(format!("metadata.{name} {text:?} is no name: write lower-case letters, digits and dashes"))
        }
    };
    let name = field("name")?.ok_or("metadata.name is missing: give the object a name")?;
    let namespace = field("namespace")?.unwrap_or_else(|| "default".to_owned());
    Ok(ObjectId(format!("{namespace}/{name}")))
}

fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=253).contains(&text.len())
        && text.bytes().all(|byte| inner(byte) || byte == b'-' || byte == b'.')
        && text.bytes().next().is_some_and(inner)
        && text.bytes().last().is_some_and(inner)
}

/// Standard base64, white space passed over.
fn base64(text: &str) -> Option<Vec<u8>> {
    let text: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(text).ok()
}
