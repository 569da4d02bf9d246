//! A script that Redis runs: named by its digest, sent whole only to a node that does not know it.

use ::redis::Cmd;

/// A script. All keys that it touches are given to it, and lie in one slot.
#[derive(Debug)]
pub struct Script {
    source: &'static str,
    digest: String,
}

impl Script {
    /// Of this source, in Lua.
    #[must_use]
    pub fn new(source: &'static str) -> Self {
        Self { source, digest: ::redis::Script::new(source).get_hash().to_owned() }
    }

    /// The command that runs it by its digest.
    pub(super) fn by_digest(&self, keys: &[&str], arguments: &[&[u8]]) -> Cmd {
        command("EVALSHA", &self.digest, keys, arguments)
    }

    /// The command that brings it along; the node knows it from then on.
    pub(super) fn whole(&self, keys: &[&str], arguments: &[&[u8]]) -> Cmd {
        command("EVAL", self.source, keys, arguments)
    }
}

fn command(name: &str, script: &str, keys: &[&str], arguments: &[&[u8]]) -> Cmd {
    let mut command = Cmd::new();
    command.arg(name).arg(script).arg(keys.len()).arg(keys).arg(arguments);
    command
}
