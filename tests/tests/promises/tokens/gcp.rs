//! Tokens of Google's: got of a token service with a service account's key or another provider's token, or of the metadata server;
//! renewed, kept, waited for, and never told.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Received, Upstream, answer};

use super::{JSON, ROUNDS, status, until};
use crate::resources::{pool, rule};

/// A service account's key: what signs, and what others check that by.
struct Account {
    email: String,
    pem: String,
    public: Vec<u8>,
}

impl Account {
    fn new(email: &str) -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let der = pkcs8.as_ref().to_vec();
        let lines: Vec<String> =
            STANDARD.encode(der).as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
        Self { email: email.to_owned(), pem, public: pair.public_key().as_ref().to_vec() }
    }

    /// A line of the key that nobody may see.
    fn planted(&self) -> &str {
        self.pem.lines().nth(3).unwrap()
    }

    fn file(&self, service: SocketAddr) -> String {
        let file = serde_json::json!({
            "type": "service_account", "client_email": self.email, "private_key": self.pem, "private_key_id": "k-1",
            "token_uri": format!("http://{service}/token"),
        });
        file.to_string()
    }

    fn secret(&self, service: SocketAddr) -> String {
        let text = Value::String(self.file(service)).to_string();
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: google}}\nstringData: {{api-key: {text}}}\n---\n")
    }
}

