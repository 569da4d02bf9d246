//! Who wrote what: counted from the API server's own audit log, which names the account of each request.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// The log.
#[derive(Debug, Clone)]
pub(crate) struct Audit {
    path: PathBuf,
}

/// A moment in the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment(u64);

/// Writes by resource (`configmaps`, `llmroutes/status`) and verb.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Writes(BTreeMap<(String, String), u64>);

/// A line of the log, as much of it as is looked at (audit.k8s.io/v1 Event).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    stage: String,
    verb: String,
    user: User,
    object_ref: Option<Reference>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    resource: String,
    #[serde(default)]
    subresource: Option<String>,
}

impl Audit {
    /// The log beside a kubeconfig of ours.
    pub(crate) fn beside(kubeconfig: &Path) -> Result<Self> {
        let path = kubeconfig.with_file_name("audit.log");
        ensure!(path.is_file(), "there is no audit log beside {}: the bench wants its own API server", path.display());
        Ok(Self { path })
    }

    /// Now.
    pub(crate) fn now(&self) -> Result<Moment> {
        Ok(Moment(std::fs::metadata(&self.path)?.len()))
    }

    /// What a ServiceAccount of a namespace has written since.
    ///
    /// # Errors
    /// The log cannot be read, or was begun anew meanwhile.
    pub(crate) fn since(&self, moment: Moment, (namespace, account): (&str, &str)) -> Result<Writes> {
        let mut file = File::open(&self.path).context("the audit log")?;
        ensure!(file.metadata()?.len() >= moment.0, "the audit log was begun anew");
        file.seek(SeekFrom::Start(moment.0))?;
        let username = format!("system:serviceaccount:{namespace}:{account}");
        let mut writes = Writes::default();
        for line in BufReader::new(file).lines() {
            writes.count(&line?, &username);
        }
        Ok(writes)
    }
}

impl Writes {
    /// Counts a line, if it is a write of this account that has ended.
    fn count(&mut self, line: &str, username: &str) {
        // The last line may be half written: it is counted the next time.
        let Ok(line) = serde_json::from_str::<Line>(line) else { return };
        let Some(of) = line.object_ref else { return };
        if line.user.username != username || line.stage != "ResponseComplete" {
            return;
        }
        let resource = of.subresource.map_or(of.resource.clone(), |sub| format!("{}/{sub}", of.resource));
        *self.0.entry((resource, line.verb)).or_default() += 1;
    }

    /// Of one resource.
    pub(crate) fn of(&self, resource: &str) -> u64 {
        self.0.iter().filter(|((name, _), _)| name == resource).map(|(_, count)| count).sum()
    }

    /// All but the renewals of the election's Lease.
    pub(crate) fn beside_the_lease(&self) -> u64 {
        self.0.iter().filter(|((name, _), _)| name != "leases").map(|(_, count)| count).sum()
    }
}

impl std::fmt::Display for Writes {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let each = self.0.iter().map(|((resource, verb), count)| format!("{count} {verb} {resource}"));
        out.write_str(&each.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(user: &str, verb: &str, stage: &str, of: &str) -> String {
        format!(
            r#"{{"kind":"Event","stage":"{stage}","verb":"{verb}","user":{{"username":"{user}"}},"objectRef":{of}}}"#
        )
    }

    #[test]
    fn writes_are_counted_by_whom_and_to_what() {
        let (map, status) =
            (r#"{"resource":"configmaps","name":"a"}"#, r#"{"resource":"llmroutes","subresource":"status"}"#);
        let lines = [
            line("me", "patch", "ResponseComplete", map),
            line("me", "patch", "ResponseComplete", map),
            line("me", "patch", "ResponseComplete", status),
            line("me", "update", "ResponseComplete", r#"{"resource":"leases"}"#),
            line("you", "patch", "ResponseComplete", map),
            line("me", "patch", "Panic", map),
            line("me", "patch", "ResponseComplete", "null"),
            r#"{"kind":"Event","sta"#.to_owned(),
        ];
        let mut writes = Writes::default();
        lines.iter().for_each(|line| writes.count(line, "me"));
        assert_eq!((writes.of("configmaps"), writes.of("llmroutes/status"), writes.of("events")), (2, 1, 0));
        assert_eq!(writes.beside_the_lease(), 3);
        assert_eq!(writes.to_string(), "2 patch configmaps, 1 update leases, 1 patch llmroutes/status");
    }

    #[test]
    fn a_moment_divides_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let of = line("system:serviceaccount:ns:op", "patch", "ResponseComplete", r#"{"resource":"configmaps"}"#);
        std::fs::write(&path, format!("{of}\n")).unwrap();
        let audit = Audit::beside(&folder.path().join("kubeconfig")).unwrap();
        let moment = audit.now().unwrap();
        assert_eq!(audit.since(moment, ("ns", "op")).unwrap().beside_the_lease(), 0);
        std::fs::write(&path, format!("{of}\n{of}\n{of}\n")).unwrap();
        assert_eq!(audit.since(moment, ("ns", "op")).unwrap().beside_the_lease(), 2);
        std::fs::write(&path, "").unwrap();
        assert!(audit.since(moment, ("ns", "op")).is_err());
    }
}
