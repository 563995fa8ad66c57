"""Second moments against direct computation."""

import numpy as np
import torch

from gdws.compression import surgery
from gdws.compression.fitting import observe
from support.networks import SmallResNet, seeded


def observed(model, x, **options):
    layers = [layer for layer in surgery.inspect(model, x[:1]) if layer.eligible]
    return observe(model, layers, x, **options)


def test_inputs_are_the_second_moments_of_patches():
    model, x = seeded(SmallResNet), torch.rand(6, 3, 12, 12)
    found = observed(model, x, batch_size=4)["conv1"]
    with torch.no_grad():
        patches = torch.nn.functional.unfold(torch.relu(model.stem(x)), 3, padding=1)
    columns = patches.unflatten(1, (8, 9)).permute(1, 2, 0, 3).flatten(2).double()
    np.testing.assert_allclose(found.inputs, (columns @ columns.mT / columns.shape[2]).numpy(), rtol=1e-4)


def test_outputs_are_unbiased_over_the_random_signs():
    """Their mean over draws is the sum over classes of the scaled differences' gradients, squared."""
    model, x = seeded(SmallResNet), torch.rand(4, 3, 12, 12)
    draws = [observed(model, x, seed=seed)["conv2"].outputs for seed in range(400)]
    outputs = []
    handle = model.conv2.register_forward_hook(lambda _, __, output: outputs.append(output))
    logits = model(x)
    handle.remove()
    exact = torch.zeros(16, 16, dtype=torch.float64)
    for sample in range(4):
        row = logits[sample]
        top = int(row.argmax())
        spread = float((row[top] - row).max().detach())
        for j in range(5):
            if j != top:
                delta = max(float((row[top] - row[j]).detach()), 0.1 * spread)
                (gradient,) = torch.autograd.grad(row[top] - row[j], outputs[0], retain_graph=True)
                rows = gradient[sample].flatten(1).double() / (2**0.5 * delta)
                exact += rows @ rows.T / 4
    np.testing.assert_allclose(np.mean(draws, axis=0), exact.numpy(), rtol=0.2, atol=0.02 * float(exact.abs().max()))


def test_the_same_seed_gives_the_same():
    model, x = seeded(SmallResNet), torch.rand(4, 3, 12, 12)
    first, second, other = (observed(model, x, seed=seed)["conv1"].outputs for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_batches_do_not_matter():
    model, x = seeded(SmallResNet).double(), torch.rand(7, 3, 12, 12, dtype=torch.float64)
    one, other = (observed(model, x, batch_size=size) for size in (7, 3))
    for name, found in one.items():
        np.testing.assert_allclose(other[name].inputs, found.inputs, rtol=1e-9)
        np.testing.assert_allclose(other[name].outputs, found.outputs, rtol=1e-9, atol=1e-12)
