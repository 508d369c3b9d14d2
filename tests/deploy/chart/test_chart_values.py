"""values.schema.json accepts the chart's values and rejects invalid ones, without Helm."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

CHART = Path(__file__).parents[3] / "helm" / "gpserve"
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())


def values(text: str) -> Any:
    return yaml.safe_load(text)


def test_the_schema_is_valid() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


def test_the_defaults_are_accepted() -> None:
    VALIDATOR.validate(VALUES)


@pytest.mark.parametrize("path", sorted((CHART / "ci").glob("*")), ids=lambda path: path.stem)
def test_the_listed_combinations_are_accepted(path: Path) -> None:
    VALIDATOR.validate(yaml.safe_load(path.read_text()))


BAD = {
    "a misspelt value": ("autoscalling: {}", "autoscalling"),
    "a misspelt value inside": ("autoscaling: {minReplica: 1}", "minReplica"),
    "no pods": ("autoscaling: {minReplicas: 0}", "0 is less than the minimum"),
    "a third autoscaler": ("autoscaling: {mode: both}", "'both' is not one of"),
    "an unknown load metric": ("autoscaling: {load: {metric: cpu}}", "'cpu' is not one of"),
    "no target": ("autoscaling: {load: {targetRequestsPerSecond: 0}}", "0 is less than or equal"),
    "a target as text": ("autoscaling: {cpu: {targetUtilization: 70%}}", "'70%' is not of type"),
    "a yes that is text": ("ingress: {enabled: 'true'}", "'true' is not of type 'boolean'"),
    "a policy without a period": (
        "autoscaling: {behavior: {scaleUp: {policies: [{type: Pods, value: 4}]}}}",
        "'periodSeconds' is a required property",
    ),
    "a pull policy": ("image: {pullPolicy: Sometimes}", "'Sometimes' is not one of"),
    "a moving tag": ("image: {tag: latest}", "should not be valid under"),
    "a tag in the repository": ("image: {repository: 'gpserve:1.0'}", "does not match"),
    "a model from nowhere": ("model: {source: s3}", "'s3' is not one of"),
    "a path out of the volume": ("model: {file: /etc/passwd}", "does not match"),
    "two volumes": ("model: {volume: {hostPath: {}, nfs: {}}}", "too many properties"),
    "a class without a module": ("model: {class: Network}", "does not match"),
    "a setting that is none": ("settings: {GPSERVE_WORKER: 2}", "'GPSERVE_WORKER' is not one of"),
    "the model by a setting": ("settings: {GPSERVE_MODEL: /x}", "'GPSERVE_MODEL' is not one of"),
    "a quantity": ("resources: {limits: {cpu: two}}", "'two' does not match"),
    "a port": ("service: {port: 70000}", "70000 is greater than the maximum"),
    "a host": ("ingress: {hosts: ['http://gp.local']}", "does not match"),
    "no host": ("ingress: {hosts: []}", "non-empty"),
    "a parent without a name": ("httpRoute: {parentRefs: [{}]}", "'name' is a required property"),
    "a duration": ("httpRoute: {requestTimeout: 5 minutes}", "does not match"),
    "no time to drain": ("shutdown: {preStopSeconds: 0}", "0 is less than the minimum"),
    "a probe's field": ("probes: {liveness: {httpGet: {}}}", "httpGet"),
    "a token itself": ("jobs: {token: secret}", "'token' was unexpected"),
    "a store that is a path": ("jobs: {store: /data}", "does not match"),
    "a third way to scale workers": ("worker: {autoscaling: {mode: cpu}}", "'cpu' is not one of"),
    "memory in Kubernetes's words": ("valkey: {maxMemory: 1Gi}", "does not match"),
    "no image of Valkey": ("valkey: {image: {repository: ''}}", "non-empty"),
    "a schedule in words": ("retraining: {schedule: every night}", "does not match"),
    "a table on another disk": ("retraining: {table: {url: s3://bucket/t.csv}}", "does not match"),
    "a name that begins with a digit": ("fullnameOverride: '123'", "'123' does not match"),
    "a name that does not fit a label": (f"nameOverride: {'n' * 53}", "does not match"),
    "a label that is a number": ("podLabels: {build: 7}", "7 is not of type 'string'"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_invalid_values_are_rejected(text: str, message: str) -> None:
    errors = list(VALIDATOR.iter_errors(values(text)))
    assert len(errors) == 1
    assert message in errors[0].message


def keys(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema's properties as nested dictionaries, where the schema closes them."""
    if "$ref" in schema:
        schema = SCHEMA["definitions"][schema["$ref"].rsplit("/", 1)[1]]
    if schema.get("additionalProperties") is not False:
        return {}
    return {name: keys(below) for name, below in schema["properties"].items()}


def missing(wanted: dict[str, Any], found: dict[str, Any], path: str = "") -> list[str]:
    gone = [f"{path}{name}" for name in wanted if name not in found]
    both = [name for name in wanted if isinstance(found.get(name), dict) and found[name]]
    return gone + [
        each for name in both for each in missing(wanted[name], found[name], f"{path}{name}.")
    ]


def test_every_value_in_the_schema_is_in_values_yaml() -> None:
    optional = re.compile(
        r"^global$|^probes\.\w+\.(initialDelaySeconds|successThreshold)$|scaleDown.selectPolicy$"
    )
    assert [name for name in missing(keys(SCHEMA), VALUES) if not optional.search(name)] == []
