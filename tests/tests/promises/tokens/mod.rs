//! Tokens and keys of clouds: got beside the calls, renewed before their end, kept over an outage, and never told.

mod aws;
mod azure;
mod gcp;
mod openai;

use sluicegate_tests::proxy::Proxy;

use crate::resources::{MESSAGES, message};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const ROUNDS: usize = 600;

async fn status(proxy: &Proxy) -> (u16, String) {
    let got = proxy.client().post(MESSAGES, JSON, message("claude-x", false)).await.unwrap();
    (got.status, got.text())
}

/// Calls until an answer has this status.
async fn until(proxy: &Proxy, wanted: u16) -> String {
    for _ in 0..ROUNDS {
        let (status, text) = status(proxy).await;
        if status == wanted {
            return text;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("no answer with status {wanted}:\n{}", proxy.log().join("\n"))
}

/// What is secret in these tests is named after it.
fn no_secret_is_told(proxy: &Proxy) {
    let pages = ["/metrics", "/config", "/status"].map(|path| proxy.page(path).unwrap().1).concat();
    let told = proxy.log().join("\n") + &pages;
    assert!(!told.contains("planted") && !told.contains("BEGIN PRIVATE KEY"), "{told}");
}
