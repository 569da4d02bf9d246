//! The map from the 16 384 slots to their masters (Redis Cluster specification, "Key distribution model").

use std::collections::BTreeMap;

use ::redis::{Cmd, ConnectionAddr, ConnectionInfo, Value};

/// The number of slots.
const SLOTS: u16 = 16_384;
/// More ranges than a sane cluster has; a map with more is not believed.
const MAX_RANGES: usize = 16_384;

/// Host and port of a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address {
    host: String,
    port: u16,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Address {
    pub(super) fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port }
    }

    pub(super) fn of(info: &ConnectionInfo) -> Self {
        match info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => Self::new(host, *port),
            _ => Self::new("", 0),
        }
    }

    /// The way to connect to it: as to another node of its cluster.
    pub(super) fn on(&self, like: &ConnectionInfo) -> ConnectionInfo {
        let mut addr = like.addr().clone();
        match &mut addr {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                host.clone_from(&self.host);
                *port = self.port;
            }
            _ => {}
        }
        like.clone().set_addr(addr)
    }

    /// The `host:port` of a redirection; the host may be an IPv6 address, or be left out.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Some(Self::new(if host == "?" { "" } else { host }, port.parse().ok()?))
    }

    /// A node that does not know its own host means the host it was asked at.
    pub(super) fn or_host(self, asked: &Self) -> Self {
        if self.host.is_empty() { Self { host: asked.host.clone(), port: self.port } } else { self }
    }
}

/// One master's range of slots, both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
    master: Address,
}

/// The map of slots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SlotMap {
    ranges: Vec<Range>,
    replicas: Vec<Address>,
    /// Slots that are said to have moved since, until the next map says so too.
    moved: BTreeMap<u16, Address>,
}

/// The command whose answer `SlotMap::read` reads.
pub(super) fn question() -> Cmd {
    let mut command = Cmd::new();
    command.arg("CLUSTER").arg("SLOTS");
    command
}

impl SlotMap {
    /// One node that has them all.
    pub(super) fn single(master: Address) -> Self {
        Self { ranges: vec![Range { first: 0, last: SLOTS - 1, master }], ..Self::default() }
    }

    /// Reads the answer to `CLUSTER SLOTS`; `None`: it is not one, or it names no slots.
    pub(super) fn read(answer: &Value, asked: &Address) -> Option<Self> {
        let Value::Array(rows) = answer else { return None };
        let mut map = Self::default();
        for row in rows.iter().take(MAX_RANGES) {
            let Value::Array(row) = row else { return None };
            let [Value::Int(first), Value::Int(last), master, replicas @ ..] = row.as_slice() else { return None };
            let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
            if first > last || last >= SLOTS {
                return None;
            }
            map.ranges.push(Range { first, last, master: address(master, asked)? });
            for replica in replicas.iter().filter_map(|node| address(node, asked)) {
                if !map.replicas.contains(&replica) && map.replicas.len() < MAX_RANGES {
                    map.replicas.push(replica);
                }
            }
        }
        map.ranges.sort_by_key(|range| range.first);
        (!map.ranges.is_empty()).then_some(map)
    }

    /// Takes the word of a node that another has a slot now.
    pub(super) fn moved(&mut self, slot: u16, to: Address) {
        self.moved.insert(slot, to);
    }

    /// The master whose slot it is.
    pub(super) fn master(&self, slot: u16) -> Option<&Address> {
        if let Some(master) = self.moved.get(&slot) {
            return Some(master);
        }
        let after = self.ranges.partition_point(|range| range.first <= slot);
        let range = self.ranges.get(after.checked_sub(1)?)?;
        (slot <= range.last).then_some(&range.master)
    }

    /// The masters; one with several ranges comes several times.
    pub(super) fn masters(&self) -> impl Iterator<Item = &Address> {
        self.ranges.iter().map(|range| &range.master)
    }

    /// Every node known, masters and replicas.
    pub(super) fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.masters().chain(&self.replicas)
    }

    /// True if every slot has a master.
    pub(super) fn is_whole(&self) -> bool {
        let mut next = 0_u32;
        for range in &self.ranges {
            if u32::from(range.first) != next {
                return false;
            }
            next = u32::from(range.last) + 1;
        }
        next == u32::from(SLOTS)
    }
}

/// `[host, port, id, metadata …]`; an empty or null host is the host that was asked.
fn address(node: &Value, asked: &Address) -> Option<Address> {
    let Value::Array(node) = node else { return None };
    let [host, Value::Int(port), ..] = node.as_slice() else { return None };
    let host = match host {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?,
        Value::SimpleString(text) => text,
        Value::Nil => "",
        _ => return None,
    };
    // "?" is how an unknown preferred endpoint is told.
    let host = if host == "?" { "" } else { host };
    Some(Address::new(host, u16::try_from(*port).ok()?).or_host(asked))
}

