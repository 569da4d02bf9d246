//! The lines of a stream of server-sent events, whole, for whoever changes what some of them say.

use memchr::memchr;

/// The longest line of a stream that is held until its end has come; a longer one passes as it is.
pub(super) const LONGEST: usize = 1 << 20;

/// Holds the beginning of a line until its end has come.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The beginning of a line whose end is still to come.
    line: Vec<u8>,
    /// True while the rest of a line passes that is too long.
    passes: bool,
}

impl Lines {
    /// Takes the next bytes, cut anywhere, and appends what `told` makes of each line.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>, mut told: impl FnMut(&[u8], &mut Vec<u8>)) {
        let mut rest = bytes;
        while let Some((line, more)) = memchr(b'\n', rest).and_then(|end| rest.split_at_checked(end + 1)) {
            if std::mem::take(&mut self.passes) {
                out.extend_from_slice(line);
            } else if self.line.is_empty() {
                told(line, out);
            } else {
                self.line.extend_from_slice(line);
                told(&std::mem::take(&mut self.line), out);
            }
            rest = more;
        }
        if !rest.is_empty() && (self.passes || self.line.len() + rest.len() > LONGEST) {
            self.passes = true;
            self.finish(out, told);
            out.extend_from_slice(rest);
        } else {
            self.line.extend_from_slice(rest);
        }
    }

    /// The stream has come to its end: appends what was held.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>, mut told: impl FnMut(&[u8], &mut Vec<u8>)) {
        told(&std::mem::take(&mut self.line), out);
    }

    /// The memory that a line takes whose end is still to come.
    pub(super) fn held(&self) -> usize {
        self.line.len()
    }
}
