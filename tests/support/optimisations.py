"""An optimisation as it is stored."""

from __future__ import annotations

from gdws_contract.optimisation import Change, LayerVerdict, Network, Optimisation

HOSTILE = "<script>alert(1)</script>|"


def network(name: str, *, delivered: bool) -> Network:
    change = Change(points=0.4, low=-0.2, high=1.0, images=500)
    figures = {"cost": 2.0, "speedup": 1.9, "speedup_low": 1.8, "speedup_high": 2.0, "error": 0.01, "macs": 10**6}
    final = {"final_natural": change, "final_robust": change} if delivered else {}
    return Network(name=name, predicted=2.1, natural=change, robust=change, delivered=delivered, **figures, **final)


def optimisation(**changes: object) -> Optimisation:
    layer = LayerVerdict(
        name=HOSTILE,
        shape="8×8×3×3",
        option="stacked-2",
        layout="stacked",
        mean_rank=2.0,
        macs_dense=2_000_000,
        macs=500_000,
        dense_ms=0.5,
        ms=0.2,
        error=0.01,
        why="saves 0.3 ms",
    )
    fields = {
        "network": "net",
        "goal": "at least 1.5 times as fast as dense",
        "natural_limit_points": 1.0,
        "robust_limit_points": None,
        "device": "a board",
        "setting": "onnxruntime, fp32, batch 1",
        "status": "delivered",
        "reason": "it takes at most 2 ms",
        "unit": "ms",
        "dense": 3.8,
        "bound": 2.5,
        "layers": (layer, layer.model_copy(update={"name": "b", "dense_ms": None, "ms": None, "error": None})),
        "networks": (network("aa", delivered=True), network("bb", delivered=False)),
        "residual_median": 0.021,
        "residual_p90": 0.05,
        "has_pair_terms": False,
        "is_profiled": True,
        "doubts": ("the machine was busy",),
        "host_s": 12.0,
    }
    return Optimisation(**{**fields, **changes})
