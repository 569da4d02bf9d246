//! Certificates in PEM: whether there are any, and whether each has the outline of one. A provider's connection is made
//! with them much later, in a proxy; what is none is said here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// The advice on what to write.
const INSTEAD: &str = "write the authority's certificate in PEM, with its lines -----BEGIN CERTIFICATE----- and -----END CERTIFICATE-----";

/// Tags of DER.
const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

/// A fault of certificates.
pub(super) fn check(pem: &str) -> Result<(), String> {
    let mut rest = pem;
    let mut count = 0_usize;
    while let Some((_, after)) = rest.split_once(BEGIN) {
        count += 1;
        let Some((body, after)) = after.split_once(END) else {
            return Err(format!("certificate {count} in it has no end: {INSTEAD}"));
        };
        let body: String = body.chars().filter(|letter| !letter.is_whitespace()).collect();
        let is_one = STANDARD.decode(body).is_ok_and(|der| is_certificate(&der));
        if !is_one {
            return Err(format!("what stands as certificate {count} in it is none: {INSTEAD}"));
        }
        rest = after;
    }
    if count == 0 { Err(format!("there is no PEM certificate in it: {INSTEAD}")) } else { Ok(()) }
}

/// A sequence of a sequence (what is certified), a sequence (by which algorithm) and a bit string (the signature), and
/// nothing after it.
fn is_certificate(der: &[u8]) -> bool {
    let Some((inner, [])) = element(der, SEQUENCE) else { return false };
    let signed = element(inner, SEQUENCE).filter(|(signed, _)| !signed.is_empty());
    let algorithm = signed.and_then(|(_, rest)| element(rest, SEQUENCE));
    matches!(algorithm.and_then(|(_, rest)| element(rest, BIT_STRING)), Some((_, [])))
}

/// The content of the element with this tag that begins here, and what is behind it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (length, rest) = length(rest)?;
    if *found == tag { rest.split_at_checked(length) } else { None }
}

fn length(der: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = der.split_first()?;
    if *first < 0x80 {
        return Some((usize::from(*first), rest));
    }
    let (bytes, rest) =
        rest.split_at_checked(usize::from(first & 0x7f)).filter(|(bytes, _)| (1..=3).contains(&bytes.len()))?;
    Some((bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(der: &[u8]) -> String {
        format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(der))
    }

    #[test]
    fn what_has_the_outline_of_a_certificate_is_taken_and_nothing_else() {
        let der = [0x30, 0x0a, 0x30, 0x02, 0x05, 0x00, 0x30, 0x00, 0x03, 0x02, 0x00, 0x01];
        assert_eq!(check(&pem(&der)), Ok(()));
        assert_eq!(check(&(format!("# named\n{}", pem(&der)) + &pem(&der))), Ok(()));
        let mut long = vec![0x30, 0x82, 0x01, 0x0a, 0x30, 0x82, 0x01, 0x00];
        long.extend([0; 256]);
        long.extend([0x30, 0x00, 0x03, 0x00]);
        long[3] = 0x08;
        assert_eq!(check(&pem(&long)), Ok(()));
        for (wrong, said) in [
            (String::new(), "no PEM certificate"),
            ("garbage".to_owned(), "no PEM certificate"),
            (format!("{BEGIN}\nZ2FyYmFnZQ==\n{END}"), "certificate 1 in it is none"),
            (format!("{BEGIN}\nnot base64!\n{END}"), "certificate 1 in it is none"),
            (format!("{}{BEGIN}\nZ2Fy", pem(&der)), "certificate 2 in it has no end"),
            (pem(&der) + &pem(&der[..11]), "certificate 2 in it is none"),
            (pem(&[&der[..], &[0]].concat()), "certificate 1 in it is none"),
            (pem(&[0x30, 0x80]), "certificate 1 in it is none"),
            (pem(&[0x30, 0xff]), "certificate 1 in it is none"),
            (pem(&[]), "certificate 1 in it is none"),
        ] {
            let message = check(&wrong).unwrap_err();
            assert!(message.contains(said) && message.contains("write"), "{message}");
        }
    }
}
