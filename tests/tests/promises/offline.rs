//! The operator's commands that need no cluster: what they print, and the status they end with.

use std::path::Path;
use std::process::{Command, Output};

use sluicegate_tests::binaries::binary;

const GOOD: &str = r"
apiVersion: sluicegate.dev/v1alpha1
kind: ProviderPool
metadata: {name: pool}
spec:
  providers:
  - {name: one, type: OpenAI, url: https://llm.example.com, credentials: {secretRef: {name: key, key: token}}}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {token: sk-planted}
---
apiVersion: sluicegate.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat}
spec: {rules: [{name: all, targets: [{poolRef: {name: pool}}]}]}
";

fn operator(arguments: &[&str]) -> Output {
    let output = Command::new(binary("sluicegate-operator").unwrap()).args(arguments).output().unwrap();
    let all = [&output.stdout[..], &output.stderr[..]].concat();
    assert!(!String::from_utf8_lossy(&all).contains("planted"), "a key is printed");
    output
}

fn compile(folder: &Path, output: &str) -> (Option<i32>, String) {
    let done = operator(&["compile", "--manifests", folder.to_str().unwrap(), "-o", output]);
    (done.status.code(), String::from_utf8(done.stdout).unwrap())
}

fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("all.yaml"), text).unwrap();
    folder
}

/// It is one program. An image that has lost the links to it still has both.
#[test]
fn the_program_is_what_its_name_or_its_first_word_says() {
    let said = |name: &str, words: &[&str]| {
        let output = Command::new(binary(name).unwrap()).args(words).output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let program = std::fs::canonicalize(binary("sluicegate").unwrap()).unwrap();
    for part in ["proxy", "operator"] {
        let name = format!("sluicegate-{part}");
        assert_eq!(std::fs::canonicalize(binary(&name).unwrap()).unwrap(), program, "{name}");
        let version = said(&name, &["--version"]);
        assert_eq!(version, (Some(0), format!("{name} {}\n", env!("CARGO_PKG_VERSION"))));
        assert_eq!(said("sluicegate", &[part, "--version"]), version);
        let help = said(&name, &["--help"]);
        assert!(help.1.contains(&format!("Usage: {name} ")), "{}", help.1);
        assert_eq!(said("sluicegate", &[part, "--help"]), help);
    }
    for words in [&[][..], &["--help"], &["simulator"], &["sluicegate-proxy"]] {
        let (status, text) = said("sluicegate", words);
        assert!(
            status == Some(2) && text.contains("sluicegate proxy") && text.contains("sluicegate operator"),
            "{text}"
        );
    }
}

#[test]
fn good_manifests_are_compiled_to_what_proxies_run_on() {
    let folder = folder(GOOD);
    let (status, text) = compile(folder.path(), "text");
    assert_eq!(status, Some(0), "{text}");
    assert!(text.ends_with("1 of 1 routes and 1 of 1 pools compile\n"), "{text}");
    let (status, json) = compile(folder.path(), "json");
    let (_, yaml) = compile(folder.path(), "yaml");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let yaml: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!((status, &json), (Some(0), &yaml));
    assert_eq!(json["snapshot"]["routes"]["default/chat"]["rules"][0]["targets"][0]["pool"], "default/pool");
    assert_eq!(json["verdicts"], serde_json::json!([]));
}

#[test]
fn what_is_refused_is_named_by_file_and_line_and_ends_with_one() {
    let folder = folder(&GOOD.replace("name: pool}}]", "name: absent}}]"));
    let (status, text) = compile(folder.path(), "text");
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("all.yaml:") && text.contains("error: LLMRoute default/chat: spec.rules[0]"), "{text}");
    let (status, json) = compile(folder.path(), "json");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((status, &json["verdicts"][0]["reason"]), (Some(1), &"BackendNotFound".into()));
    assert_eq!(json["verdicts"][0]["file"], "all.yaml");
}

