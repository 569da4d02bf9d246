//! A process that can not serve does not start; one that has nothing to serve yet says so, and says "come again".

use http::{Method, Request};
use http_body_util::Full;
use sluicegate_tests::client::{Answer, Client};
use sluicegate_tests::listen::free_port;
use sluicegate_tests::proxy::Proxy;

use crate::resources::{CHAT, MESSAGES, WAYS, Way, chat, message, pool, route};

fn manifests() -> String {
    pool("p", &["  - {name: one, type: Simulated}\n".to_owned()], "") + &route("m", "p")
}

/// What the process says that does not start with these flags.
fn refused(flags: &[&str]) -> String {
    let text = manifests();
    match Proxy::begin(&[("all.yaml", &text)], flags) {
        Ok(proxy) => panic!("{flags:?} is taken:\n{}", proxy.log().join("\n")),
        Err(error) => error.to_string(),
    }
}

#[test]
fn settings_that_can_not_be_used_end_the_process_before_it_listens() {
    let url = "write redis://HOST:PORT, or rediss://HOST:PORT for TLS";
    for (flags, said) in [
        (&["--redis", "redis:6379"][..], &["--redis", "URL 1 of 1", "it names no host", url][..]),
        (&["--redis", "redis://x:6379/x"], &["URL 1 of 1", "not a database's number", url]),
        (&["--redis", "redis://a:6379,b:6379"], &["URL 2 of 2", "it is no URL of a Redis", url]),
        (&["--redis", "redis://:s3cret@a:6379,redis://:s3cret@b:639999"], &["URL 2 of 2", url]),
        (&["--redis", "http://a:6379"], &["it is no URL of a Redis", url]),
        (&["--redis", "unix:///run/redis"], &["a socket file can not be shared", url]),
        (&["--redis", ""], &["it is empty", url]),
        (&["--log", "info,=="], &["--log", "write a level or module=level"]),
        (&["--trusted-proxies", "10.0.0.0/8,inside"], &["--trusted-proxies", "write e.g. 10.0.0.0/8"]),
        (&["--tls-cert", "/nowhere/cert.pem", "--tls-key", "/nowhere/key.pem"], &["can not read /nowhere/cert.pem"]),
        (&["--tls-listen", "127.0.0.1:0"], &["--tls-cert"]),
        (&["--workers", "0"], &["--workers"]),
        (&["--max-connections", "0"], &["--max-connections", "above 0"]),
        (&["--header-limit", "10"], &["--header-limit", "1Ki or more"]),
        (&["--stream-keep-alive", "0s"], &["--stream-keep-alive", "above 0"]),
    ] {
        let error = refused(flags);
        assert!(error.contains("ended with exit status"), "{flags:?}: {error}");
        for word in said {
            assert!(error.contains(word), "{flags:?}: no {word:?} in {error}");
        }
        assert!(!error.contains("s3cret") && !error.contains("\"listening\""), "{flags:?}: {error}");
    }
}

/// The flags of a certificate that is put into a folder.
fn certificate(folder: &std::path::Path) -> [String; 4] {
    let made = rcgen::generate_simple_self_signed(["gateway.example".to_owned()]).unwrap();
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::write(&cert, made.cert.pem()).unwrap();
    let path = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
    ["--tls-cert".to_owned(), path(cert), "--tls-key".to_owned(), path(key)]
}

#[test]
fn an_address_that_is_taken_ends_the_process() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let manifests = folder.path().to_str().unwrap();
    let tls = certificate(folder.path());
    for flag in ["--listen", "--admin-listen", "--tls-listen"] {
        let mut command = std::process::Command::new(sluicegate_tests::binaries::binary("sluicegate-proxy").unwrap());
        command.args(["--manifests", manifests]).args(&tls);
        for each in ["--listen", "--admin-listen", "--tls-listen"] {
            command.args([each, if each == flag { &address } else { "127.0.0.1:0" }]);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(&format!("can not listen on {address}")), "{flag}: {said}");
    }
}

/// Two ports of one process at one address would share its connections between them.
#[test]
fn one_address_is_not_taken_for_two_ports() {
    let address = format!("127.0.0.1:{}", free_port().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let tls = certificate(folder.path());
    let mut command = std::process::Command::new(sluicegate_tests::binaries::binary("sluicegate-proxy").unwrap());
    command.args(["--manifests", folder.path().to_str().unwrap(), "--listen", &address, "--tls-listen", &address]);
    command.args(tls);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains(&format!("can not listen on {address}")), "{said}");
}

