//! The demands of HTTP itself on a request beyond what its parser looks at: one host, a body framed in one way, so many headers.

use http::header::{HOST, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode, Version};
use sluicegate_dialects::hub::ErrorKind;

use crate::errors::Problem;

/// Refuses what proxies behind one another could read differently.
///
/// # Errors
/// No host or several (RFC 9112 3.2), or a transfer coding beside `chunked` (RFC 9112 6.1). Over HTTP/2, whose parser counts none,
/// more than `most` headers.
pub(super) fn check(version: Version, headers: &HeaderMap, most: usize) -> Result<(), Problem> {
    if version >= Version::HTTP_2 {
        let message = || format!("headers: there are {}, and at most {most} are taken.", headers.len());
        let is_more = headers.len() > most;
        return if is_more { Err(Problem::client(ErrorKind::HeadersTooLarge, message())) } else { Ok(()) };
    }
    let hosts = headers.get_all(HOST).iter().count();
    if hosts > 1 || (hosts == 0 && version == Version::HTTP_11) {
        let message = "host: a request of HTTP/1.1 names exactly one.";
        return Err(Problem::client(ErrorKind::InvalidRequest, message).closing());
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let alone = |value: &http::HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    if codings.next().is_some_and(|first| !alone(first)) || codings.next().is_some() {
        let message = "transfer-encoding: only chunked is taken, once; compress with content-encoding.";
        let problem = Problem::client(ErrorKind::InvalidRequest, message);
        return Err(problem.status(StatusCode::NOT_IMPLEMENTED).closing());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use http::header::ACCEPT;

    use super::*;

    fn checked(version: Version, pairs: &[(HeaderName, &str)]) -> Option<Option<StatusCode>> {
        let headers = pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        check(version, &headers, 2).err().map(|problem| problem.status)
    }

    #[test]
    fn one_host_and_one_framing() {
        let plain = (HOST, "a");
        let refused = Some(None);
        let unknown = Some(Some(StatusCode::NOT_IMPLEMENTED));
        for (version, headers, expected) in [
            (Version::HTTP_11, vec![plain.clone()], None),
            (Version::HTTP_11, vec![], refused),
            (Version::HTTP_10, vec![], None),
            (Version::HTTP_2, vec![], None),
            (Version::HTTP_2, vec![(ACCEPT, "a"), (ACCEPT, "b")], None),
            (Version::HTTP_2, vec![(ACCEPT, "a"), (ACCEPT, "b"), (ACCEPT, "c")], refused),
            (Version::HTTP_11, vec![plain.clone(), (HOST, "a")], refused),
            (Version::HTTP_11, vec![plain.clone(), (TRANSFER_ENCODING, "Chunked")], None),
            (Version::HTTP_11, vec![plain.clone(), (TRANSFER_ENCODING, "gzip, chunked")], unknown),
            (
                Version::HTTP_11,
                vec![plain.clone(), (TRANSFER_ENCODING, "chunked"), (TRANSFER_ENCODING, "chunked")],
                unknown,
            ),
        ] {
            assert_eq!(checked(version, &headers), expected, "{version:?} {headers:?}");
        }
    }
}
