//! A message of a binary event stream: lengths, headers, payload, and two sums.

use bytes::Bytes;

/// A message with these headers, all of them texts.
pub(crate) fn message(headers: &[(&str, &str)], payload: &[u8]) -> Bytes {
    let mut head = Vec::new();
    for (name, value) in headers {
        head.push(name.len() as u8);
        head.extend_from_slice(name.as_bytes());
        head.push(7);
        head.extend_from_slice(&(value.len() as u16).to_be_bytes());
        head.extend_from_slice(value.as_bytes());
    }
    let mut out = Vec::with_capacity(16 + head.len() + payload.len());
    out.extend_from_slice(&((16 + head.len() + payload.len()) as u32).to_be_bytes());
    out.extend_from_slice(&(head.len() as u32).to_be_bytes());
    out.extend_from_slice(&sum(&out).to_be_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(payload);
    out.extend_from_slice(&sum(&out).to_be_bytes());
    out.into()
}

/// An event.
pub(crate) fn event(name: &str, payload: &[u8]) -> Bytes {
    let kind = ("application/json", "event");
    message(&[(":event-type", name), (":content-type", kind.0), (":message-type", kind.1)], payload)
}

/// The error that ends a stream.
pub(crate) fn exception(name: &str, payload: &[u8]) -> Bytes {
    let kind = ("application/json", "exception");
    message(&[(":exception-type", name), (":content-type", kind.0), (":message-type", kind.1)], payload)
}

/// CRC-32 as Ethernet has it, bit by bit: nobody waits for the simulator.
fn sum(bytes: &[u8]) -> u32 {
    let step = |sum: u32| (0..8).fold(sum, |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()));
    !bytes.iter().fold(!0, |sum, byte| step(sum ^ u32::from(*byte)))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_sum_is_the_known_one() {
        assert_eq!(super::sum(b"123456789"), 0xcbf4_3926);
    }
}
