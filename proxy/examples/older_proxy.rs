//! A proxy as it was before there were rate limits, for tests of versions side by side: the proxy of this version, but
//! that it knows none of the features that came with them and since. Not part of any image.

use std::process::ExitCode;

use clap::Parser;
use sluicegate_proxy::process;
use sluicegate_proxy::settings::Settings;

/// The features of compiled objects at that time.
const FEATURES: [&str; 8] = [
    "access",
    "bedrock",
    "azureOpenAI",
    "compatibility",
    "gemini",
    "maxOutputTokens",
    "passHeaders",
    "serviceEndpoints",
];

fn main() -> ExitCode {
    process::run(Settings { features: &FEATURES, ..Settings::parse() })
}
