"""An optimisation as it is stored."""

from __future__ import annotations

from gdws_contract.optimisation import Change, EnergyPoint, LayerVerdict, LeastEnergy, Network, Optimisation

HOSTILE = "<script>alert(1)</script>|"


def network(name: str, *, delivered: bool) -> Network:
    change = Change(points=0.4, low=-0.2, high=1.0, images=500)
    figures = {"cost": 2.0, "speedup": 1.9, "speedup_low": 1.8, "speedup_high": 2.0, "error": 0.01, "macs": 10**6}
    final = {"final_natural": change, "final_robust": change} if delivered else {}
    return Network(name=name, predicted=2.1, natural=change, robust=change, delivered=delivered, **figures, **final)


def least_energy(deadline_ms: float = 33.0) -> LeastEnergy:
    """The dense network in two power modes, in the slower of which only a converted one meets the deadline."""

    def point(network: str, mode: str, latency_ms: float, watts: float, **fields: object) -> EnergyPoint:
        energy_mj = watts * latency_ms
        figures = {
            "network": network,
            "state": f"power mode {mode}",
            "latency_ms": latency_ms,
            "tail_ms": 1.1 * latency_ms,
            "energy_mj": energy_mj,
            "energy_low_mj": 0.98 * energy_mj,
            "energy_high_mj": 1.02 * energy_mj,
            "period_mj": 1.2 * energy_mj,
            "keeps_limits": True,
        }
        return EnergyPoint(**{**figures, **fields})

    points = (
        point("dense", "MAXN", 20.0, 30.0),
        point("dense", "MODE_15W", 40.0, 10.0),
        point("plan-aa", "MODE_15W", 20.0, 10.0, chosen=True),
        point("plan-bb", "MODE_15W", 15.0, 10.0, keeps_limits=None),
    )
    return LeastEnergy(
        deadline_ms=deadline_ms, minimised="inference", states=("power mode MAXN", "power mode MODE_15W"), points=points
    )


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
