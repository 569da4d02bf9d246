//! The cache as a listener of a stream: it records what passes, and keeps it if it comes whole.

use bytes::Bytes;
use sluicegate_dialects::hub::Usage;

use crate::cache::{Lead, Recorder};
use crate::memory::{Charge, Purpose};

use super::transcoder::Transcoder;
use super::write_buffer::WriteBuffer;

/// The cache, listening or not.
pub(super) struct CacheListener {
    recorder: Option<Recorder>,
    /// The bytes that came before the first token; `None`: nobody wants it.
    early: Option<Vec<u8>>,
    /// The number of bytes that came.
    came: usize,
    /// The memory of what is recorded.
    charge: Charge,
}

impl CacheListener {
    /// It does not listen yet. `early`: what comes before it does is to be kept for it.
    pub(super) fn new(early: bool, charge: Charge) -> Self {
        Self { recorder: None, early: early.then(Vec::new), came: 0, charge }
    }

    /// From now on it listens, and is given what came before.
    pub(super) fn begin(&mut self, lead: Lead, transcoder: &Transcoder, out: &mut WriteBuffer) {
        let mut recorder = lead.recorder();
        transcoder.catch_up(self.early.take().unwrap_or_default(), out, &mut recorder);
        self.recorder = Some(recorder);
        self.charge(self.came);
    }

    /// The provider's next bytes.
    pub(super) fn came(&mut self, data: &Bytes) {
        self.early.iter_mut().for_each(|early| early.extend_from_slice(data));
        self.came = self.came.saturating_add(data.len());
        self.charge(data.len());
    }

    /// Counts what the recorder is given. Without room it is given up, and the call goes on.
    fn charge(&mut self, bytes: usize) {
        if self.recorder.is_some() && self.charge.grow(bytes, Purpose::Optional).is_err() {
            self.recorder.take().into_iter().for_each(Recorder::give_up);
            let _ = self.charge.set(0, Purpose::Optional);
        }
    }

    /// The recorder that writes to it.
    pub(super) fn recorder(&mut self) -> Option<&mut Recorder> {
        self.recorder.as_mut()
    }

    /// True if it listens.
    pub(super) fn listens(&self) -> bool {
        self.recorder.is_some()
    }

    /// The number of bytes that came, the first token's beginning included.
    pub(super) fn total(&self) -> usize {
        self.came
    }

    /// The memory that is kept for it until it listens.
    pub(super) fn held(&self) -> usize {
        self.early.as_ref().map_or(0, Vec::capacity)
    }

    /// The answer came whole. This caller may not have asked for its usage; the next one may.
    pub(super) fn finish(&mut self, usage: Option<Usage>) {
        if let Some(mut recorder) = self.recorder.take() {
            usage.into_iter().for_each(|usage| recorder.usage(usage));
            recorder.finish();
        }
    }

    /// It did not: nothing is kept.
    pub(super) fn cut(&mut self) {
        self.recorder = None;
    }
}
