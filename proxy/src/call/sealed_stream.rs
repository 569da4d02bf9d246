//! A provider's stream with sealed ids in the place of its own: those of its answer, and of the answer that it goes on from. Every other
//! byte stays.
//!
//! Events are held until they are whole. An answer is named by the first event that tells of it; from then on its id is looked for in
//! all of them, where it is a whole text in quotes, which no text of a model's is.

use std::rc::Rc;

use bytes::Bytes;
use sluicegate_dialects::stored;

use super::event_tail::EventTail;

/// Gives the sealed id for a provider's; `None`: it is not sealed.
pub(super) type Seal = Rc<dyn Fn(String) -> Option<String>>;

/// Keeps an answer, of which it is given the provider's id and all of its JSON.
pub(super) type Keep = Rc<dyn Fn(&str, &str)>;

/// Gives whole events with sealed ids in the place of those of files.
pub(super) type SealFiles = Rc<dyn Fn(Bytes) -> Bytes>;

/// The engine of one stream.
pub(super) struct SealedStream {
    seal: Seal,
    /// The answer that it goes on from, by the provider and by the caller.
    previous: Option<(String, String)>,
    keep: Option<Keep>,
    /// Seals the ids of files in whole events.
    files: Option<SealFiles>,
    tail: EventTail,
    /// The answer's own id, by the provider and for the caller, once it is known.
    own: Option<(String, String)>,
}

impl SealedStream {
    pub(super) fn new(seal: Seal, previous: Option<(String, String)>, keep: Option<Keep>) -> Self {
        Self { seal, previous, keep, files: None, tail: EventTail::default(), own: None }
    }

    /// The same, with files of which answers tell.
    pub(super) fn with_files(self, files: Option<SealFiles>) -> Self {
        Self { files, ..self }
    }

    /// The provider's next bytes, as far as their events are whole, as the caller is given them.
    pub(super) fn pass(&mut self, data: Bytes) -> Bytes {
        self.tail.pass(data).map_or_else(Bytes::new, |whole| self.renamed(whole))
    }

    /// The bytes that were held, where it is the stream's end.
    pub(super) fn rest(&mut self) -> Bytes {
        let rest = self.tail.take();
        self.renamed(rest)
    }

    /// The memory that is held.
    pub(super) fn held(&self) -> usize {
        self.tail.held()
    }

    fn renamed(&mut self, mut events: Bytes) -> Bytes {
        if let Some(files) = &self.files {
            events = files(events);
        }
        if self.own.is_none() {
            let id = lines(&events).find_map(stored::id_of_event);
            self.own = id.and_then(|id| Some((id.clone(), (self.seal)(id)?)));
        }
        if let (Some(keep), Some((own, _))) = (&self.keep, &self.own)
            && let Some(answer) = last_answer(&events)
        {
            keep(own, answer);
        }
        let named = self.own.iter().chain(&self.previous);
        named.fold(events, |events, (from, to)| stored::renamed_text(&events, (from, to)))
    }
}

/// The whole answer that these events end with; `None`: they do not.
pub(super) fn last_answer(events: &[u8]) -> Option<&str> {
    lines(events).find_map(stored::answer_of_event)
}

/// The data of events.
fn lines(events: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = events.split(|byte| matches!(byte, b'\n' | b'\r'));
    lines.filter_map(|line| line.strip_prefix(b"data:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_sealed_however_a_stream_is_cut() {
        let events = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\",\"previous_response_id\":\"resp_0\"}}\n\n\
                      : hm\n\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"resp_1 \\\"resp_1\\\"\"}\n\n\
                      data: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"output\":[]}}";
        let wanted =
            events.replace("\"id\":\"resp_1\"", "\"id\":\"SEALED resp_1\"").replace(":\"resp_0\"", ":\"ours\"");
        for size in 1..=events.len() {
            let seal: Seal = Rc::new(|id| Some(format!("SEALED {id}")));
            let mut stream = SealedStream::new(seal, Some(("resp_0".to_owned(), "ours".to_owned())), None);
            let mut passed = Vec::new();
            for piece in events.as_bytes().chunks(size) {
                passed.extend_from_slice(&stream.pass(Bytes::copy_from_slice(piece)));
            }
            passed.extend_from_slice(&stream.rest());
            assert_eq!(String::from_utf8_lossy(&passed), wanted, "{size}");
        }
    }

    #[test]
    fn a_stream_whose_id_is_not_sealed_passes() {
        let mut stream = SealedStream::new(Rc::new(|_| None), None, None);
        let event = Bytes::from_static(b"data: {\"response\":{\"id\":\"resp_1\"}}\n\n");
        assert_eq!(stream.pass(event.clone()), event);
        assert!(stream.rest().is_empty());
    }
}
