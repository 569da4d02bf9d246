//! The control plane of the tests itself: it controls, tells accounts apart, and leaves nothing behind.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::{Api, ListParams, PostParams};
use serde_json::json;
use sluicegate_tests::kube::account::{self, Grant, rule};
use sluicegate_tests::kube::{ControlPlane, Options, connect, manifests, pod};

#[tokio::test]
async fn an_account_has_the_rights_it_was_given_and_no_others() {
    let cluster = ControlPlane::shared().unwrap();
    let admin = cluster.client().await.unwrap();
    let mine = manifests::namespace(&admin, "mine", &[]).await.unwrap();
    let grants = [
        Grant::In { namespace: mine.clone(), rules: vec![rule("", &["configmaps"], &["get", "list", "create"])] },
        Grant::Everywhere { rules: vec![rule("", &["pods"], &["list"])] },
    ];
    let config = account::create(&admin, cluster.kubeconfig(), (&mine, "reader"), &grants).await.unwrap();
    let client = connect(&config).await.unwrap();
    let mut written = ConfigMap::default();
    written.metadata.name = Some("one".to_owned());
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &mine);
    maps.create(&PostParams::default(), &written).await.unwrap();
    Api::<Pod>::all(client.clone()).list(&ListParams::default()).await.unwrap();
    let refused = [
        maps.delete("one", &Default::default()).await.map(drop).unwrap_err(),
        Api::<Secret>::namespaced(client.clone(), &mine).list(&ListParams::default()).await.map(drop).unwrap_err(),
        Api::<ConfigMap>::all(client).list(&ListParams::default()).await.map(drop).unwrap_err(),
    ];
    for error in refused {
        assert!(matches!(&error, kube::Error::Api(status) if status.code == 403), "{error}");
    }
}

#[tokio::test]
async fn a_pod_made_by_hand_is_ready_at_its_address_and_follows_what_is_written() {
    let cluster = ControlPlane::shared().unwrap();
    let client = cluster.client().await.unwrap();
    let namespace = manifests::namespace(&client, "pods", &[]).await.unwrap();
    let name = (namespace.as_str(), "one");
    let made = pod::create(&client, name, &json!({"app": "x"}), "127.0.0.1:9999".parse().unwrap()).await.unwrap();
    let status = made.status.unwrap();
    assert_eq!(status.pod_ip.as_deref(), Some("127.0.0.1"));
    assert_eq!(status.conditions.unwrap()[0].status, "True");
    let spec = made.spec.unwrap();
    let port = &spec.containers[0].ports.as_ref().unwrap()[0];
    assert_eq!((port.name.as_deref(), port.container_port), (Some("admin"), 9999));
    let unready = pod::set_ready(&client, name, false).await.unwrap().status.unwrap();
    assert_eq!((unready.pod_ip.as_deref(), &*unready.conditions.unwrap()[0].status), (Some("127.0.0.1"), "False"));
    pod::delete(&client, name).await.unwrap();
    assert!(Api::<Pod>::namespaced(client, &namespace).get_opt("one").await.unwrap().is_none());
}

#[tokio::test]
async fn controllers_collect_what_an_owner_leaves() {
    let client = ControlPlane::shared().unwrap().client().await.unwrap();
    let namespace = manifests::namespace(&client, "owner", &[]).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}});
    let owner = &manifests::apply(&client, &namespace, &owner.to_string()).await.unwrap()[0];
    let reference = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid});
    let owned = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "owned", "ownerReferences": [reference]}});
    manifests::apply(&client, &namespace, &owned.to_string()).await.unwrap();
    maps.delete("owner", &Default::default()).await.unwrap();
    for _ in 0..600 {
        if maps.get_opt("owned").await.unwrap().is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the owned object outlived its owner");
}

/// Processes whose working directory is this one.
fn at_work_in(folder: &Path) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let ours = processes.filter(|entry| std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == folder));
    ours.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_stopped_control_plane_leaves_no_process_and_no_file() {
    let cluster = ControlPlane::start_with(Options { controllers: false }).unwrap();
    let folder = cluster.kubeconfig().parent().unwrap().to_owned();
    assert_eq!(at_work_in(&folder).len(), 2, "etcd and the API server");
    cluster.stop().unwrap();
    assert_eq!(at_work_in(&folder), Vec::<String>::new());
    assert!(!folder.exists());
}
