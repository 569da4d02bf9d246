//! No credential that was planted turns up where people or other machines look.

use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Upstream, answer};

use crate::resources::{CHAT, MESSAGES, WAYS, chat, message, pool, provider, route};

const PROVIDERS: &str = "sk-planted-of-the-provider";
const CALLERS: &str = "sk-planted-of-the-caller";

/// A provider that repeats the key it was sent.
fn parrot() -> Upstream {
    let body = format!(
        r#"{{"error":{{"message":"Incorrect API key provided: {PROVIDERS}","type":"auth","code":"{PROVIDERS}"}}}}"#
    );
    let headers = [("content-type", "application/json"), ("x-key", PROVIDERS)];
    Upstream::always(vec![answer(401, &headers, body.as_bytes())]).unwrap()
}

fn secret(key: &str) -> String {
    format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: key}}\nstringData: {{api-key: \"{key}\"}}\n---\n")
}

#[tokio::test]
async fn no_credential_is_told_to_anybody() {
    let (refusing, dead) = (parrot(), Upstream::always(vec![Act::Reset]).unwrap());
    let with = "credentials: {secretRef: {name: key}}";
    let simulator = sluicegate_tests::binaries::Simulator::start(&["--api-key", PROVIDERS]).unwrap();
    let routes = secret(PROVIDERS)
        + &pool("well", &[provider("a", "OpenAI", simulator.address, with)], "")
        + &pool("refusing", &[provider("a", "OpenAI", refusing.address, with)], "")
        + &pool("dead", &[provider("a", "Anthropic", dead.address, with)], "  retry: {attempts: 1}")
        + &route("well", "well")
        + &route("refusing", "refusing")
        + &route("dead", "dead");
    let proxy = Proxy::start(&[("all.yaml", &routes)], &["--log", "trace"]).unwrap();
    let client = proxy.client();
    let bearer = format!("Bearer {CALLERS}");
    let keys =
        [("authorization", bearer.as_str()), ("x-api-key", CALLERS), ("cookie", CALLERS), ("x-request-id", "seen-it")];
    let mut told = String::new();
    for way in WAYS {
        for model in ["well", "refusing", "dead", "nobody"] {
            let answer = way.call(&client, model, &keys).await;
            assert_eq!(answer.is_good(), model == "well", "{model}: {}", answer.text());
            told += &format!("{:?} {}", answer.headers, answer.text());
        }
    }
    for path in [CHAT, MESSAGES, "/v1/nothing"] {
        let answer = client.post(path, &keys, "{\"model\":").await.unwrap();
        told += &format!("{:?} {}", answer.headers, answer.text());
    }
    // Secrets that are wrong in themselves, and one that is named by a wrong pool.
    for text in [
        secret(PROVIDERS).replace("stringData: {", "stringData: {oops: [1], "),
        secret(PROVIDERS).replace("stringData", "data"),
        secret(&format!("{PROVIDERS}\\n\\u0001")),
        format!("{}  {PROVIDERS}: [\n", secret(PROVIDERS)),
    ] {
        let seen = proxy.log().len();
        proxy.write("all.yaml", &routes.replace(&secret(PROVIDERS), &text)).unwrap();
        proxy
            .until("it is looked at", |proxy| {
                proxy.log()[seen..].iter().any(|line| line.contains("configuration") || line.contains("all.yaml"))
            })
            .await
            .unwrap();
        told += &proxy.page("/config").unwrap().1;
        let answer = client.post(CHAT, &keys, chat("well", false)).await.unwrap();
        told += &format!("{:?} {}", answer.headers, answer.text());
        let answer = client.post(MESSAGES, &keys, message("well", false)).await.unwrap();
        told += &answer.text();
    }
    for page in ["/metrics", "/config", "/status", "/readyz"] {
        told += &proxy.page(page).unwrap().1;
    }
    assert!(proxy.log().iter().any(|line| line.contains("seen-it")), "the log tells of these calls");
    let log = proxy.log();
    for key in [PROVIDERS, CALLERS] {
        let line = log.iter().find(|line| line.contains(key));
        assert!(line.is_none(), "in the log: {line:?}");
        assert!(!told.contains(key), "told: {}", around(&told, key));
    }
    let arguments = std::fs::read_to_string(format!("/proc/{}/cmdline", proxy.process().id())).unwrap();
    assert!(!arguments.contains("planted"));
}

fn around(text: &str, key: &str) -> String {
    let at = text.find(key).unwrap_or(0);
    let from = text.floor_char_boundary(at.saturating_sub(300));
    text[from..text.len().min(at + 60)].to_owned()
}
