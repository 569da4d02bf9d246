//! What the chart refuses, and in which words.

use crate::helm::BOTH;

/// Settings that are refused, and what must be said then.
const REFUSED: &[(&str, &str)] = &[
    ("proxy.replica=3", "at '/proxy': additional properties 'replica' not allowed"),
    ("proxy.settings.drainTimeOut=30s", "at '/proxy/settings': additional properties 'drainTimeOut' not allowed"),
    ("oprator.replicas=2", "additional properties 'oprator' not allowed"),
    ("proxy.settings.drainTimeout=soon", "at '/proxy/settings/drainTimeout': 'soon' does not match pattern"),
    ("proxy.settings.logSample=2", "at '/proxy/settings/logSample': maximum: got 2, want 1"),
    ("proxy.settings.logSample=1.5", "at '/proxy/settings/logSample': '1.5' does not match pattern"),
    ("image.registry=https://r.example", "at '/image/registry': 'https://r.example' does not match pattern"),
    (
        "proxy.service.type=Loadbalancer",
        "at '/proxy/service/type': value must be one of 'ClusterIP', 'NodePort', 'LoadBalancer'",
    ),
    (
        "proxy.autoscaling.hpa.enabled=true,proxy.autoscaling.keda.enabled=true",
        "at '/proxy/autoscaling/hpa/enabled': value must be false",
    ),
    (
        "monitoring.serviceMonitor.enabled=true,monitoring.podMonitor.enabled=true",
        "at '/monitoring/podMonitor/enabled': value must be false",
    ),
    ("redis.cluster.enabled=true,redis.urls={redis://a:6379}", "at '/redis/urls': maxItems: got 1, want 0"),
    ("redis.urls={http://a:6379}", "at '/redis/urls/0': 'http://a:6379' does not match pattern"),
    ("redis.urls={redis:6379}", "at '/redis/urls/0': 'redis:6379' does not match pattern"),
    ("redis.urls={redis://x:6379/x}", "at '/redis/urls/0': 'redis://x:6379/x' does not match pattern"),
    ("redis.urls={redis://:6379}", "at '/redis/urls/0': 'redis://:6379' does not match pattern"),
    (
        "proxy.settings.trustedProxies={inside}",
        "at '/proxy/settings/trustedProxies/0': 'inside' does not match pattern",
    ),
    ("proxy.settings.streamKeepAlive=0s", "at '/proxy/settings/streamKeepAlive': '0s' does not match pattern"),
    ("image.digest=sha256:abc", "at '/image/digest': 'sha256:abc' does not match pattern"),
    ("egress.proxy=socks5://out:1080", "at '/egress/proxy': 'socks5://out:1080' does not match pattern"),
    ("egress.proxy=http://out:3128,egress.secretName=way-out", "at '/egress/proxy': maxLength"),
    ("egress.deniedNetworks={10.0.0.1}", "at '/egress/deniedNetworks/0': '10.0.0.1' does not match pattern"),
    ("egress.deniedNetworks={10.0.0.0/33}", "at '/egress/deniedNetworks/0': '10.0.0.0/33' does not match pattern"),
    ("egress.allowedNetworks={10.0.0.300/8}", "at '/egress/allowedNetworks/0': '10.0.0.300/8' does not match pattern"),
    ("egress.allowedNetworks={fd00::/129}", "at '/egress/allowedNetworks/0': 'fd00::/129' does not match pattern"),
    ("egress.noProxy={10.0.0.0/99}", "at '/egress/noProxy/0': '10.0.0.0/99' does not match pattern"),
    ("egress.proxy=http://out:70000", "at '/egress/proxy': 'http://out:70000' does not match pattern"),
    ("egress.secretKey=a b", "at '/egress/secretKey': 'a b' does not match pattern"),
    (
        "proxy.settings.trustedProxies={10.0.0.0/8,1.2.3}",
        "at '/proxy/settings/trustedProxies/1': '1.2.3' does not match pattern",
    ),
    (
        "proxy.service.loadBalancerSourceRanges={anywhere}",
        "at '/proxy/service/loadBalancerSourceRanges/0': 'anywhere' does not match pattern",
    ),
    ("proxy.service.port=70000", "at '/proxy/service/port': maximum: got 70,000, want 65,535"),
    ("proxy.bindAddress=localhost", "at '/proxy/bindAddress': 'localhost' does not match pattern"),
    ("proxy.bindAddress=:::", "at '/proxy/bindAddress': ':::' does not match pattern"),
    ("redis.urls={redis://a:6379?x=y}", "at '/redis/urls/0': 'redis://a:6379?x=y' does not match pattern"),
    ("proxy.settings.drainTimeout=99999999h", "at '/proxy/settings/drainTimeout': '99999999h' does not match pattern"),
    ("proxy.settings.drainTimeout=864000", "at '/proxy/settings/drainTimeout': maximum: got 864,000, want 99,999"),
    ("proxy.settings.drainDelay=3000m", "at '/proxy/settings/drainDelay': '3000m' does not match pattern"),
    ("proxy.settings.bodyTimeout=99999999999999999999h", "at '/proxy/settings/bodyTimeout': '"),
    (
        "proxy.settings.bodyLimit=99999999999Gi",
        "at '/proxy/settings/bodyLimit': '99999999999Gi' does not match pattern",
    ),
    ("proxy.settings.bodyLimit=1ki", "at '/proxy/settings/bodyLimit': '1ki' does not match pattern"),
    ("proxy.settings.workers=70000", "at '/proxy/settings/workers': maximum: got 70,000, want 65,535"),
    (
        "proxy.settings.corsOrigins={https://app.example:99999}",
        "at '/proxy/settings/corsOrigins/0': 'https://app.example:99999' does not match pattern",
    ),
    ("proxy.tls.secretName=My Secret", "at '/proxy/tls/secretName': 'My Secret' does not match pattern"),
    ("proxy.serviceAccount.name=Mine", "at '/proxy/serviceAccount/name': 'Mine' does not match pattern"),
    (
        "proxy.podDisruptionBudget.maxUnavailable=500%",
        "at '/proxy/podDisruptionBudget/maxUnavailable': '500%' does not match pattern",
    ),
    ("redis.urls={redis://a:70000}", "at '/redis/urls/0': 'redis://a:70000' does not match pattern"),
    ("redis.auth.passwordKey=a/b", "at '/redis/auth/passwordKey': 'a/b' does not match pattern"),
    ("image.registry=r.example:70000", "at '/image/registry': 'r.example:70000' does not match pattern"),
    ("nameOverride=Mine", "at '/nameOverride': 'Mine' does not match pattern"),
    // Beyond what a schema can say.
    ("proxy.settings.keepResponses=24h", "name the Secret of their keys in proxy.responseKeys.secretName"),
    (
        "redis.urls={redis://a:6379,redis://b:6379/1}",
        "redis.urls[1] names a database, and several URLs are nodes of a cluster, which has database 0 only",
    ),
    (
        "redis.cluster.enabled=true,redis.auth.secretName=s,redis.auth.usernameKey=u",
        "redis.auth.usernameKey: the chart's own nodes know the default user only",
    ),
    (
        "proxy.settings.memoryBudget=4Gi",
        "proxy.settings.memoryBudget: 4Gi leaves the process nothing of the memory limit, 1Gi (proxy.resources.limits.memory)",
    ),
    ("proxy.settings.memoryBudget=1073741824", "proxy.settings.memoryBudget: "),
    ("proxy.settings.memoryBudget=1G,proxy.resources.limits.memory=900M", "1G leaves the process nothing"),
    ("operator.priceList.custom=xyz", "operator.priceList.custom is no YAML"),
    (
        "operator.priceList.custom=kind: PriceList",
        "operator.priceList.custom is no PriceList of sluicegate.dev/v1alpha1",
    ),
    (
        "proxy.podLabels.app\\.kubernetes\\.io/name=x",
        "proxy.podLabels: app.kubernetes.io/name is the chart's own label",
    ),
    (
        "operator.podLabels.sluicegate\\.dev/gateway=x",
        "operator.podLabels: sluicegate.dev/gateway is the chart's own label",
    ),
    (
        "proxy.service.labels.app\\.kubernetes\\.io/version=x",
        "proxy.service.labels: app.kubernetes.io/version is the chart's",
    ),
    ("commonLabels.sluicegate\\.dev/gateway=x", "commonLabels: sluicegate.dev/gateway is the chart's own label"),
    (
        "proxy.autoscaling.hpa.enabled=true,proxy.resources.requests.cpu=null",
        "proxy.autoscaling.hpa.cpuPercent is of the CPU that a proxy requests, and proxy.resources requests none",
    ),
    (
        "proxy.autoscaling.keda.enabled=true,proxy.resources.requests=null",
        "proxy.autoscaling.keda.cpuPercent is of the CPU",
    ),
    ("trustedCA.configMapName=a,trustedCA.secretName=b", "trustedCA: name a ConfigMap or a Secret, not both"),
    ("commonLabels.app\\.kubernetes\\.io/name=x", "commonLabels: app.kubernetes.io/name is the chart's own label"),
    ("redis.urls={redis://:s3cret@a:6379}", "redis.urls[0] holds a login, which would stand in a ConfigMap"),
    ("proxy.tls.enabled=true", "proxy.tls: name the certificate's Secret in secretName, or enable certManager"),
    ("proxy.tls.plain.enabled=true", "proxy.tls.plain is the port beside TLS"),
    (
        "proxy.tls.enabled=true,proxy.tls.secretName=edge,proxy.tls.plain.enabled=true,proxy.service.port=80",
        "proxy.tls.plain.port and proxy.service.port are both 80",
    ),
    ("proxy.tls.enabled=true,proxy.tls.certManager.enabled=true", "proxy.tls.certManager.issuerRef: which issuer?"),
    (
        "proxy.autoscaling.hpa.enabled=true,proxy.autoscaling.minReplicas=9,proxy.autoscaling.maxReplicas=3",
        "proxy.autoscaling: maxReplicas (3) is less than minReplicas (9)",
    ),
    (
        "proxy.autoscaling.hpa.enabled=true,proxy.autoscaling.hpa.inflightPerPod=null,proxy.autoscaling.hpa.cpuPercent=null",
        "proxy.autoscaling.hpa: give inflightPerPod or cpuPercent",
    ),
];

