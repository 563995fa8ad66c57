"""White-box attacks on a network."""

from gdws.evaluation.attacks.spec import AttackSpec, Spec, UnionSpec

__all__ = ["AttackSpec", "Spec", "UnionSpec"]
