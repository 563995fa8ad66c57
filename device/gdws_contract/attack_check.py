"""The second opinion on an attack, by another loss and without gradients: whether its result can be trusted.

An attack by gradients fails where these vanish (saturated outputs, rounding, steps), and what it reports then says
nothing of robustness (Athalye et al., 2018, arXiv:1802.00420).
"""

from __future__ import annotations

import math
from typing import List

from pydantic import Field, computed_field, model_validator

from .base import Reading
from .measures import Proportion

#: Of the images that resist working gradient attacks, a few hundred queries may fool this share by chance.
LUCKY_SHARE = 0.01
#: On sound networks another loss fools a few of the images that resist (Croce and Hein, 2020), up to these.
_ORDINARY_SHARE = 0.05
#: Significance level.
_UNLIKELY = 0.01
#: Where gradients are missing on more than this share of the resisting images, their number says nothing by itself.
_BLIND_SHARE = 0.05


class AttackCheck(Reading):
    """Three looks at the images of an evaluation; each is at those that resisted all before it.

    The attack that was asked for raises the cross-entropy. The second raises one that does not depend on the scale of
    the logits, with gradients passed straight through rounding. The third is Square Attack, by queries alone, on a
    sample of the images, or on all of them once it finds more than luck would. What any of them fools is not robust.
    """

    alone: Proportion = Field(description="Robust accuracy under the requested attack alone.")
    vanishing: int = Field(
        ge=0, description="Images that resist it because the gradient of the cross-entropy vanishes there."
    )
    second_fooled: int = Field(ge=0, description="Images that resist it but not the second loss.")
    blind: int = Field(ge=0, description="Images that resist both, and where the second loss has no gradient either.")
    queries: int = Field(0, ge=0, description="Queries of Square Attack for each image; 0: it did not run.")
    queried: int = Field(0, ge=0, description="Images that resist both and were queried.")
    query_fooled: int = Field(0, ge=0, description="Images of these that it fooled.")
    probabilities: bool = Field(False, description="Whether the network returns probabilities instead of logits.")
    random: bool = Field(False, description="Whether the same image twice gives different outputs.")

    @model_validator(mode="after")
    def _possible(self) -> AttackCheck:
        resisting = self.alone.successes - self.second_fooled
        parts = ((self.vanishing, self.alone.successes), (self.blind, resisting), (self.queried, resisting))
        if resisting < 0 or any(part > whole for part, whole in parts) or self.query_fooled > self.queried:
            raise ValueError("more images were fooled or had no gradient than there were")
        return self

    @computed_field  # type: ignore[prop-decorator]
    @property
    def trusted(self) -> bool:
        """Whether the robust accuracy can be trusted; otherwise it is only an upper bound."""
        return not self._untrusted()

    def doubts(self) -> List[str]:
        """Reservations about the robust accuracy, in whole sentences, most important first."""
        found = self._untrusted()
        if found:
            found.append("The attack cannot be trusted here: the robust accuracy is only an upper bound.")
        resisting = self.alone.successes
        if self.vanishing and not self.random:
            found.append(
                f"The gradient of the cross-entropy vanishes on {self.vanishing} of the {_images(resisting)} that the "
                "attack alone does not fool, or is not finite there."
            )
        if is_beyond(self.second_fooled, resisting, _ORDINARY_SHARE):
            found.append(
                f"The attack alone leaves {100 * self.alone.value:.1f} % robust; by a loss that does not depend on the "
                f"scale of the logits, {self.second_fooled} more of the {_images(self.alone.count)} are fooled."
            )
        if self.probabilities:
            found.append(
                "The network returns probabilities instead of logits; the attacks used the logits behind them."
            )
        return found

    def _untrusted(self) -> List[str]:
        found = []
        resisting = self.alone.successes - self.second_fooled
        if is_beyond(self.query_fooled, self.queried, LUCKY_SHARE):
            found.append(
                f"Square Attack, which uses no gradient, fools {self.query_fooled} of {_images(self.queried)} that "
                f"resist the attacks by gradients, with {self.queries} queries each."
            )
        if resisting and self.blind > _BLIND_SHARE * resisting:
            found.append(
                f"{self.blind} of the {_images(resisting)} that resist give an attack no gradient at all to follow, or "
                "one that is not finite."
            )
        if not self.queries and self.vanishing > _BLIND_SHARE * self.alone.successes:
            found.append("Gradients vanish, and there is no attack without gradients in this norm to confirm with.")
        if self.random:
            found.append("The network is random: the same image gives different outputs each time.")
        return found


def is_beyond(fooled: int, count: int, share: float) -> bool:
    """Whether ``fooled`` of ``count`` images are more than if each were fooled with the probability ``share``.

    They are if a binomial variable reaches ``fooled`` with a probability below 1 %.
    """
    if fooled <= share * count:
        return False
    logarithms = [
        math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1)
        + k * math.log(share) + (count - k) * math.log1p(-share)
        for k in range(fooled, count + 1)
    ]  # fmt: skip
    return sum(map(math.exp, logarithms)) < _UNLIKELY


def _images(count: int) -> str:
    return f"{count} image" if count == 1 else f"{count} images"
