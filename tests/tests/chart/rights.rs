//! Who may do what: no right is wider than its holder's work.

use serde_json::{Value, json};

use crate::cases::{all, case};
use crate::helm::{find, title};

fn rules(role: &Value) -> Vec<(String, Vec<String>)> {
    let words = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut found = Vec::new();
    for rule in role["rules"].as_array().expect("rules") {
        for resource in words(&rule["resources"]) {
            found.push((resource, words(&rule["verbs"])));
        }
    }
    found
}

const READ: [&str; 3] = ["get", "list", "watch"];

#[test]
fn proxies_read_two_kinds_in_one_namespace() {
    for case in all() {
        let role = find(&case.documents, "Role/sluicegate-proxy");
        assert_eq!(role["metadata"]["namespace"], "gateways");
        let rules = json!([{"apiGroups": [""], "resources": ["configmaps", "secrets"], "verbs": ["list", "watch"]}]);
        assert_eq!(role["rules"], rules);
        let proxy = find(&case.documents, "Deployment/sluicegate-proxy");
        let account = &proxy["spec"]["template"]["spec"]["serviceAccountName"];
        for document in &case.documents {
            let subjects = document["subjects"].as_array().into_iter().flatten();
            if subjects.into_iter().any(|subject| subject["name"] == *account) {
                assert_eq!(title(document), "RoleBinding/sluicegate-proxy", "{}", case.name);
            }
        }
    }
}

#[test]
fn what_is_written_outside_the_gateways_namespace_is_status_events_and_keys_where_they_are_made() {
    for case in all() {
        for role in &case.documents {
            let is_role = matches!(role["kind"].as_str(), Some("Role" | "ClusterRole"));
            if !is_role || role["metadata"]["namespace"] == "gateways" && !title(role).ends_with("-reading") {
                continue;
            }
            for (resource, verbs) in rules(role) {
                let allowed: &[&str] = match resource.as_str() {
                    "llmconsumers/status" | "llmroutes/status" | "providerpools/status" => &["patch"],
                    "events" => &["create"],
                    "secrets" if case.name == "everything" && verbs.contains(&"create".to_owned()) => {
                        &["create", "patch"]
                    }
                    _ => &READ,
                };
                let wide = verbs.iter().find(|verb| !allowed.contains(&verb.as_str()));
                assert!(wide.is_none(), "{}: {} may {wide:?} {resource}", case.name, title(role));
            }
        }
    }
}

/// That these are enough, the tests of a cluster show: their operators have no others.
#[test]
fn what_is_written_in_the_gateways_namespace_is_what_is_published_and_one_lease() {
    for case in all() {
        let role = find(&case.documents, "Role/sluicegate-operator");
        let published = ["list", "watch", "create", "patch", "delete"];
        let wanted: Vec<(String, Vec<String>)> = [
            ("configmaps", [&["get"][..], &published].concat()),
            ("secrets", published.to_vec()),
            ("pods", vec!["list", "watch"]),
            ("leases", vec!["create"]),
            ("leases", vec!["get", "update"]),
            ("events", vec!["create"]),
        ]
        .map(|(resource, verbs)| (resource.to_owned(), verbs.into_iter().map(str::to_owned).collect()))
        .into();
        assert_eq!(rules(role), wanted, "{}", case.name);
        let named: Vec<&Value> =
            role["rules"].as_array().expect("rules").iter().filter_map(|rule| rule.get("resourceNames")).collect();
        assert_eq!(named, [&json!(["sluicegate-operator-sluicegate"])], "{}", case.name);
    }
}

#[test]
fn nobody_may_everything() {
    for case in all() {
        for role in case.documents.iter().filter(|document| document.get("rules").is_some()) {
            assert!(!role["rules"].to_string().contains('*'), "{}: {}", case.name, title(role));
        }
    }
}

#[test]
fn with_a_list_of_namespaces_nothing_is_read_in_others() {
    let documents = &case("namespaced").documents;
    assert!(!documents.iter().any(|document| title(document).starts_with("ClusterRole")));
    for namespace in ["team-a", "team-b"] {
        let role = documents.iter().find(|document| {
            title(document) == "Role/sluicegate-operator-reading" && document["metadata"]["namespace"] == namespace
        });
        let read: Vec<String> =
            rules(role.expect("a Role in each")).into_iter().map(|(resource, _)| resource).collect();
        for resource in
            ["llmconsumers", "llmroutes", "providerpools", "secrets", "services", "endpointslices", "namespaces"]
        {
            assert!(read.iter().any(|known| known == resource), "{namespace}: {resource}");
        }
    }
    let operator = find(documents, "Deployment/sluicegate-operator");
    let args = operator["spec"]["template"]["spec"]["containers"][0]["args"].to_string();
    assert!(args.contains("--watch-namespaces=team-a,team-b"), "{args}");
}

#[test]
fn every_binding_binds_a_role_and_an_account_that_are_there() {
    for case in all().iter().filter(|case| case.name != "namespaced") {
        for binding in case.documents.iter().filter(|document| document.get("roleRef").is_some()) {
            let role = format!(
                "{}/{}",
                binding["roleRef"]["kind"].as_str().expect("a kind"),
                binding["roleRef"]["name"].as_str().expect("a name")
            );
            find(&case.documents, &role);
            for subject in binding["subjects"].as_array().expect("subjects") {
                find(&case.documents, &format!("ServiceAccount/{}", subject["name"].as_str().expect("a name")));
                assert_eq!(subject["namespace"], "gateways");
            }
        }
    }
}
