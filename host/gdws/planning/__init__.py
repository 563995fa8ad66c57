"""Which layers get which ranks under a budget, and the conversion that follows."""
