"""Examples of bodies and responses in the OpenAPI document. A test validates them against the models."""

from __future__ import annotations

from typing import Any, Dict, Type

from pydantic import BaseModel

from gdws_contract.attacks import AttackRequest
from gdws_contract.profiles import ProfileRequest
from gdws_contract.queueing import LeaseRequest
from gdws_contract.rest import BenchmarkRequest

MODEL_ID = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

_BINARY = {"type": "string", "format": "binary"}
_REQUEST = {"$ref": "#/components/schemas/BenchmarkRequest"}


def _without_definitions(schema: Dict[str, Any]) -> Dict[str, Any]:
    """Return ``schema`` without what it refers to, which the document has among the parts of BenchmarkRequest."""
    return {name: value for name, value in schema.items() if name != "$defs"}


#: No answer holds one, so the document has no place of its own for them.
_PROFILE_REQUEST = _without_definitions(ProfileRequest.model_json_schema(ref_template="#/components/schemas/{model}"))
_ATTACK_REQUEST = _without_definitions(AttackRequest.model_json_schema(ref_template="#/components/schemas/{model}"))

REQUESTS: Dict[str, Dict[str, Any]] = {
    "everything by default": {"model_id": MODEL_ID},
    "two batch sizes, two variants": {
        "model_id": MODEL_ID,
        "variants": ["dense", "gdws"],
        "batch_sizes": [1, 8],
        "label": "after fine-tuning",
    },
    "a careful protocol": {
        "model_id": MODEL_ID,
        "backends": ["onnxruntime"],
        "precisions": ["fp32"],
        "protocol": {"min_duration_ms": 10_000.0, "min_iterations": 1_000, "rounds": 20, "threads": 2},
    },
    "two power modes of a Jetson, clocks fixed, energy": {
        "model_id": MODEL_ID,
        "backends": ["tensorrt"],
        "precisions": ["fp16"],
        "power_modes": ["MAXN", "MODE_15W"],
        "jetson_clocks": True,
        "engine": {"builds": 3, "cuda_graph": True},
        "protocol": {"min_duration_ms": 10_000.0, "idle_ms": 10_000.0, "sustained_ms": 60_000.0},
    },
}

PROFILES: Dict[str, Dict[str, Any]] = {
    "the baseline on the best backend": {"model_id": MODEL_ID},
    "one variant, as it would be deployed": {
        "model_id": MODEL_ID,
        "variant": "gdws",
        "backend": "tensorrt",
        "precision": "fp16",
        "batch_size": 8,
        "options": {"iterations": 200},
    },
}

ATTACKS: Dict[str, Dict[str, Any]] = {
    "every variant, with the bundle's norm and radius": {"model_id": MODEL_ID},
    "the engines that would be deployed": {
        "model_id": MODEL_ID,
        "variants": ["dense", "gdws"],
        "backends": ["tensorrt"],
        "precisions": ["fp16", "int8"],
        "batch_sizes": [8],
        "options": {"norm": "linf", "eps": 0.03137, "queries": 5000, "images": 200},
    },
}

JOBS: Dict[str, Dict[str, Any]] = {
    **{name: {"kind": "benchmark", **value} for name, value in REQUESTS.items()},
    **{f"a profile: {name}": {"kind": "profile", **value} for name, value in PROFILES.items()},
    **{f"an attack: {name}": {"kind": "attack", **value} for name, value in ATTACKS.items()},
}

LEASES: Dict[str, Dict[str, Any]] = {
    "a CI gate": {"holder": "ci, branch main", "ttl_s": 120.0},
    "a person for the afternoon": {"holder": "ada", "ttl_s": 14_400.0, "note": "looking for the heat"},
}

PROBLEM: Dict[str, Any] = {
    "type": "urn:gdws:problem:unknown-variant",
    "title": "Unknown variant",
    "status": 422,
    "detail": "the bundle has no variant 'gdsw'",
    "field": "variants[1]",
    "hint": "it has dense, gdws",
}

JOB: Dict[str, Any] = {
    "id": "5f2b9c0a7d41",
    "state": "running",
    "request": {
        "model_id": MODEL_ID,
        "variants": ["dense", "gdws"],
        "backends": ["onnxruntime"],
        "precisions": ["fp32"],
        "batch_sizes": [1, 8],
        "protocol": BenchmarkRequest.model_validate(REQUESTS["a careful protocol"]).protocol.model_dump(),
        "label": "after fine-tuning",
    },
    "created_at": "2024-05-01T12:00:00.000Z",
    "started_at": "2024-05-01T12:00:00.012Z",
    "progress": {
        "cells_total": 4,
        "cells_finished": 2,
        "stage": "measure",
        "cell": {"variant": "gdws", "backend": "onnxruntime", "precision": "fp32", "batch_size": 8},
        "round": 3,
        "rounds": 20,
    },
    "cells": [],
}