/// With hardly any descriptors some worker could not run: then there is no proxy at all, rather than a part of one.
#[tokio::test]
async fn a_ready_proxy_has_all_of_its_workers() {
    let text = manifests();
    let way = Way { anthropic: false, stream: false };
    let (mut ended, mut served) = (0, 0);
    for descriptors in (12..=120).step_by(12) {
        let flags = ["--workers", "4", "--drain-delay", "0s"];
        let proxy = Proxy::limited(descriptors, &[("all.yaml", &text)], &flags)
            .and_then(|mut proxy| proxy.ready_or_gone().map(|ready| (proxy, ready)));
        match proxy {
            Ok((proxy, true)) => {
                served += 1;
                for _ in 0..16 {
                    assert!(way.call(&Client::new(proxy.address), "m", &[]).await.is_good(), "{descriptors}");
                }
            }
            Ok((mut proxy, false)) => {
                ended += 1;
                assert!(!proxy.ended().await.unwrap().success(), "{descriptors}: {:?}", proxy.log());
            }
            Err(error) => {
                ended += 1;
                assert!(error.to_string().contains("ended with exit status"), "{descriptors}: {error:#}");
            }
        }
    }
    assert!(ended > 0 && served > 0, "{ended} did not start, {served} did");
}

async fn ask(client: &Client, method: Method, path: &str, anthropic: bool, body: &str) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    if anthropic {
        request = request.header("anthropic-version", "2023-06-01");
    }
    client.send(request.body(Full::from(body.to_owned())).unwrap()).await.unwrap()
}

/// Whatever is asked for, nobody is told that it is not there.
async fn says_come_again(proxy: &Proxy) {
    let (status, why) = proxy.page("/readyz").unwrap();
    assert!(status == 503 && why.contains("no configuration"), "{status} {why}");
    for client in [Client::new(proxy.address), Client::http2(proxy.address)] {
        for (method, path, anthropic, body) in [
            (Method::POST, CHAT, false, chat("m", false)),
            (Method::POST, CHAT, false, chat("m", true)),
            (Method::POST, MESSAGES, true, message("m", false)),
            (Method::POST, MESSAGES, true, message("m", true)),
            (Method::POST, "/v1/messages/count_tokens", true, message("m", false)),
            (Method::GET, "/v1/models", false, String::new()),
            (Method::GET, "/v1/models", true, String::new()),
            (Method::GET, "/v1/models/m", false, String::new()),
            (Method::GET, "/v1/models/m", true, String::new()),
        ] {
            let answer = ask(&client, method, path, anthropic, &body).await;
            assert_eq!(answer.status, 503, "{path} {anthropic}: {}", answer.text());
            assert_eq!((answer.header("x-should-retry"), answer.header("retry-after")), ("true", "1"), "{path}");
            let (kind, words) = Way { anthropic, stream: false }.error(&answer);
            assert_eq!(kind, if anthropic { "api_error" } else { "server_error" }, "{path}");
            assert!(words.contains("no configuration yet"), "{path}: {words}");
            assert!(!answer.header("x-request-id").is_empty());
        }
    }
}

#[tokio::test]
async fn without_a_folder_or_a_valid_route_callers_are_told_to_come_again() {
    let proxy = Proxy::begin(&[], &[]).unwrap();
    says_come_again(&proxy).await;
    // What is wrong with a path or a method is wrong with any configuration.
    assert_eq!(proxy.client().get("/v1/nothing").await.unwrap().status, 404);
    assert_eq!(proxy.client().get(CHAT).await.unwrap().status, 405);
    std::fs::create_dir(proxy.path("manifests")).unwrap();
    proxy.write("all.yaml", &manifests().replace("kind: LLMRoute", "kind: LLMRout")).unwrap();
    proxy
        .until("it has read a folder without a route", |proxy| {
            proxy.page("/config").is_ok_and(|(_, page)| page.contains("LLMRout"))
        })
        .await
        .unwrap();
    says_come_again(&proxy).await;
    let refused = proxy.metrics().unwrap().sum("sluicegate_requests_total", &[("outcome", "failed")]);
    assert!(refused > 30.0, "{refused} calls were counted");
    proxy.write("all.yaml", &manifests()).unwrap();
    proxy.ready().unwrap();
    for way in WAYS {
        assert!(way.call(&proxy.client(), "m", &[]).await.is_good());
        assert_eq!(way.call(&proxy.client(), "unknown", &[]).await.status, 404);
    }
}

#[tokio::test]
async fn without_an_api_server_callers_are_told_to_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("kubeconfig");
    let server = format!("http://127.0.0.1:{}", free_port().unwrap());
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{server: \"{server}\"}}}}]\n\
         users: [{{name: u, user: {{}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u, namespace: n}}}}]\n"
    );
    std::fs::write(&config, text).unwrap();
    let proxy = Proxy::watching(&config, ("gw", "n"), &[]).unwrap();
    says_come_again(&proxy).await;
}
