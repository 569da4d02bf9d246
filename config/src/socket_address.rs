//! Addresses to listen on, as settings write them.

use std::net::{IpAddr, SocketAddr};

/// `ADDRESS:PORT`; an address of IPv6 in brackets or, as people write it, without.
///
/// # Errors
/// It is none, in words that say what to write.
pub fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let bare = || {
        let (address, port) = text.rsplit_once(':')?;
        Some(SocketAddr::new(address.parse::<IpAddr>().ok()?, port.parse().ok()?))
    };
    text.parse().ok().or_else(bare).ok_or_else(|| {
        format!("`{text}` is no address and port, write e.g. 0.0.0.0:8080 or [::]:8080; names such as localhost are not looked up")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_ipv6_needs_no_brackets() {
        for (text, read) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::]:8080"),
            (":::8080", "[::]:8080"),
            ("::1:8080", "[::1]:8080"),
            ("fd00::7:0", "[fd00::7]:0"),
        ] {
            assert_eq!(socket_address(text).map(|address| address.to_string()), Ok(read.to_owned()), "{text}");
        }
        for text in ["localhost:8080", "::", "8080", "127.0.0.1", "[::8080", "1.2.3.4:99999", ""] {
            let why = socket_address(text).unwrap_err();
            assert!(why.contains("[::]:8080"), "{text}: {why}");
        }
    }
}
