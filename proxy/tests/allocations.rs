//! How much memory a call takes: allocations are counted, over the whole process, and time never is.
//!
//! Client and provider are of this file and take nothing per call, so what is counted is the proxy's own.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test says what it expects")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use clap::Parser;
use sluicegate_proxy::process;
use sluicegate_proxy::settings::Settings;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// Calls that are counted, after as many that are not.
const CALLS: usize = 200;
/// There are 16 of them, reallocations included, and room for what other threads do now and then. Half are hyper's, towards
/// the client: its read buffer, header maps, a body's channel. Ours are the call's future, context, record and id, the
/// provider's request, and names and places of its answer's headers.
const MOST_PER_CALL: usize = 17;

const ANSWER: &str = concat!(
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 210\r\nx-request-id: theirs\r\n\r\n",
    r#"{"id":"a","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8} }"#
);

#[test]
fn a_verbatim_call_takes_few_allocations() {
    let provider = provide();
    let (address, proxy) = start(provider);
    let counted = thread::spawn(move || count(address)).join();
    // Stopped before anything is said: its log has this process's standard output to itself.
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).unwrap();
    proxy.join().unwrap();
    let taken = counted.unwrap();
    assert!(taken <= MOST_PER_CALL * CALLS, "{taken} allocations in {CALLS} calls");
}

/// The allocations of so many calls, behind as many that open and fill what stays.
fn count(proxy: SocketAddr) -> usize {
    let mut client = connect(proxy);
    let body = r#"{"model":"m","messages":[{"role":"user","content":"Hello, is anybody there?"}],"temperature":0.2}"#;
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\naccept: application/json\r\n\
         user-agent: test\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut answer = [0; 4096];
    call(&mut client, request.as_bytes(), &mut answer, CALLS);
    let region = Region::new(ALLOCATOR);
    call(&mut client, request.as_bytes(), &mut answer, CALLS);
    let change = region.change();
    change.allocations + change.reallocations
}

fn call(client: &mut TcpStream, request: &[u8], answer: &mut [u8], times: usize) {
    for _ in 0..times {
        client.write_all(request).unwrap();
        let mut filled = 0;
        while !answer[..filled].ends_with(b"} }") {
            let read = client.read(&mut answer[filled..]).unwrap();
            assert!(read > 0, "{}", String::from_utf8_lossy(&answer[..filled]));
            filled += read;
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..filled]));
    }
}

/// A provider that says the same to each request, which comes in one piece or ends with a piece of its own.
fn provide() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer_all(stream));
        }
    });
    address
}

fn answer_all(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let (mut asked, mut filled) = ([0; 4096], 0);
    while let Ok(read) = stream.read(&mut asked[filled..]) {
        filled += read;
        if read == 0 {
            return;
        }
        if asked[..filled].ends_with(b"0.2}") {
            filled = 0;
            stream.write_all(ANSWER.as_bytes()).unwrap();
        }
    }
}

/// A proxy with one worker; it stops as the process is told to.
fn start(provider: SocketAddr) -> (SocketAddr, thread::JoinHandle<()>) {
    // A folder in a folder of its own: the proxy hears of everything that happens beside its manifests.
    let own = tempfile::tempdir().unwrap();
    let folder = own.path().join("manifests");
    std::fs::create_dir(&folder).unwrap();
    let manifests = format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: p}}\n\
         spec: {{providers: [{{name: it, type: OpenAI, url: \"http://{provider}/v1\"}}]}}\n---\n\
         apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: r}}\n\
         spec: {{rules: [{{name: all, targets: [{{poolRef: {{name: p}}}}]}}]}}\n"
    );
    std::fs::write(folder.join("it.yaml"), manifests).unwrap();
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (address, admin) = (free(), free());
    let proxy = thread::spawn(move || {
        let listen = [address, admin].map(|address| address.to_string());
        let path = own.path().join("manifests").to_str().unwrap().to_owned();
        let words = ["sluicegate-proxy", "--manifests", &path, "--listen", &listen[0], "--admin-listen", &listen[1]];
        let settings = Settings::parse_from(words.into_iter().chain(["--workers", "1", "--log-sample", "0"]));
        let _code = process::run(settings);
    });
    (address, proxy)
}

fn connect(address: SocketAddr) -> TcpStream {
    for _ in 0..1_000 {
        if let Ok(stream) = TcpStream::connect(address) {
            stream.set_nodelay(true).unwrap();
            return stream;
        }
        thread::park_timeout(Duration::from_millis(10));
    }
    panic!("the proxy does not listen on {address}");
}