#[test]
fn names_that_nobody_has_are_refused_and_words_in_the_wrong_place_say_what_to_write() {
    let route = |access: &str| {
        format!(
            "{GOOD}---\napiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: other}}\n\
             spec: {{{access}rules: [{{name: all, targets: [{{poolRef: {{name: pool}}}}]}}]}}\n"
        )
    };
    let consumer = |spec: &str| {
        format!(
            "{GOOD}---\napiVersion: sluicegate.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {{name: a}}\nspec: {{{spec}}}\n"
        )
    };
    let selector = |selector: &str| route(&format!("access: {{from: Selector, selector: {{{selector}}}}}, "));
    let keys = "keys: [{name: a, secretRef: {name: key, key: token}}]";
    for (text, told) in [
        (selector("namespaces: ['*']"), "no namespace is called \"*\""),
        (selector("namespaces: [Team]"), "no namespace is called \"Team\""),
        (selector("names: [chat-*]"), "no consumer is called \"chat-*\""),
        (selector("matchLabels: {'bad key!': a}"), "\"bad key!\" is no label's key"),
        (selector("matchLabels: {a: has space}"), "\"has space\" is no label's value"),
        (selector("matchExpressions: [{key: a, operator: In, values: ['*']}]"), "\"*\" is no label's value"),
        (consumer(&format!("labels: {{'bad key!': has space}}, {keys}")), "\"bad key!\" is no label's key"),
        (route("access: Known, "), "\"string\": write {from: Known}"),
        (consumer(&format!("models: {{allow: [demo]}}, {keys}")), "\"string\": its fields are exact, prefix, regex"),
        (consumer("keys: [{name: a, secretRef: planted}]"), "\"string\": its fields are key, name"),
        (consumer("keys: []"), "write at least one of keys, or jwt"),
        (consumer(""), "write at least one of keys, or jwt"),
        (consumer("keys: [{name: a}]"), "spec.keys[0]: write exactly one of secretRef and generate"),
        (consumer(&format!("disabled: 'yes', {keys}")), "\"string\": write true or false"),
    ] {
        let (status, said) = compile(folder(&text).path(), "text");
        assert!(status == Some(1) && said.contains(told), "{told}\n{said}");
    }
}

#[test]
fn what_cannot_be_read_ends_with_two() {
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(compile(empty.path(), "text").0, Some(2));
    assert_eq!(compile(&empty.path().join("absent"), "text").0, Some(2));
    assert_eq!(operator(&["compile"]).status.code(), Some(2));
    assert_eq!(operator(&[]).status.code(), Some(2));
    assert_eq!(operator(&["crds", "-o", "toml"]).status.code(), Some(2));
}

/// Exit status, and what is said to people who look at errors only.
fn errors(path: &Path) -> (Option<i32>, String) {
    let done = operator(&["compile", "--manifests", path.to_str().unwrap()]);
    (done.status.code(), String::from_utf8(done.stderr).unwrap())
}

#[test]
fn every_file_that_cannot_be_read_is_named_and_a_check_of_nothing_does_not_pass() {
    use std::os::unix::fs::symlink;
    let folder = folder(GOOD);
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("utf.yml"), b"kind: caf\xe9").unwrap();
    std::fs::write(at("huge.JSON"), vec![b' '; (4 << 20) + 1]).unwrap();
    symlink("loop-b.yaml", at("loop-a.yaml")).unwrap();
    symlink("loop-a.yaml", at("loop-b.yaml")).unwrap();
    symlink("nowhere", at("dangling.yaml")).unwrap();
    // What is not asked for is in nobody's way: other endings, hidden names, folders and links to them.
    std::fs::write(at("notes.txt"), b"\xff").unwrap();
    std::fs::write(at(".hidden.yaml"), b"\xff").unwrap();
    symlink(".", at("itself.yaml")).unwrap();
    let (status, said) = errors(folder.path());
    assert_eq!(status, Some(2), "{said}");
    let named: Vec<&str> = said.lines().map(|line| line.split(" cannot be read: ").next().unwrap()).collect();
    let wanted = ["dangling.yaml", "huge.JSON", "loop-a.yaml", "loop-b.yaml", "utf.yml"];
    assert_eq!(named, wanted.map(|name| format!("error: {}", at(name).display())), "{said}");
    assert!(said.contains("more than 4194304 bytes") && said.contains("not UTF-8: byte 9"), "{said}");

    for (text, told) in [
        ("# only a comment\n---\n", "there was nothing to check"),
        ("{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}}", "there was nothing to check"),
    ] {
        let (status, said) = errors(self::folder(text).path());
        assert!(status == Some(2) && said.contains(told), "{status:?} {said}");
    }
    let outer = tempfile::tempdir().unwrap();
    std::fs::create_dir(outer.path().join("inner")).unwrap();
    let (status, said) = errors(outer.path());
    assert!(status == Some(2) && said.contains("sub-folders are not read"), "{status:?} {said}");
    // A pipe in a folder would be waited for; one that is given by name is read.
    let pipe = outer.path().join("pipe.yaml");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (status, said) = errors(outer.path());
    assert!(status == Some(2) && said.contains("pipe.yaml cannot be read: it is not a regular file"), "{said}");
    let (whole, to) = (GOOD.to_owned(), pipe.clone());
    let writer = std::thread::spawn(move || std::fs::write(to, whole));
    assert_eq!(compile(&pipe, "text").0, Some(0));
    writer.join().unwrap().unwrap();
}

