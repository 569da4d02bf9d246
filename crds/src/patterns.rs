//! The spelling of scalars, as regular expressions of the schema.

/// The spelling of a duration.
pub const DURATION: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";
/// The spelling of a number of bytes.
pub const BYTES: &str = "^[0-9]{1,12}(k|M|G|T|Ki|Mi|Gi|Ti)?$";
/// The spelling of a decimal: six decimals of a price per million tokens are whole picodollars per token.
pub const DECIMAL: &str = r"^[0-9]{1,6}(\.[0-9]{1,6})?$";
/// The spelling of a name inside an object.
pub const NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// The spelling of a path before those of an API.
pub const PATH: &str = r"^/[^?#@\s]*$";
/// The spelling of a provider's address.
pub const URL: &str = r"^https?://[^/?#@\s]+(/[^?#@\s]*)?$";