/// What the token service does next.
#[derive(Clone)]
enum Mood {
    Gives(u64),
    Says(u16, &'static str),
    Breaks,
}

/// A token service: it looks at what it is shown as Google's does, and numbers its tokens.
struct Service {
    upstream: Upstream,
    mood: Arc<Mutex<Mood>>,
    given: Arc<AtomicU64>,
}

impl Service {
    fn start(accounts: Vec<Arc<Account>>, mood: Mood) -> Self {
        let (mood, given) = (Arc::new(Mutex::new(mood)), Arc::new(AtomicU64::new(0)));
        let (now, number) = (Arc::clone(&mood), Arc::clone(&given));
        let upstream = Upstream::start(move |received| {
            let path = received.head.split(' ').nth(1).unwrap_or_default();
            let who = match path {
                "/token" => asserted(received, &accounts),
                "/exchange" => exchanged(received),
                "/impersonate" => return vec![impersonated(received)],
                _ => machine(received),
            };
            let (status, body) = match (now.lock().unwrap().clone(), who) {
                (Mood::Breaks, _) => return vec![Act::Reset],
                (Mood::Says(status, body), _) => (status, body.to_owned()),
                (Mood::Gives(_), None) => (400, r#"{"error":"invalid_grant"}"#.to_owned()),
                (Mood::Gives(life), Some(who)) => {
                    let number = number.fetch_add(1, Ordering::SeqCst) + 1;
                    let token = format!("ya29.planted-{who}-{number}");
                    (200, format!(r#"{{"access_token":"{token}","expires_in":{life},"token_type":"Bearer"}}"#))
                }
            };
            vec![answer(status, JSON, body.as_bytes())]
        })
        .unwrap();
        Self { upstream, mood, given }
    }

    fn becomes(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

/// Whoever asks the metadata server as one does.
fn machine(received: &Received) -> Option<String> {
    let head = received.head.to_lowercase();
    let is_good = head.starts_with("get /computemetadata/v1/instance/service-accounts/default/token ");
    (is_good && head.contains("metadata-flavor: google")).then(|| "machine".to_owned())
}

/// Whoever a federation knows by the token of another identity provider.
fn exchanged(received: &Received) -> Option<String> {
    let body = String::from_utf8(received.body.clone()).ok()?;
    let decoded = |text: &str| text.replace("%3A", ":").replace("%2F", "/").replace("%2E", ".").replace("%2D", "-");
    let field = |name: &str| {
        let mut fields = body.split('&').filter_map(|field| field.split_once('='));
        fields.find(|(found, _)| *found == name).map(|(_, value)| decoded(value).replace("%5F", "_"))
    };
    let is_good = field("grant_type")? == "urn:ietf:params:oauth:grant-type:token-exchange"
        && field("audience")? == "//iam.googleapis.com/projects/1/pools/p"
        && field("requested_token_type")? == "urn:ietf:params:oauth:token-type:access_token"
        && field("subject_token_type")? == "urn:ietf:params:oauth:token-type:jwt"
        && field("scope")? == "https://www.googleapis.com/auth/cloud-platform";
    is_good.then_some(())?;
    field("subject_token")?.strip_prefix("planted-subject-").map(|number| format!("subject-{number}"))
}

/// A service account's token, for who has exchanged one.
fn impersonated(received: &Received) -> Act {
    let shown = received.head.to_lowercase().contains("authorization: bearer ya29.planted-subject-");
    let body: Value = serde_json::from_slice(&received.body).unwrap_or_default();
    if !shown || body["scope"][0] != "https://www.googleapis.com/auth/cloud-platform" {
        return answer(403, JSON, br#"{"error":{"code":403,"message":"planted","status":"PERMISSION_DENIED"}}"#);
    }
    answer(200, JSON, br#"{"accessToken":"ya29.planted-impersonated","expireTime":"2099-01-01T00:00:00Z"}"#)
}

/// The account whose assertion this is.
fn asserted(received: &Received, accounts: &[Arc<Account>]) -> Option<String> {
    let body = String::from_utf8(received.body.clone()).ok()?;
    let body = body.replace("%2D", "-").replace("%2E", ".").replace("%5F", "_");
    let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
    let (said, signature) = body.strip_prefix(grant)?.rsplit_once('.')?;
    let (head, claims) = said.split_once('.')?;
    let read = |part: &str| -> Option<Value> { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok() };
    let (head, claims) = (read(head)?, read(claims)?);
    let account = accounts.iter().find(|account| claims["iss"] == account.email.as_str())?;
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &account.public);
    key.verify(said.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    let life = claims["exp"].as_u64()?.checked_sub(claims["iat"].as_u64()?)?;
    let is_good = head["alg"] == "RS256"
        && head["kid"] == "k-1"
        && claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
        && claims["aud"].as_str()?.ends_with("/token")
        && (1..=3600).contains(&life);
    is_good.then(|| account.email.clone())
}

/// A provider that answers whoever shows a token.
fn provider() -> Upstream {
    Upstream::start(|received| {
        let said = r#"{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"text","text":"x"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":2}}"#;
        let shown = received.head.to_lowercase().contains("authorization: bearer ya29.planted-");
        vec![answer(if shown { 200 } else { 401 }, JSON, said.as_bytes())]
    })
    .unwrap()
}

const BY_KEY: &str = "credentials: {type: GCP, secretRef: {name: google}}";
const BY_MACHINE: &str = "credentials: {type: GCP}";

fn vertex(address: SocketAddr, credentials: &str, others: &str) -> String {
    let place = "vertexAI: {project: p, location: global}";
    let one = format!("  - {{name: only, type: VertexAI, url: \"http://{address}\", {place}, {credentials}}}\n");
    pool("vertex", &[one, others.to_owned()], "") + &rule("claude-x", "    targets: [{poolRef: {name: vertex}}]\n")
}

/// The tokens that the provider was shown, each once.
fn shown(upstream: &Upstream) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    for received in upstream.received() {
        let token = received.head.split_once("ya29.").and_then(|(_, rest)| rest.lines().next()).unwrap_or_default();
        if tokens.last().is_none_or(|last| last != token) {
            tokens.push(token.to_owned());
        }
    }
    tokens
}

/// Waits until the log tells of the account and of this.
async fn logged(proxy: &Proxy, why: &str) {
    for _ in 0..ROUNDS {
        if proxy.log().iter().any(|line| line.contains(why) && line.contains("a@p.iam")) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{why}: {}", proxy.log().join("\n"));
}

fn no_secret_is_told(proxy: &Proxy, account: &Account) {
    super::no_secret_is_told(proxy);
    let pages = ["/metrics", "/config", "/status"].map(|path| proxy.page(path).unwrap().1).concat();
    let told = proxy.log().join("\n") + &pages;
    assert!(!told.contains("planted") && !told.contains(account.planted()), "{told}");
    assert!(!told.contains("BEGIN PRIVATE KEY"), "{told}");
}

#[tokio::test]
async fn a_key_becomes_tokens_which_are_renewed_before_their_end_and_beside_the_calls() {
    let account = Arc::new(Account::new("a@p.iam"));
    let (service, upstream) = (Service::start(vec![Arc::clone(&account)], Mood::Gives(2)), provider());
    let text = account.secret(service.upstream.address) + &vertex(upstream.address, BY_KEY, "");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--log", "debug", "--workers", "2"]).unwrap();
    for _ in 0..ROUNDS {
        let (status, text) = status(&proxy).await;
        assert_eq!(status, 200, "{text}\n{}", proxy.log().join("\n"));
        if shown(&upstream).len() >= 3 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let shown = shown(&upstream);
    assert!(shown.len() >= 3 && shown[0] == "planted-a@p.iam-1", "{shown:?}");
    // One at a time: no token was got that nobody could see.
    let given = service.given.load(Ordering::SeqCst);
    assert!(given <= shown.len() as u64 + 1, "{given} {shown:?}");
    no_secret_is_told(&proxy, &account);
}

#[tokio::test]
async fn the_last_token_is_kept_to_its_end_and_then_others_answer_or_the_caller_is_told() {
    let account = Arc::new(Account::new("a@p.iam"));
    let (service, upstream) = (Service::start(vec![Arc::clone(&account)], Mood::Gives(6)), provider());
    let text = account.secret(service.upstream.address) + &vertex(upstream.address, BY_KEY, "");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--log", "debug"]).unwrap();
    until(&proxy, 200).await;
    service.becomes(Mood::Breaks);
    let asked = service.upstream.calls();
    for _ in 0..ROUNDS {
        if service.upstream.calls() > asked {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    // A renewal has failed, and nobody has noticed.
    assert_eq!(status(&proxy).await.0, 200);
    let told = until(&proxy, 503).await;
    assert!(told.contains("no token for provider `only`"), "{told}");
    let spare = "  - {name: spare, type: Simulated, priority: 1}\n";
    let text = account.secret(service.upstream.address) + &vertex(upstream.address, BY_KEY, spare);
    proxy.write("all.yaml", &text).unwrap();
    until(&proxy, 200).await;
    let calls = upstream.calls();
    assert_eq!(status(&proxy).await.0, 200);
    assert_eq!(upstream.calls(), calls, "the provider without a token was asked");
    service.becomes(Mood::Gives(3600));
    for _ in 0..ROUNDS {
        assert_eq!(status(&proxy).await.0, 200);
        if upstream.calls() > calls {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(upstream.calls() > calls, "{}", proxy.log().join("\n"));
    no_secret_is_told(&proxy, &account);
}

#[tokio::test]
async fn a_wrong_answer_is_no_token_and_a_right_one_mends_it() {
    let account = Arc::new(Account::new("a@p.iam"));
    for (wrong, why) in [
        (Mood::Says(400, r#"{"error":"invalid_grant","error_description":"planted"}"#), "status 400 (invalid_grant)"),
        (Mood::Says(503, "<html>planted"), "status 503"),
        (Mood::Says(302, ""), "status 302"),
        (Mood::Says(200, r#"{"access_token":"planted"}"#), "holds no token"),
        (Mood::Says(200, r#"{"access_token":"planted\nx","expires_in":9}"#), "none that a header can carry"),
    ] {
        let (service, upstream) = (Service::start(vec![Arc::clone(&account)], wrong), provider());
        let text = account.secret(service.upstream.address) + &vertex(upstream.address, BY_KEY, "");
        let proxy = Proxy::start(&[("all.yaml", &text)], &["--log", "debug"]).unwrap();
        let told = until(&proxy, 503).await;
        assert!(told.contains("no token for provider `only`"), "{told}");
        assert_eq!(upstream.calls(), 0);
        logged(&proxy, why).await;
        service.becomes(Mood::Gives(3600));
        until(&proxy, 200).await;
        no_secret_is_told(&proxy, &account);
    }
}

#[tokio::test]
async fn a_rotated_key_brings_tokens_of_its_own_and_no_call_notices() {
    let (old, new) = (Arc::new(Account::new("old@p.iam")), Arc::new(Account::new("new@p.iam")));
    let accounts = vec![Arc::clone(&old), Arc::clone(&new)];
    let (service, upstream) = (Service::start(accounts, Mood::Gives(3600)), provider());
    let of = |account: &Account| account.secret(service.upstream.address) + &vertex(upstream.address, BY_KEY, "");
    let proxy = Proxy::start(&[("all.yaml", &of(&old))], &[]).unwrap();
    until(&proxy, 200).await;
    proxy.write("all.yaml", &of(&new)).unwrap();
    for _ in 0..ROUNDS {
        assert_eq!(status(&proxy).await.0, 200);
        if shown(&upstream).len() > 1 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(shown(&upstream), ["planted-old@p.iam-1", "planted-new@p.iam-2"]);
    // What is no key is told, and the one before goes on.
    let broken = of(&new).replace("service_account", "external_account");
    proxy.write("all.yaml", &broken).unwrap();
    for _ in 0..ROUNDS {
        if proxy.page("/config").unwrap().1.contains("holds no key of a service account") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(proxy.page("/config").unwrap().1.contains("holds no key of a service account"));
    // Nor is one that would be sent to anybody: that is said, and not where.
    let sent_away =
        of(&new).replace(&format!("http://{}/token", service.upstream.address), "http://nobody.example/token");
    proxy.write("all.yaml", &sent_away).unwrap();
    let is_told = |proxy: &Proxy| proxy.page("/config").unwrap().1.contains("whose token_uri is none to ask");
    proxy.until("the token_uri is told", is_told).await.unwrap();
    assert_eq!(status(&proxy).await.0, 200);
    no_secret_is_told(&proxy, &new);
}

#[tokio::test]
async fn the_metadata_server_is_asked_who_this_is_and_google_alone_is_told() {
    let account = Account::new("nobody");
    let (service, upstream) = (Service::start(Vec::new(), Mood::Gives(3600)), provider());
    let text = vertex(upstream.address, BY_MACHINE, "");
    let host = service.upstream.address.to_string();
    let environment = [("GCE_METADATA_HOST", host.as_str())];
    let proxy = Proxy::with_environment(&environment, &[("all.yaml", &text)], &[]).unwrap();
    until(&proxy, 200).await;
    assert_eq!(shown(&upstream), ["planted-machine-1"]);
    no_secret_is_told(&proxy, &account);
    let elsewhere = text.replace(&format!("http://{}", upstream.address), "https://collector.example");
    let proxy = Proxy::with_environment(&environment, &[("all.yaml", &elsewhere)], &[]).unwrap();
    assert!(proxy.page("/config").unwrap().1.contains("the gateway's own identity is shown to Google alone"));
    assert_eq!(status(&proxy).await.0, 503);
}

#[tokio::test]
async fn a_file_says_who_this_is_by_a_key_or_by_another_providers_token_and_is_read_anew() {
    let account = Arc::new(Account::new("a@p.iam"));
    let (service, upstream) = (Service::start(vec![Arc::clone(&account)], Mood::Gives(2)), provider());
    let at = service.upstream.address;
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let federation = |more: &str| {
        let file = place("subject");
        format!(
            r#"{{"type":"external_account","audience":"//iam.googleapis.com/projects/1/pools/p","subject_token_type":"urn:ietf:params:oauth:token-type:jwt","token_url":"http://{at}/exchange","credential_source":{{"file":"{file}"}}{more}}}"#
        )
    };
    std::fs::write(place("subject"), "planted-subject-1\n").unwrap();
    std::fs::write(place("adc.json"), account.file(at)).unwrap();
    let adc = place("adc.json");
    let environment = [("GOOGLE_APPLICATION_CREDENTIALS", adc.as_str())];
    let text = vertex(upstream.address, BY_MACHINE, "");
    let proxy = Proxy::with_environment(&environment, &[("all.yaml", &text)], &[]).unwrap();
    until(&proxy, 200).await;
    assert!(shown(&upstream)[0].starts_with("planted-a@p.iam-"), "{:?}", shown(&upstream));
    // The next ones are got as the file says then: by an exchange, of a subject's token that is renewed, and as a service account.
    let impersonation = format!(r#","service_account_impersonation_url":"http://{at}/impersonate""#);
    for (file, subject, wanted) in [
        (federation(""), "planted-subject-1", "planted-subject-1-"),
        (federation(""), "planted-subject-2", "planted-subject-2-"),
        (federation(&impersonation), "planted-subject-2", "planted-impersonated"),
    ] {
        std::fs::write(place("subject"), subject).unwrap();
        std::fs::write(place("adc.json"), file).unwrap();
        for _ in 0..ROUNDS {
            assert_eq!(status(&proxy).await.0, 200);
            if shown(&upstream).last().is_some_and(|token| token.starts_with(wanted)) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let shown = shown(&upstream);
        assert!(shown.last().unwrap().starts_with(wanted), "{wanted}: {shown:?}\n{}", proxy.log().join("\n"));
    }
    no_secret_is_told(&proxy, &account);
}

#[tokio::test]
async fn a_token_is_shown_on_the_status_page_and_in_the_metrics() {
    let account = Arc::new(Account::new("a@p.iam"));
    let (service, upstream) = (Service::start(vec![Arc::clone(&account)], Mood::Gives(3600)), provider());
    let text = account.secret(service.upstream.address) + &vertex(upstream.address, BY_KEY, "");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "4"]).unwrap();
    until(&proxy, 200).await;
    for _ in 0..20 {
        assert_eq!(status(&proxy).await.0, 200);
    }
    // One for all workers and all calls.
    assert_eq!(service.upstream.calls(), 1);
    let page: Value = serde_json::from_str(&proxy.page("/status").unwrap().1).unwrap();
    let token = &page["cloudTokens"][0];
    assert_eq!((&token["cloud"], &token["source"]), (&"gcp".into(), &"the key of a@p.iam".into()), "{page}");
    assert!(token["goodForSeconds"].as_u64().unwrap() > 3000 && token["failing"].is_null(), "{page}");
    let metrics = proxy.page("/metrics").unwrap().1;
    for line in [
        r#"sluicegate_cloud_token_fetches_total{cloud="gcp",outcome="ok"} 1"#,
        r#"sluicegate_cloud_tokens{cloud="gcp"} 1"#,
        r#"sluicegate_cloud_tokens_good{cloud="gcp"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    no_secret_is_told(&proxy, &account);
}

#[tokio::test]
async fn a_token_that_a_provider_refuses_is_asked_for_anew_before_it_is_over() {
    let account = Arc::new(Account::new("a@p.iam"));
    let service = Service::start(vec![Arc::clone(&account)], Mood::Gives(3600));
    // The first one was withdrawn.
    let upstream = Upstream::start(|received| {
        let said = r#"{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"text","text":"x"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":2}}"#;
        let withdrawn = received.header("authorization").ends_with("-1");
        vec![answer(if withdrawn { 401 } else { 200 }, JSON, said.as_bytes())]
    })
    .unwrap();
    let text = account.secret(service.upstream.address) + &vertex(upstream.address, BY_KEY, "");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    assert_eq!((status(&proxy).await.0, upstream.calls()), (502, 1));
    for _ in 0..ROUNDS * 3 {
        if service.given.load(Ordering::SeqCst) > 1 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    until(&proxy, 200).await;
    assert_eq!(service.given.load(Ordering::SeqCst), 2);
    no_secret_is_told(&proxy, &account);
}