/// As `kubectl get -o json` and `-o yaml` write them, whatever wrote the bytes down.
#[test]
fn lists_are_read_and_json_and_yaml_in_their_dresses() {
    let objects: Vec<serde_json::Value> = serde_saphyr::from_multiple(GOOD).unwrap();
    let list = |kind: &str, version: &str, items: &[serde_json::Value]| serde_json::json!({"apiVersion": version, "kind": kind, "items": items});
    let of_ours =
        |kind: &str, item: &serde_json::Value| list(kind, "sluicegate.dev/v1alpha1", std::slice::from_ref(item));
    let nested =
        list("List", "v1", &[of_ours("ProviderPoolList", &objects[0]), list("SecretList", "v1", &objects[1..2])]);
    let tabs = serde_json::to_string_pretty(&list("List", "v1", &objects)).unwrap().replace("  ", "\t");
    let crlf = format!("\u{feff}%YAML 1.2\n{}...\n", GOOD.replacen('\n', "---\n", 1)).replace('\n', "\r\n");
    let texts = [tabs, crlf, format!("{nested}\n---\n{}", of_ours("LLMRouteList", &objects[2]))];
    for text in texts {
        let folder = folder(&text);
        let (status, said) = compile(folder.path(), "text");
        assert_eq!(status, Some(0), "{said}\n{text}");
        assert!(said.ends_with("1 of 1 routes and 1 of 1 pools compile\n"), "{said}");
    }
    // What is wrong within a list is told like anything else.
    let bad = list("List", "v1", &[serde_json::json!(7), serde_json::json!({"kind": "x"}), list("List", "v1", &[])]);
    let none = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": {}});
    let (status, said) = compile(folder(&format!("{bad}\n---\n{none}")).path(), "text");
    assert_eq!(status, Some(1), "{said}");
    for told in ["this is no object", "an object needs apiVersion and kind", "items must be a list of objects"] {
        assert!(said.contains(told), "{said}");
    }
}

#[test]
fn hostile_texts_are_refused_in_one_line_each() {
    for text in [
        "[".repeat(100_000),
        "apiVersion: v1\u{0}\nkind: Secret\n".to_owned(),
        "kind: [".to_owned(),
        format!("a: &a [x]\nb: {}", "[*a, ".repeat(50)),
        "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {name: a}\n".to_owned(),
        "apiVersion: sluicegate.dev/v9\nkind: LLMRoute\nmetadata: {name: a}\n".to_owned(),
        format!("{GOOD}---\n{}", GOOD.replace("name: pool}\n", "name: other}\n")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        // A name that would write to the terminal of whoever reads this.
        std::fs::write(folder.path().join("a\u{1b}[2J\n::error::.yaml"), &text).unwrap();
        let (status, said) = compile(folder.path(), "text");
        assert_eq!(status, Some(1), "{said}");
        let errors: Vec<&str> = said.lines().filter(|line| line.contains(": error: ")).collect();
        assert!(
            !errors.is_empty() && errors.iter().all(|line| line.starts_with("a\u{fffd}[2J\u{fffd}::error::.yaml:")),
            "{said:?}"
        );
        assert!(!said.contains('\u{1b}'), "{said:?}");
    }
}

#[test]
fn the_kinds_are_printed_as_they_are_kept() {
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/manifests");
    let mut kept: Vec<serde_json::Value> = Vec::new();
    for entry in std::fs::read_dir(manifests).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        kept.extend(serde_saphyr::from_multiple::<serde_json::Value>(&text).unwrap());
    }
    kept.sort_by_key(|definition| definition["metadata"]["name"].to_string());
    let printed = operator(&["crds"]);
    assert!(printed.status.success());
    let yaml: Vec<serde_json::Value> =
        serde_saphyr::from_multiple(&String::from_utf8(printed.stdout).unwrap()).unwrap();
    assert_eq!(yaml, kept);
    let json: serde_json::Value = serde_json::from_slice(&operator(&["crds", "-o", "json"]).stdout).unwrap();
    assert_eq!(json["items"], serde_json::Value::Array(kept));
}
