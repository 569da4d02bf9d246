//! Price lists: any text is one, or is refused in words; the same each time.

use crate::compile::PriceList;

/// The target.
///
/// # Panics
/// When what must hold does not.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match (PriceList::parse(&text), PriceList::parse(&text)) {
        (Ok(list), Ok(again)) => assert_eq!(list.timestamp(), again.timestamp()),
        (Err(why), Err(again)) => assert!(!why.is_empty() && why == again, "{why}, {again}"),
        _ => unreachable!("the same text is a list once, and once not"),
    }
}
