//! Checks of what must hold for any bytes that stand in a server's place: they are an answer that is read, or none.

use ::redis::{Value, parse_redis_value};

use super::log::{entries_of, time_of};
use super::node::judge;
use super::slots::{Address, SlotMap};
use crate::{concurrency, limit};

/// Answers of Redis (RESP), read by all who ask something there.
///
/// # Panics
/// When what must hold does not.
pub fn replies(data: &[u8]) {
    let asked = Address::new("127.0.0.1", 6379);
    let value = match parse_redis_value(data).and_then(Value::extract_error) {
        Ok(value) => value,
        Err(error) => return drop(judge(&error)),
    };
    if let Some(map) = SlotMap::read(&value, &asked) {
        let masters = (0..=16_383_u16).filter(|slot| map.master(*slot).is_some()).count();
        assert!(masters > 0, "a map of nothing");
        assert!(!map.is_whole() || masters == 16_384, "whole, with a hole");
    }
    limit::fuzzing::read_by_all(&value);
    concurrency::fuzzing::read_by_all(&value);
    let entries = entries_of(value.clone());
    assert!(entries.len() <= data.len(), "more entries than bytes");
    let _ = time_of(value);
}
