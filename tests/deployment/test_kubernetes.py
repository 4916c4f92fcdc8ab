from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.architecture.sources import ROOT
from tests.deployment.program import knows_command, settings_from

FOLDER = ROOT / "deploy" / "kubernetes"
OLDEST = "1.30"
"""The sleep before a pod stops came then."""
SECRET = {
    "DRPO_DATABASE__URL": "postgresql://drpo:a-password@stores/drpo",
    "DRPO_REDIS__URL": "redis://stores:6379/0",
    "DRPO_SERVER__API_KEY": "a-key-of-the-caller",
}


def kustomization() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text(encoding="utf-8"))
    return found


def resources() -> Iterator[dict[str, Any]]:
    for name in kustomization()["resources"]:
        yield from yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8"))


def named(kind: str) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in resources() if item["kind"] == kind}


def workloads() -> dict[str, dict[str, Any]]:
    return named("Deployment") | named("Job")


def pod_of(workload: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = workload["spec"]["template"]["spec"]
    return pod


def container_of(workload: dict[str, Any]) -> dict[str, Any]:
    [container] = pod_of(workload)["containers"]
    assert isinstance(container, dict)
    return container


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
def test_every_resource_is_valid(version: str) -> None:
    checked = 0
    for resource in resources():
        kubernetes_validate.validate(resource, version, strict=True)
        checked += 1
    assert checked > 8


def test_the_validator_finds_a_misspelt_field() -> None:
    broken = named("Deployment")["drpo-api"]
    broken["spec"]["replica"] = broken["spec"].pop("replicas")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, OLDEST, strict=True)


def test_every_file_of_the_folder_is_used() -> None:
    used = {"kustomization.yaml", "README.md", *kustomization()["resources"]}
    used |= {name for maps in kustomization()["configMapGenerator"] for name in maps["files"]}
    assert {path.name for path in FOLDER.iterdir()} == used


@pytest.mark.parametrize("name", ["drpo-api", "drpo-worker", "drpo-migrate"])
async def test_a_container_s_command_and_environment_are_what_the_program_takes(name: str) -> None:
    container = container_of(workloads()[name])
    assert await knows_command(container["args"])
    given = {item["name"]: item["value"] for item in container.get("env", [])}
    if "DRPO_CONFIG" in given:
        given["DRPO_CONFIG"] = str(FOLDER / "drpo.toml")
    assert [source["secretRef"]["name"] for source in container["envFrom"]] == ["drpo"]
    status, said = await settings_from(given | SECRET)
    assert status == 0, said
    assert SECRET["DRPO_DATABASE__URL"] in said


@pytest.mark.parametrize("name", ["drpo-api", "drpo-worker", "drpo-migrate"])
def test_a_pod_may_nothing_that_it_need_not(name: str) -> None:
    pod, container = pod_of(workloads()[name]), container_of(workloads()[name])
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    allowed = container["securityContext"]
    assert allowed["readOnlyRootFilesystem"] is True
    assert allowed["allowPrivilegeEscalation"] is False
    assert allowed["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("name", ["drpo-api", "drpo-worker"])
def test_a_deployment_has_two_probed_replicas_and_a_disruption_budget(name: str) -> None:
    deployment = named("Deployment")[name]
    container = container_of(deployment)
    assert deployment["spec"]["replicas"] == 2
    ports = {port["name"] for port in container["ports"]}
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert "http" in ports
    budget = named("PodDisruptionBudget")[name]
    chosen = budget["spec"]["selector"]["matchLabels"].items()
    assert chosen <= deployment["spec"]["template"]["metadata"]["labels"].items()
