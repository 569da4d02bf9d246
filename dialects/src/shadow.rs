//! A stream that passes, read and written once more behind it: so there is a writer that stands where the caller stands, should somebody
//! else have to go on.

use crate::codec::StreamOptions;
use crate::continuation::SaidSoFar;
use crate::dialect::Dialect;
use crate::dispatch::{StreamDecoder, StreamEncoder};
use crate::hub::Event;

/// The shadow of a stream that passes.
#[derive(Debug)]
pub struct StreamShadow {
    decoder: StreamDecoder,
    encoder: StreamEncoder,
    said: SaidSoFar,
    events: Vec<Event>,
    written: Vec<u8>,
}

impl StreamShadow {
    /// At a stream's beginning.
    #[must_use]
    pub fn new(dialect: Dialect, options: StreamOptions) -> Self {
        let (mut decoder, encoder) = (dialect.stream_decoder(), dialect.stream_encoder(options));
        decoder.follow();
        Self { decoder, encoder, said: SaidSoFar::default(), events: Vec::new(), written: Vec::new() }
    }

    /// Follows the next bytes. What they say before an error is written anew, and given back.
    pub fn follow(&mut self, bytes: &[u8]) -> &[u8] {
        self.written.clear();
        if self.decoder.push(bytes, &mut self.events).is_err() {
            self.said.lose();
        }
        for event in self.events.drain(..).take_while(|event| !matches!(event, Event::Error(_))) {
            self.said.note(&event);
            self.encoder.push(&event, &mut self.written);
        }
        &self.written
    }

    /// The part that has been said.
    #[must_use]
    pub const fn said(&self) -> &SaidSoFar {
        &self.said
    }

    /// Something has passed that it has not seen.
    pub fn lose(&mut self) {
        self.said.lose();
    }

    /// The memory that it takes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.decoder.held() + self.encoder.held() + self.said.held() + self.written.capacity()
    }

    /// The writer that stands where the caller stands, and what has been said until there.
    #[must_use]
    pub fn into_writer(self) -> (StreamEncoder, SaidSoFar) {
        let Self { decoder, mut encoder, said, .. } = self;
        decoder.followed().into_iter().for_each(|followed| encoder.go_on_from(followed));
        (encoder, said)
    }
}
