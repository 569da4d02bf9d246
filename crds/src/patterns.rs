//! How scalars are written, as regular expressions of the schema.

/// How a duration is written.
pub const DURATION: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";
/// How a number of bytes is written.
pub const BYTES: &str = "^[0-9]{1,12}(k|M|G|T|Ki|Mi|Gi|Ti)?$";
/// How a decimal is written: six decimals of a price per million tokens are whole picodollars per token.
pub const DECIMAL: &str = r"^[0-9]{1,6}(\.[0-9]{1,6})?$";
/// How a name inside an object is written.
pub const NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// How a path before those of an API is written.
pub const PATH: &str = r"^/[^?#@\s]*$";
/// How a provider's address is written.
pub const URL: &str = r"^https?://[^/?#@\s]+(/[^?#@\s]*)?$";