#[test]
fn what_can_not_be_meant_is_refused_by_name() {
    for helm in BOTH {
        for (setting, said) in REFUSED {
            let error = helm.text(&[], &["--set", setting]).err();
            let error = error.unwrap_or_else(|| panic!("{helm:?} takes {setting}"));
            assert!(error.contains(said), "{helm:?} {setting}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}

#[test]
fn a_number_is_taken_however_it_is_written() {
    for helm in BOTH {
        for (set, wanted) in [("0.1", "0.1"), ("0", "0"), ("1", "1"), ("1.0", "1.0")] {
            for way in ["--set", "--set-string", "--set-json"] {
                let quoted = format!("proxy.settings.logSample={set}");
                let documents = helm.documents(&[], &[way, &quoted]);
                let settings = crate::helm::find(&documents, "ConfigMap/sluicegate-settings");
                let written = settings["data"]["SLUICEGATE_LOG_SAMPLE"].as_str().expect("a word");
                assert_eq!(written.parse::<f64>(), wanted.parse(), "{helm:?} {way} {set}");
            }
        }
    }
}

#[test]
fn the_schema_does_not_stand_in_the_way_of_a_parent_chart() {
    for helm in BOTH {
        helm.documents(&[], &["--set", "global.imageRegistry=example.com"]);
    }
}

#[test]
fn a_pod_has_the_time_that_its_proxy_takes_however_it_is_written() {
    for helm in BOTH {
        for (set, seconds) in [("10m", 620), ("010m", 620), ("08m", 500), ("90s", 110), ("1h", 3_620)] {
            let documents = helm.documents(&[], &["--set", &format!("proxy.settings.drainTimeout={set}")]);
            let deployment = crate::helm::find(&documents, "Deployment/sluicegate-proxy");
            assert_eq!(
                deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"], seconds,
                "{helm:?} {set}"
            );
        }
    }
}

#[test]
fn what_is_part_of_something_else_says_so_once() {
    for helm in BOTH {
        let text = helm.text(&[], &["--set", "commonLabels.app\\.kubernetes\\.io/part-of=shop"]).unwrap();
        assert!(text.contains("part-of: shop") && !text.contains("part-of: sluicegate"), "{helm:?}");
    }
}
