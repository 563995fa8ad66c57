"""Attacks on a network, white-box on the very module they are given."""

from gdws.evaluation.attacks.spec import AttackSpec, Spec, UnionSpec

__all__ = ["AttackSpec", "Spec", "UnionSpec"]