VERDICT: Dict[str, Any] = {
    "setting": {"backend": "onnxruntime", "precision": "fp32", "batch_size": 1, "power_mode": None},
    "kind": "no-gain",
    "variant": "gdws",
    "speed": "not distinguishable",
    "accuracy": "not shown",
    "title": "No gain",
    "sentence": "No network is shown to be faster than the baseline at batch 1: the fastest, gdws, runs 1.00× as fast "
    "(95 % interval 0.98–1.02).",
}

COMPARISON: Dict[str, Any] = {
    "a": {
        "source": "5f2b9c0a7d41",
        "bundle": "mnist",
        "bundle_id": MODEL_ID,
        "job_id": "5f2b9c0a7d41",
        "label": "before fine-tuning",
        "finished_at": "2024-05-01T12:04:00.000Z",
        "partial": False,
        "verdicts": [VERDICT],
    },
    "b": {
        "source": "0c81e2d97a65",
        "bundle": None,
        "bundle_id": MODEL_ID[::-1],
        "job_id": "0c81e2d97a65",
        "label": "after fine-tuning",
        "finished_at": "2024-05-01T13:04:00.000Z",
        "partial": False,
        "verdicts": [],
    },
    "cells": [
        {
            "key": {"variant": "gdws", "backend": "onnxruntime", "precision": "fp32", "batch_size": 1},
            "verdict": "faster",
            "reason": None,
            "median_a_ms": 1.5,
            "median_b_ms": 1.0,
            "speedup": {"value": 1.5, "low": 1.47, "high": 1.53, "level": 0.95},
            "energy_saving": None,
            "natural_change": {"points": -0.8, "low": -4.6, "high": 2.9},
            "robust_change": None,
            "metrics": [],
        }
    ],
    "differences": [{"what": "protocol: rounds", "a": "10", "b": "20"}],
    "only_a": [],
    "only_b": [{"variant": "gdws", "backend": "onnxruntime", "precision": "fp32", "batch_size": 8}],
    "profiles": [],
}

UPLOAD_BODY: Dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": _BINARY},
            "multipart/form-data": {
                "schema": {"type": "object", "required": ["bundle"], "properties": {"bundle": _BINARY}}
            },
        },
    }
}


def _body(schema: Dict[str, Any], examples: Dict[str, Dict[str, Any]], *, fields: str, example: str) -> Dict[str, Any]:
    """Return the body that is JSON, or a form with a bundle and the same ``fields`` but for its id."""
    request = {"type": "string", "description": f"{fields} as JSON, without model_id.", "example": example}
    form = {"type": "object", "required": ["bundle"], "properties": {"bundle": _BINARY, "request": request}}
    named = {name: {"summary": name, "value": value} for name, value in examples.items()}
    content = {"application/json": {"schema": schema, "examples": named}, "multipart/form-data": {"schema": form}}
    return {"requestBody": {"required": True, "content": content}}


def _of_kind(kind: str, model: Type[BaseModel]) -> Dict[str, Any]:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    properties = {"kind": {"type": "string", "enum": [kind]}, **schema["properties"]}
    return {**_without_definitions(schema), "properties": properties, "required": ["kind", *schema["required"]]}


BENCHMARK_BODY = _body(_REQUEST, REQUESTS, fields="The fields of BenchmarkRequest", example='{"batch_sizes": [1, 8]}')
PROFILE_BODY = _body(
    _PROFILE_REQUEST, PROFILES, fields="The fields of ProfileRequest", example='{"variant": "gdws", "batch_size": 8}'
)
ATTACK_BODY = _body(
    _ATTACK_REQUEST, ATTACKS, fields="The fields of AttackRequest", example='{"options": {"queries": 500}}'
)
JOB_BODY = _body(
    {
        "oneOf": [
            _of_kind("benchmark", BenchmarkRequest),
            _of_kind("profile", ProfileRequest),
            _of_kind("attack", AttackRequest),
        ]
    },
    JOBS,
    fields="The kind and the fields of its request",
    example='{"kind": "benchmark", "batch_sizes": [1, 8]}',
)

LEASE_BODY: Dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": LeaseRequest.model_json_schema(),
                "examples": {name: {"summary": name, "value": value} for name, value in LEASES.items()},
            }
        },
    }
}


def json_example(value: Any) -> Dict[str, Any]:
    """Return the ``content`` of an answer in JSON with ``value`` as its example."""
    return {"application/json": {"example": value}}
