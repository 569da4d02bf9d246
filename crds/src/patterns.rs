//! The spelling of scalars, as regular expressions of the schema, and what to write where one is not kept to.

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
/// The spelling of the name of a Kubernetes object.
pub const OBJECT_NAME: &str = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$";
/// The spelling of a key of a Secret.
pub const SECRET_KEY: &str = r"^[-._a-zA-Z0-9]+$";
/// The spelling of a host's name.
pub const HOST: &str = r"^[a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?$";
/// The spelling of a header's name.
pub const HEADER_NAME: &str = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$";
/// The spelling of a header's value.
pub const HEADER_VALUE: &str = r"^[ -~]*$";
/// The spelling of a backoff's multiplier.
pub const MULTIPLIER: &str = r"^([1-9](\.[0-9]{1,3})?|10(\.0{1,3})?)$";
/// The spelling of a sampling temperature.
pub const TEMPERATURE: &str = r"^([01](\.[0-9]{1,4})?|2(\.0{1,4})?)$";
/// The spelling of the name of a request's field.
pub const FIELD_NAME: &str = r"^[A-Za-z0-9_.-]+$";
/// The spelling of a beta's name, or of the beginning of several.
pub const BETA: &str = r"^[A-Za-z0-9_.-]*\*?$";

/// The spelling of a version of Azure's API.
pub const API_VERSION: &str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?$";

/// The spellings that an API server holds by a rule which says what to write. Numbers of bytes stay patterns: what a rule costs is
/// reckoned by the longest value, and that of a field which takes numbers and texts has no bound.
pub const ADVICE: [(&str, &str); 15] = [
    (DURATION, "write a duration such as 30s, 100ms or 1h30m"),
    (NAME, "write lower-case letters, digits and hyphens, such as my-name-1"),
    (URL, "write an address such as https://api.openai.com, without a user, a query or a fragment"),
    (PATH, "write a path that begins with a slash, such as /v1, without a query or a fragment"),
    (DECIMAL, "write a decimal in quotes, with at most six digits after the point, such as \"2.50\""),
    (OBJECT_NAME, "write the name of an object: lower-case letters, digits, hyphens and dots, such as my-name"),
    (SECRET_KEY, "write a key of the Secret: letters, digits, hyphens, dots and underscores, such as api-key"),
    (HOST, "write the name of a host, such as llm.example.com"),
    (HEADER_NAME, "write the name of a header, such as x-team"),
    (HEADER_VALUE, "write printable ASCII, without line breaks"),
    (MULTIPLIER, "write a number from 1 to 10 in quotes, with at most three digits after the point, such as \"2\""),
    (TEMPERATURE, "write a number from 0 to 2 in quotes, with at most four digits after the point, such as \"0.7\""),
    (FIELD_NAME, "write the name of a field: letters, digits, dots, hyphens and underscores, such as top_k"),
    (API_VERSION, "write a version of Azure's API, such as 2024-10-21"),
    (BETA, "write the name of a beta such as context-management-2025-06-27, or its beginning and a *"),
];
