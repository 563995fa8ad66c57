import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from gdws.compression.calibration import alphas as calibrate
from gdws.errors import DataError, ModelError
from gdws.planning.conversion import convert
from support.networks import Sharing, SmallResNet, seeded


def one_at_a_time(model, x, names):
    """Equation 8 as it is written: sample by sample, class by class; by parameter name."""
    weights = {name: model.get_submodule(name).weight for name in names}
    sums = dict.fromkeys(names, 0.0)
    for sample in x:
        z = model(sample[None])[0]
        predicted = int(z.argmax())
        for j in range(len(z)):
            if j == predicted:
                continue
            delta = z[j] - z[predicted]
            found = torch.autograd.grad(delta, list(weights.values()), retain_graph=True)
            for name, gradient in zip(names, found, strict=True):
                sums[name] += gradient.double().square().sum(dim=(0, 2, 3)) / (2 * delta.detach().double() ** 2)
    return {name: (sums[name] / (len(x) * weights[name][:, 0].numel())).numpy() for name in names}


def inputs(count=7, size=12, seed=0):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


class InPlace(nn.Module):
    """Changes the inputs and outputs of its convolutions in place, as far as autograd allows."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3)
        self.conv = nn.Conv2d(6, 6, 3, padding=1)
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        y = self.stem(x).relu_()
        x.zero_()
        return self.head(self.conv(y).relu_().mean(dim=(2, 3)))


@pytest.mark.parametrize("size", [7, 24], ids=["few positions", "many positions"])
@pytest.mark.parametrize(
    ("network", "names"),
    [(SmallResNet, ["stem", "conv1", "conv2"]), (Sharing, ["stem", "body"])],
)
def test_alphas_are_those_of_equation_8(network, names, size):
    model = seeded(network)
    x = inputs(size=size)
    result = calibrate.alphas(model, [x[:4], x[4:]], chunk=3)
    expected = one_at_a_time(model, x, names)
    for name in names:
        np.testing.assert_allclose(result.alphas[name], expected[name], rtol=1e-4)
        assert result.alphas[name].dtype == np.float64
    assert (result.samples, result.guarded) == (7, 0)


def test_layers_that_share_a_weight_share_their_alphas():
    result = calibrate.alphas(seeded(Sharing), [inputs()])
    assert set(result.alphas) == {"stem", "body", "strided"}
    np.testing.assert_array_equal(result.alphas["body"], result.alphas["strided"])


def test_operations_in_place_do_not_disturb():
    model = seeded(InPlace)
    result = calibrate.alphas(model, [inputs()])
    without = nn.Sequential(
        model.stem, nn.ReLU(), model.conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), model.head
    )
    expected = one_at_a_time(without, inputs(), ["0", "2"])
    np.testing.assert_allclose(result.alphas["stem"], expected["0"], rtol=1e-4)
    np.testing.assert_allclose(result.alphas["conv"], expected["2"], rtol=1e-4)


def test_alphas_serve_conversion():
    model = seeded(SmallResNet)
    result = calibrate.alphas(model, [inputs()])
    plan = convert(model, beta=1e-3, alphas=result.alphas, convert_first=True)[1]
    assert plan.weighted
    assert all(layer.e2 <= 1e-3 for layer in plan.converted)


def test_batches_may_be_pairs_and_chunks_do_not_matter():
    model = seeded(SmallResNet)
    x, y = inputs(), torch.zeros(7, dtype=torch.long)
    whole = calibrate.alphas(model, [x])
    pairs = calibrate.alphas(model, iter([(x[:2], y[:2]), [x[2:], y[2:]]]), chunk=2)
    for name, values in whole.alphas.items():
        np.testing.assert_allclose(pairs.alphas[name], values, rtol=1e-5)


def test_named_layers_only_also_those_that_conversion_leaves_alone():
    model = seeded(SmallResNet)
    result = calibrate.alphas(model, [inputs()], layers=["shortcut", "conv2"])
    assert set(result.alphas) == {"shortcut", "conv2"}
    expected = one_at_a_time(model, inputs(), ["shortcut", "conv2"])
    np.testing.assert_allclose(result.alphas["shortcut"], expected["shortcut"], rtol=1e-4)


def test_progress_is_told_the_samples_done():
    done = []
    calibrate.alphas(seeded(SmallResNet), [inputs()], chunk=3, progress=done.append)
    assert done == [3, 3, 1]


def test_the_model_is_left_as_it_was():
    model = seeded(SmallResNet).train()
    model.conv2.eval()
    model.conv1.weight.requires_grad_(False)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    gradients = [parameter.grad for parameter in model.parameters()]
    before = copy.deepcopy(model.state_dict())
    calibrate.alphas(model, [inputs()], attack=rude_attack)
    assert model.training
    assert model.bn.training
    assert not model.conv2.training
    assert not model.conv1.weight.requires_grad
    assert model.conv2.weight.requires_grad
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert parameter.grad is gradient
        assert (gradient == 1).all()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def rude_attack(model, x, y):
    """One step up the loss that leaves the model in training mode and resets its gradients."""
    x = x.clone().requires_grad_()
    nn.functional.cross_entropy(model(x), y).backward()
    model.zero_grad()
    model.train()
    return x + 0.01 * x.grad.sign()


def interrupted_attack(model, x, y):
    model.stem(x)
    raise RuntimeError("stop")


@pytest.mark.parametrize(
    ("batch", "options", "error"),
    [(torch.zeros(2, 7, 8, 8), {}, ModelError), (inputs(), {"attack": interrupted_attack}, RuntimeError)],
    ids=["wrong shape", "in the attack"],
)
def test_nothing_is_restored_too_little_after_an_error(batch, options, error):
    model = seeded(SmallResNet).train()
    with pytest.raises(error):
        calibrate.alphas(model, [inputs(), batch], **options)
    with pytest.raises(error):
        calibrate.alphas(model, [batch], **options)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_an_attack_moves_the_samples_and_leaks_nothing():
    model = seeded(SmallResNet)
    x, y = inputs(), torch.arange(7) % 5
    result = calibrate.alphas(model, [(x, y)], attack=rude_attack)
    attacked = rude_attack(copy.deepcopy(model), x, y).detach()
    direct = calibrate.alphas(model, [attacked])
    for name, values in direct.alphas.items():
        np.testing.assert_allclose(result.alphas[name], values, rtol=1e-5)


def test_an_attack_without_labels_is_given_the_predictions():
    model = seeded(SmallResNet)
    seen = []
    calibrate.alphas(model, [inputs()], attack=lambda _, x, y: seen.append(y) or x)
    assert torch.equal(seen[0], model(inputs()).argmax(dim=1))


def test_evaluation_mode_is_used():
    model = seeded(SmallResNet)
    evaluated = calibrate.alphas(model, [inputs()])
    trained = calibrate.alphas(model.train(), [inputs()])
    for name, values in evaluated.alphas.items():
        np.testing.assert_array_equal(trained.alphas[name], values)


def test_gradients_may_be_switched_off_around_it():
    model = seeded(SmallResNet)
    with torch.no_grad():
        off = calibrate.alphas(model, [inputs()])
    on = calibrate.alphas(model, [inputs()])
    np.testing.assert_array_equal(off.alphas["conv1"], on.alphas["conv1"])


class FixedLogits(nn.Module):
    """Logits of given values, whose derivatives by the weight are those of ``gains`` times its output."""

    def __init__(self, logits):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 2, bias=False)
        self.logits = torch.tensor(logits)
        self.gains = torch.arange(1.0, len(logits) + 1)

    def forward(self, x):
        y = self.conv(x).sum(dim=(1, 2, 3))
        return self.logits + self.gains * (y - y.detach())[:, None]


def test_ties_are_guarded_and_counted():
    model = FixedLogits([0.0, 10.0, 10.0 - 1e-6])
    x = torch.ones(2, 1, 2, 2)
    result = calibrate.alphas(model, [x], tie=1e-3)
    # Gains differ by 1 from those of the predicted class 1; each gradient is all ones, of squared norm 4.
    expected = (4 / (2 * 10**2) + 4 / (2 * (1e-3 * 10) ** 2)) / 4
    np.testing.assert_allclose(result.alphas["conv"], [expected], rtol=1e-5)
    assert (result.samples, result.guarded) == (2, 2)
    assert calibrate.alphas(model, [x], tie=1e-9).guarded == 0


def test_a_sample_whose_logits_are_all_equal_is_left_out_and_counted():
    result = calibrate.alphas(FixedLogits([1.0, 1.0, 1.0]), [torch.ones(3, 1, 2, 2)])
    assert result.guarded == 3
    assert result.alphas["conv"].tolist() == [0]


class Dangling(SmallResNet):
    """Has one convolution that never runs, and calls another once for the logits and once for nothing."""

    def __init__(self):
        super().__init__()
        self.spare = nn.Conv2d(3, 3, 3)

    def forward(self, x):
        self.conv2(torch.ones(len(x), 8, 9, 9))
        return super().forward(x)


def test_calls_that_the_logits_do_not_need_weigh_nothing():
    model = seeded(Dangling)
    result = calibrate.alphas(model, [inputs()])
    assert result.alphas["spare"].tolist() == [0, 0, 0]
    np.testing.assert_allclose(result.alphas["conv2"], one_at_a_time(model, inputs(), ["conv2"])["conv2"], rtol=1e-4)


class Folding(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.conv(x.repeat(2, 1, 1, 1)).mean(dim=(2, 3))).unflatten(0, (2, -1)).sum(dim=0)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Linear(4, 2), "no layer to calibrate"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)), "statistics of the batch"),
        (nn.Conv2d(3, 4, 3), "not logits"),
        (nn.Sequential(nn.Conv2d(3, 1, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), "at least 2 classes"),
        (Folding(), "sees a batch of 14"),
    ],
    ids=["no convolution", "batch statistics", "no logits", "one class", "folded batch"],
)
def test_models_that_cannot_be_calibrated(model, message):
    with pytest.raises(ModelError, match=message):
        calibrate.alphas(model, [inputs()])


def test_logits_that_are_not_finite_are_refused():
    model = seeded(SmallResNet)
    model.head.bias.data[0] = math.nan
    with pytest.raises(ModelError, match="not finite"):
        calibrate.alphas(model, [inputs()])


@pytest.mark.parametrize("name", ["head", "conv9"])
def test_layers_that_are_no_convolution_are_refused(name):
    with pytest.raises(ModelError, match=name):
        calibrate.alphas(seeded(SmallResNet), [inputs()], layers=[name])


@pytest.mark.parametrize("batches", [[], [torch.zeros(0, 3, 8, 8)]], ids=["no batch", "empty batch"])
def test_no_sample_is_an_error(batches):
    with pytest.raises(DataError, match="no sample"):
        calibrate.alphas(seeded(SmallResNet), batches)


@pytest.mark.parametrize("tie", [0, -1, 1, math.nan])
def test_a_guard_that_makes_no_sense_is_refused(tie):
    with pytest.raises(ValueError, match="tie"):
        calibrate.alphas(seeded(SmallResNet), [inputs()], tie=tie)


class WithoutGradients(SmallResNet):
    def forward(self, x):
        with torch.no_grad():
            x = self.stem(x)
        return self.head(self.conv2(self.conv1(x)).mean(dim=(2, 3)))


def test_a_layer_that_runs_without_gradients_is_an_error():
    with pytest.raises(ModelError, match="switched off") as caught:
        calibrate.alphas(seeded(WithoutGradients), [inputs()])
    assert caught.value.layer == "stem"
    result = calibrate.alphas(seeded(WithoutGradients), [inputs()], layers=["conv1", "conv2"])
    assert (result.alphas["conv1"] > 0).all()


def estimate(model, x, **options):
    return calibrate.alphas(model, x if isinstance(x, list) else [x], method="random-signs", **options)


def concatenated(calibration):
    return np.concatenate(list(calibration.alphas.values()))


@pytest.mark.parametrize("network", [SmallResNet, Sharing])
def test_random_signs_are_unbiased(network):
    """The mean over seeds meets the exact values: z scores of all channels are as those of a normal draw."""
    model = seeded(network)
    exact = concatenated(calibrate.alphas(model, [inputs(16)]))
    found = np.array([concatenated(estimate(model, inputs(16), seed=seed)) for seed in range(60)])
    scores = (found.mean(axis=0) - exact) / (found.std(axis=0, ddof=1) / math.sqrt(len(found)))
    assert np.abs(scores).max() < 4.5
    assert scores.std() < 1.5


def test_more_draws_and_more_samples_come_closer():
    model = seeded(SmallResNet)

    def error(count, draws):
        exact = concatenated(calibrate.alphas(model, [inputs(count)]))
        found = [concatenated(estimate(model, inputs(count), draws=draws, seed=seed)) for seed in range(8)]
        return math.sqrt(np.mean((np.array(found) / exact - 1) ** 2))

    once = error(8, 1)
    assert error(8, 16) < once / 2.5
    assert error(128, 1) < once / 2
    assert once < 1


def test_two_classes_need_no_luck():
    model = seeded(SmallResNet, 8, 2)
    np.testing.assert_allclose(
        concatenated(estimate(model, inputs())), concatenated(calibrate.alphas(model, [inputs()])), rtol=1e-5
    )


def test_signs_belong_to_the_sample_whatever_the_batches():
    model = seeded(SmallResNet)
    x = inputs()
    whole = estimate(model, x, draws=2, seed=3)
    parts = estimate(model, [x[:1], x[1:5], x[5:]], draws=2, seed=3, chunk=3)
    np.testing.assert_allclose(concatenated(parts), concatenated(whole), rtol=1e-5)
    assert not np.allclose(concatenated(estimate(model, x, seed=4)), concatenated(whole))
    assert (whole.method, whole.draws, whole.seed) == ("random-signs", 2, 3)
    exact = calibrate.alphas(model, [x])
    assert (exact.method, exact.draws, exact.seed) == ("exact", None, None)


@pytest.mark.parametrize("classes", [4, 1000])
def test_random_signs_take_one_backward_pass_whatever_the_number_of_classes(classes, monkeypatch):
    passes = []
    grad = torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *a, **o: passes.append(1) or grad(*a, **o))
    estimate(seeded(SmallResNet, 8, classes), inputs(), draws=3)
    assert len(passes) == 3


def test_random_signs_leave_torchs_generator_alone():
    before = torch.get_rng_state()
    estimate(seeded(SmallResNet), inputs())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("options", [{"method": "magic"}, {"method": "random-signs", "draws": 0}])
def test_a_method_that_makes_no_sense_is_refused(options):
    with pytest.raises(ValueError, match=next(reversed(options))):
        calibrate.alphas(seeded(SmallResNet), [inputs()], **options)