/// CRC-16 (XMODEM) of each byte.
const CRC: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0_u16;
    while byte < 256 {
        let mut crc = byte << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        #[expect(clippy::indexing_slicing, reason = "checked when it is compiled")]
        {
            table[byte as usize] = crc;
        }
        byte += 1;
    }
    table
};

/// The slot of a key: CRC-16 (XMODEM), modulo 16 384, of what stands between its first braces, if anything does.
pub(super) fn slot(key: &str) -> u16 {
    let braced = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    let tag = braced.filter(|tag| !tag.is_empty()).unwrap_or(key).as_bytes();
    let step = |crc: u16, byte: &u8| {
        let [high, _] = crc.to_be_bytes();
        (crc << 8) ^ CRC.get(usize::from(high ^ byte)).copied().unwrap_or_default()
    };
    tag.iter().fold(0, step) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(host: &str, port: i64) -> Value {
        Value::Array(vec![Value::BulkString(host.into()), Value::Int(port), Value::BulkString(b"id".to_vec())])
    }

    fn row(first: i64, last: i64, nodes: Vec<Value>) -> Value {
        Value::Array([vec![Value::Int(first), Value::Int(last)], nodes].concat())
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        // The check value of CRC-16/XMODEM, and keys of the specification's own examples.
        assert_eq!(slot("123456789"), 0x31c3 % SLOTS);
        assert_eq!(slot("foo"), 12_182);
        assert_eq!(slot(""), 0);
        assert_eq!(slot("a:{foo}:b"), slot("foo"));
        assert_eq!(slot("{foo}{bar}"), slot("foo"));
        assert_eq!(slot("foo{{bar}}zap"), slot("{bar"));
        assert_ne!(slot("foo{}{bar}"), slot("bar"));
        assert_ne!(slot("foo{bar"), slot("bar"));
    }

    #[test]
    fn a_map_is_read_and_found_in() {
        let asked = Address::new("asked", 1);
        let rows =
            vec![row(8192, 16_383, vec![node("b", 2), node("d", 4)]), row(0, 8191, vec![node("", 1), node("c", 3)])];
        let map = SlotMap::read(&Value::Array(rows), &asked).unwrap();
        assert!(map.is_whole());
        assert_eq!(map.master(0), Some(&Address::new("asked", 1)));
        assert_eq!(map.master(8191), Some(&Address::new("asked", 1)));
        assert_eq!(map.master(8192), Some(&Address::new("b", 2)));
        assert_eq!(map.master(16_383), Some(&Address::new("b", 2)));
        assert_eq!(map.addresses().count(), 4);
    }

    #[test]
    fn a_redirection_is_read_and_believed_until_the_next_map() {
        for (text, host, port) in [
            ("10.0.0.7:6379", "10.0.0.7", 6379),
            ("::1:7", "::1", 7),
            ("[::1]:7", "::1", 7),
            (":7", "", 7),
            ("?:7", "", 7),
        ] {
            assert_eq!(Address::read(text), Some(Address::new(host, port)), "{text}");
        }
        for nonsense in ["", "host", "host:", "host:70000"] {
            assert_eq!(Address::read(nonsense), None, "{nonsense}");
        }
        let mut map = SlotMap::single(Address::new("a", 1));
        map.moved(7, Address::new("b", 2));
        assert_eq!(map.master(7), Some(&Address::new("b", 2)));
        assert_eq!(map.master(8), Some(&Address::new("a", 1)));
    }

    #[test]
    fn a_map_with_holes_is_read_and_says_so() {
        let asked = Address::new("asked", 1);
        let map = SlotMap::read(&Value::Array(vec![row(5, 9, vec![node("a", 1)])]), &asked).unwrap();
        assert!(!map.is_whole());
        assert_eq!((map.master(4), map.master(10)), (None, None));
        assert!(map.master(5).is_some());
    }

    #[test]
    fn nonsense_is_no_map() {
        let asked = Address::new("asked", 1);
        for value in [
            Value::Nil,
            Value::Array(vec![]),
            Value::Array(vec![Value::Int(1)]),
            Value::Array(vec![row(0, 16_384, vec![node("a", 1)])]),
            Value::Array(vec![row(9, 5, vec![node("a", 1)])]),
            Value::Array(vec![row(0, 5, vec![])]),
            Value::Array(vec![row(0, 5, vec![node("a", 70_000)])]),
        ] {
            assert_eq!(SlotMap::read(&value, &asked), None, "{value:?}");
        }
    }
}
