//! The spelling of scalars, as regular expressions of the schema, and what to write where one is not kept to.

/// The spelling of a duration.
pub const DURATION: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";
/// The spelling of a time.
pub const TIME: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})$";
/// The spelling of a number of bytes.
pub const BYTES: &str = "^[0-9]{1,12}(k|M|G|T|Ki|Mi|Gi|Ti)?$";
/// The spelling of a decimal: six decimals of a price per million tokens are whole picodollars per token.
pub const DECIMAL: &str = r"^[0-9]{1,6}(\.[0-9]{1,6})?$";
/// The spelling of an amount of dollars or tokens: more than nothing, at most six digits after the point.
pub const AMOUNT: &str = r"^(0|[1-9][0-9]{0,11})(\.[0-9]{1,6})?$";
/// The spelling of a limit's amount. No rule holds it, for it may be a number: what `matches` costs is reckoned by the longest value.
pub const LIMIT_AMOUNT: &str = r"^[0-9]{1,13}(\.[0-9]{1,6})?$";
/// The spelling of a time zone's name.
pub const TIME_ZONE: &str = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$";
/// The spelling of a name inside an object.
pub const NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// The spelling of a path before those of an API.
pub const PATH: &str = r"^/[^?#@\s]*$";
/// The spelling of a path that is passed on: no part of it begins with a dot.
pub const NAMED_PATH: &str = r"^(/[A-Za-z0-9_~-][A-Za-z0-9._~:@-]*)+$";
/// The spelling of the beginning of such paths.
pub const NAMED_PATHS: &str = r"^(/[A-Za-z0-9_~-][A-Za-z0-9._~:@-]*)+/$";
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
/// The spelling of a number from 0 to 1.
pub const SHARE_OF_ONE: &str = r"^(0(\.[0-9]{1,3})?|1(\.0{1,3})?)$";
/// The spelling of a sampling temperature.
pub const TEMPERATURE: &str = r"^([01](\.[0-9]{1,4})?|2(\.0{1,4})?)$";
/// The name of a look-alike.
pub const PROFILE: &str = r"^[A-Za-z0-9]+$";
/// The spelling of the name of a request's field.
pub const FIELD_NAME: &str = r"^[A-Za-z0-9_.-]+$";
/// The spelling of a beta's name, or of the beginning of several.
pub const BETA: &str = r"^[A-Za-z0-9_.-]*\*?$";

/// The spelling of a version of Azure's API.
pub const API_VERSION: &str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?$";

/// The spelling of the ARN of a role of Amazon's.
pub const ROLE: &str = r"^arn:aws[-a-z]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$";

/// The spelling of what Amazon takes as the name of a session.
pub const SESSION_NAME: &str = r"^[A-Za-z0-9+=,.@_-]+$";

/// The spelling of an id of a tenant or a client of Azure's, or of a tenant's domain.
pub const AZURE_ID: &str = r"^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?$";

/// The spelling of the id of a project of Google's.
pub const PROJECT: &str = r"^[a-z0-9]([-a-z0-9.:]*[a-z0-9])?$";

/// The rule by which an API server holds [`BYTES`]. It looks at single characters: what `matches` costs is reckoned by the
/// longest value, and a field which takes numbers and texts has none. At most twelve digits, the first character one of them;
/// before the last two nothing but digits; then two digits, or a digit and a unit of thousands, or a unit of 1024s.
pub const BYTES_RULE: &str = concat!(
    "[string(self)].all(text, size(text) > 0 && size(text) <= 14 && ",
    "[['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']].all(digits, text.charAt(0) in digits && ",
    "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].all(at, at + 2 >= size(text) || text.charAt(at) in digits) && ",
    "(size(text) < 2 || (text.charAt(size(text) - 2) in digits ? ",
    "text.charAt(size(text) - 1) in digits && size(text) <= 12 || ",
    "text.charAt(size(text) - 1) in ['k', 'M', 'G', 'T'] && size(text) <= 13 : ",
    "text.charAt(size(text) - 2) in ['K', 'M', 'G', 'T'] && text.charAt(size(text) - 1) == 'i'))))",
);

/// The spellings that an API server holds by a rule which says what to write.
pub const ADVICE: [(&str, &str); 26] = [
    (AMOUNT, "write an amount in quotes, such as \"12.50\", with at most six digits after the point"),
    (TIME_ZONE, "write the name of a time zone, such as Europe/Berlin"),
    (TIME, "write a time such as 2027-01-31T00:00:00Z"),
    (DURATION, "write a duration such as 30s, 100ms or 1h30m"),
    (BYTES, "write a number of bytes such as 1048576 or \"1Mi\""),
    (NAME, "write lower-case letters, digits and hyphens, such as my-name-1"),
    (URL, "write an address such as https://api.openai.com, without a user, a query or a fragment"),
    (PATH, "write a path that begins with a slash, such as /v1, without a query or a fragment"),
    (
        NAMED_PATH,
        "write a whole path such as /tokenize: letters, digits and -._~:@ between slashes, no part beginning with a dot",
    ),
    (
        NAMED_PATHS,
        "write the beginning of paths with a slash at its end, such as /v1/fine_tuning/: letters, digits and -._~:@ between slashes, no part beginning with a dot",
    ),
    (DECIMAL, "write a decimal in quotes, with at most six digits after the point, such as \"2.50\""),
    (OBJECT_NAME, "write the name of an object: lower-case letters, digits, hyphens and dots, such as my-name"),
    (SECRET_KEY, "write a key of the Secret: letters, digits, hyphens, dots and underscores, such as api-key"),
    (HOST, "write the name of a host, such as llm.example.com"),
    (HEADER_NAME, "write the name of a header, such as x-team"),
    (HEADER_VALUE, "write printable ASCII, without line breaks"),
    (MULTIPLIER, "write a number from 1 to 10 in quotes, with at most three digits after the point, such as \"2\""),
    (SHARE_OF_ONE, "write a number from 0 to 1 in quotes, with at most three digits after the point, such as \"0.9\""),
    (TEMPERATURE, "write a number from 0 to 2 in quotes, with at most four digits after the point, such as \"0.7\""),
    (FIELD_NAME, "write the name of a field: letters, digits, dots, hyphens and underscores, such as top_k"),
    (PROFILE, "write the name of a look-alike: letters and digits, such as vLLM"),
    (API_VERSION, "write a version of Azure's API, such as 2024-10-21"),
    (ROLE, "write the ARN of a role, such as arn:aws:iam::123456789012:role/gateway"),
    (SESSION_NAME, "write letters, digits and =,.@+_-, such as gateway"),
    (AZURE_ID, "write an id such as 01234567-89ab-cdef-0123-456789abcdef, or a tenant's domain"),
    (BETA, "write the name of a beta such as context-management-2025-06-27, or its beginning and a *"),
];
