//! Tokens of Entra ID's for Azure: by a client's secret, by a token that a cluster gives a pod (workload identity), and of a machine's
//! metadata (managed identity).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Received, Upstream, answer};

use super::{JSON, ROUNDS, no_secret_is_told, status, until};
use crate::resources::{pool, rule};

/// A login that looks at forms as Microsoft's does, and numbers its tokens; and the metadata of a machine.
struct Entra {
    upstream: Upstream,
    life: Arc<AtomicU64>,
}

impl Entra {
    fn start(life: u64) -> Self {
        let life = Arc::new(AtomicU64::new(life));
        let (now, given) = (Arc::clone(&life), AtomicU64::new(0));
        let upstream = Upstream::start(move |received| {
            let life = now.load(Ordering::SeqCst);
            let number = given.fetch_add(1, Ordering::SeqCst) + 1;
            let path = received.head.split(' ').nth(1).unwrap_or_default();
            vec![if path.starts_with("/msi/token?") {
                Self::app(received, path, (life, number))
            } else if path.starts_with("/metadata/identity/oauth2/token?") {
                Self::machine(received, path, (life, number))
            } else {
                Self::login(received, path, (life, number))
            }]
        })
        .unwrap();
        Self { upstream, life }
    }

    fn login(received: &Received, path: &str, (life, number): (u64, u64)) -> Act {
        let body = String::from_utf8(received.body.clone()).unwrap();
        let body =
            body.replace("%2D", "-").replace("%2E", ".").replace("%5F", "_").replace("%3A", ":").replace("%2F", "/");
        let has = |field: &str| body.split('&').any(|found| found == field);
        let is_right = path == "/tenant-1/oauth2/v2.0/token"
            && has("grant_type=client_credentials")
            && has("scope=https://cognitiveservices.azure.com/.default");
        let who = if has("client_id=client-1") && has("client_secret=planted%7Esecret") {
            Some("secret")
        } else if has("client_id=client-2")
            && has("client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
            && body.contains("client_assertion=planted-subject.")
        {
            Some("workload")
        } else {
            None
        };
        match who.filter(|_| is_right) {
            Some(_) if life == 0 => answer(503, JSON, b"planted"),
            Some(who) => {
                let text = format!(
                    r#"{{"token_type":"Bearer","expires_in":{life},"ext_expires_in":{life},"access_token":"eyJ.planted-{who}.{number}"}}"#
                );
                answer(200, JSON, text.as_bytes())
            }
            None => answer(
                401,
                JSON,
                br#"{"error":"invalid_client","error_description":"AADSTS7000215: planted","error_codes":[7000215],"trace_id":"x"}"#,
            ),
        }
    }

    fn machine(received: &Received, path: &str, (life, number): (u64, u64)) -> Act {
        if received.header("metadata") != "true" {
            return answer(400, JSON, br#"{"error":"bad_request_102","error_description":"planted"}"#);
        }
        let path = path.replace("%2D", "-").replace("%2E", ".").replace("%3A", ":").replace("%2F", "/");
        if !path.contains("api-version=2018-02-01&resource=https://cognitiveservices.azure.com") {
            return answer(400, JSON, br#"{"error":"invalid_resource"}"#);
        }
        let who = if path.ends_with("&client_id=client-3") { "user" } else { "system" };
        // A machine's metadata say numbers as texts.
        let text =
            format!(r#"{{"access_token":"eyJ.planted-{who}.{number}","expires_in":"{life}","token_type":"Bearer"}}"#);
        answer(200, JSON, text.as_bytes())
    }

    /// The endpoint of App Service and Container Apps: it wants its word, and says a token's end alone.
    fn app(received: &Received, path: &str, (life, number): (u64, u64)) -> Act {
        let path = path.replace("%2D", "-").replace("%2E", ".").replace("%3A", ":").replace("%2F", "/");
        if received.header("x-identity-header") != "planted-word" || !received.header("metadata").is_empty() {
            return answer(401, JSON, br#"{"statusCode":401,"message":"planted"}"#);
        }
        if !path.contains("api-version=2019-08-01&resource=https://cognitiveservices.azure.com") {
            return answer(400, JSON, br#"{"statusCode":400,"message":"planted"}"#);
        }
        if life == 0 {
            return answer(500, JSON, b"planted");
        }
        let who = if path.ends_with("&client_id=client-3") { "app-user" } else { "app" };
        let end = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + life;
        let text = format!(
            r#"{{"access_token":"eyJ.planted-{who}.{number}","expires_on":"{end}","resource":"https://cognitiveservices.azure.com","token_type":"Bearer","client_id":"x"}}"#
        );
        answer(200, JSON, text.as_bytes())
    }

    fn at(&self) -> String {
        format!("http://{}", self.upstream.address)
    }
}

/// A provider that answers whoever shows a token.
fn provider() -> Upstream {
    Upstream::start(|received| {
        let said = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
        let shown = received.header("authorization").starts_with("Bearer eyJ.planted-");
        vec![answer(if shown && received.header("api-key").is_empty() { 200 } else { 401 }, JSON, said.as_bytes())]
    })
    .unwrap()
}

fn azure(address: SocketAddr, credentials: &str) -> String {
    let one = format!(
        "  - {{name: only, type: AzureOpenAI, url: \"http://{address}\", credentials: {{type: Azure{credentials}}}}}\n"
    );
    pool("azure", &[one], "") + &rule("claude-x", "    targets: [{poolRef: {name: azure}}]\n")
}

fn last(upstream: &Upstream) -> String {
    upstream.received().last().map(|received| received.header("authorization").to_owned()).unwrap_or_default()
}

fn with(environment: &[(&str, &str)], text: &str) -> Proxy {
    Proxy::with_environment(environment, &[("all.yaml", text)], &["--log", "debug"]).unwrap()
}

const SECRET: &str =
    "apiVersion: v1\nkind: Secret\nmetadata: {name: azure}\nstringData: {api-key: \"planted~secret\"}\n---\n";
const BY_SECRET: &str = ", secretRef: {name: azure}, tenantID: tenant-1, clientID: client-1";

/// Calls until the provider is shown another token than at first; every call is answered. Gives the first one.
async fn renewed(proxy: &Proxy, upstream: &Upstream) -> String {
    let first = last(upstream);
    for _ in 0..ROUNDS {
        assert_eq!(status(proxy).await.0, 200);
        if last(upstream) != first {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_ne!(last(upstream), first, "it was renewed, and no call waited or failed");
    first
}

#[tokio::test]
async fn a_clients_secret_becomes_tokens_and_a_wrong_one_is_told_by_its_number() {
    let (entra, upstream) = (Entra::start(3), provider());
    let at = entra.at();
    let environment = [("AZURE_AUTHORITY_HOST", at.as_str())];
    let text = SECRET.to_owned() + &azure(upstream.address, BY_SECRET);
    let proxy = with(&environment, &text);
    until(&proxy, 200).await;
    let first = renewed(&proxy, &upstream).await;
    assert!(first.starts_with("Bearer eyJ.planted-secret."), "{first}");
    no_secret_is_told(&proxy);
    // A Secret that is replaced is followed, to the worse and to the better.
    proxy.write("all.yaml", &text.replace("planted~secret", "planted~other")).unwrap();
    until(&proxy, 503).await;
    let page = proxy.page("/status").unwrap().1;
    assert!(page.contains("it answered with status 401 (invalid_client, AADSTS7000215)"), "{page}");
    assert!(page.contains("the secret of the client client-1"), "{page}");
    proxy.write("all.yaml", &text).unwrap();
    until(&proxy, 200).await;
    entra.life.store(0, Ordering::SeqCst);
    until(&proxy, 503).await;
    no_secret_is_told(&proxy);
}

#[tokio::test]
async fn a_pods_own_token_is_shown_where_it_has_one_and_else_the_machine_is_asked() {
    let (entra, upstream) = (Entra::start(3600), provider());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "planted-subject.1\n").unwrap();
    let at = entra.at();
    let machine = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", at.as_str())];
    let workload = [
        ("AZURE_AUTHORITY_HOST", at.as_str()),
        ("AZURE_TENANT_ID", "tenant-1"),
        ("AZURE_CLIENT_ID", "client-2"),
        ("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap()),
    ];
    let by_secret = [
        ("AZURE_AUTHORITY_HOST", at.as_str()),
        ("AZURE_TENANT_ID", "tenant-1"),
        ("AZURE_CLIENT_ID", "client-1"),
        ("AZURE_CLIENT_SECRET", "planted~secret"),
        ("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap()),
    ];
    let endpoint = format!("{at}/msi/token");
    // Where both are there, the app's is asked and the machine is not.
    let app = [machine[0], ("IDENTITY_ENDPOINT", endpoint.as_str()), ("IDENTITY_HEADER", "planted-word")];
    let half = [machine[0], ("IDENTITY_ENDPOINT", endpoint.as_str())];
    for (environment, credentials, who) in [
        (&app[..], "", "app"),
        (&app[..], ", clientID: client-3", "app-user"),
        (&half[..], "", "system"),
        (&machine[..], "", "system"),
        (&machine[..], ", clientID: client-3", "user"),
        (&workload[..], "", "workload"),
        (&workload[..], ", tenantID: tenant-1, clientID: client-2", "workload"),
        (&by_secret[..], "", "secret"),
    ] {
        let proxy = with(environment, &azure(upstream.address, credentials));
        until(&proxy, 200).await;
        let shown = last(&upstream);
        assert!(shown.starts_with(&format!("Bearer eyJ.planted-{who}.")), "{who}: {shown}");
        no_secret_is_told(&proxy);
    }
    // A token of an app's is renewed beside the calls, and the last one goes on when there is none.
    entra.life.store(3, Ordering::SeqCst);
    let proxy = with(&app, &azure(upstream.address, ""));
    until(&proxy, 200).await;
    renewed(&proxy, &upstream).await;
    entra.life.store(0, Ordering::SeqCst);
    until(&proxy, 503).await;
    assert!(proxy.page("/status").unwrap().1.contains("the app's identity: it answered with status 500"));
    no_secret_is_told(&proxy);
    let elsewhere =
        azure(upstream.address, "").replace(&format!("http://{}", upstream.address), "https://x.azure.evil.example");
    let proxy = with(&machine, &elsewhere);
    assert!(proxy.page("/config").unwrap().1.contains("the gateway's own identity is shown to Azure alone"));
    assert_eq!(status(&proxy).await.0, 503);
}
