//! Objects that serve nobody say so although every proxy runs them, and say otherwise by themselves when that changes.

use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, DeleteParams};

use crate::gateway::{Gateway, objects, route};

const POOL: &str = "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {name: p}\nspec:\n  providers:\n  \
                    - {name: local, type: OpenAICompatible, serviceRef: {name: local, port: 80}}\n---\n";
const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: local}\nspec: {ports: [{port: 80}]}\n---\n\
                       apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: local-x, labels: {kubernetes.io/service-name: local}}\n\
                       addressType: IPv4\nports: [{port: 80}]\nendpoints: [{addresses: [10.255.0.1], conditions: {ready: true}}]\n";

#[tokio::test]
async fn a_pool_whose_only_service_is_not_there_and_its_routes_serve_nobody_until_it_is() {
    let gateway = Gateway::start(1).await;
    gateway.apply(&(POOL.to_owned() + &route("r", "p"))).await;
    for _ in 0..2 {
        let (message, _) = gateway.programmed("ProviderPool", "p", "False NotServed").await;
        assert!(message.contains("none of its providers has a pod that takes calls"), "{message}");
        let (message, _) = gateway.programmed("LLMRoute", "r", "False NotServed").await;
        assert!(message.contains("none of the pools that its rules name can serve"), "{message}");
        gateway.apply(SERVICE).await;
        gateway.programmed("ProviderPool", "p", "True Programmed").await;
        gateway.programmed("LLMRoute", "r", "True Programmed").await;
        let services: Api<Service> = Api::namespaced(gateway.client.clone(), &gateway.namespace);
        services.delete("local", &DeleteParams::default()).await.unwrap();
    }
}

#[tokio::test]
async fn a_consumer_all_of_whose_keys_are_anothers_is_nobody_until_they_are_its_own() {
    let gateway = Gateway::start(1).await;
    let secret = |name: &str, key: &str| {
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{api-key: {key}}}\n---\n")
    };
    let consumer = |name: &str| {
        format!(
            "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {{name: {name}}}\nspec: {{keys: [\
             {{name: one, secretRef: {{name: one}}}}, {{name: two, secretRef: {{name: two}}}}]}}\n---\n"
        )
    };
    let keys = secret("one", "the-first-key-that-two-have") + &secret("two", "the-second-key-that-two-have");
    gateway.apply(&(keys + &consumer("older"))).await;
    gateway.programmed("LLMConsumer", "older", "True Programmed").await;
    // Creation times are whole seconds.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    gateway.apply(&consumer("younger")).await;
    let (message, _) = gateway.programmed("LLMConsumer", "younger", "False NotServed").await;
    assert!(message.contains("each of its keys is another consumer's"), "{message}");
    let consumers = objects(&gateway.client, &gateway.namespace, "LLMConsumer");
    consumers.delete("older", &DeleteParams::default()).await.unwrap();
    gateway.programmed("LLMConsumer", "younger", "True Programmed").await;
}
