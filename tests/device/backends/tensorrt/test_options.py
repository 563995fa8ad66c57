from pathlib import Path

import pytest

from gdws_agent.backends.base import EngineSpec
from gdws_agent.backends.tensorrt.options import Batches, BuilderOptions
from gdws_contract.engines import EngineOptions
from gdws_contract.manifest import OutputSpec, TensorSpec
from support.fake_pycuda import Gpu
from support.fake_tensorrt import make_tensorrt

OLD, NEW = make_tensorrt(Gpu()), make_tensorrt(Gpu(), "8.6.2")


def spec(batch_size=4, batch_sizes=(1, 2, 4, 16), **options):
    return EngineSpec(
        precision="fp16",
        batch_size=batch_size,
        input=TensorSpec(name="input", shape=[3, 8, 8]),
        outputs=(OutputSpec(name="logits", shape=[4]),),
        threads=1,
        cache_dir=Path("unused"),
        options=EngineOptions(**options),
        batch_sizes=batch_sizes,
    )


@pytest.mark.parametrize(
    ("sizes", "batches"),
    [
        ((1, 2, 4, 16), (1, 2, 16)),
        ((16, 4, 1), (1, 4, 16)),
        ((), (4, 4, 4)),
        ((1, 8), (1, 4, 8)),  # its own belongs to them
        ((1, 1, 4, 4), (1, 1, 4)),
    ],
)
def test_one_engine_for_all(sizes, batches):
    assert Batches.of(spec(batch_sizes=sizes, batch_profile="all")) == batches


def test_engines_of_one_request_share_their_batch_sizes():
    found = {Batches.of(spec(batch_size=size, batch_profile="all")) for size in (1, 2, 4, 16)}
    assert len(found) == 1


@pytest.mark.parametrize("options", [{}, {"batch_profile": "all", "dla_core": 0}])
def test_one_engine_for_each(options):
    assert Batches.of(spec(**options)) == (4, 4, 4)


def test_in_words():
    assert Batches(4, 4, 4).in_words() == "profile=batch 4 alone"
    assert Batches(1, 2, 16).in_words() == "profile=batch 1 to 16, tuned for 2"


def test_what_is_not_asked_for_is_this_backends_default():
    assert BuilderOptions.of(spec()).in_words(NEW) == [
        "workspace_mib=1024",
        "avg_timing=8",
        "profile=batch 4 alone",
        "builder_optimization_level=3",
    ]


def test_what_is_asked_for():
    words = BuilderOptions.of(spec(workspace_mib=64, optimization_level=5, dla_core=1, gpu_fallback=False)).in_words(
        NEW
    )
    assert {"workspace_mib=64", "builder_optimization_level=5", "dla_core=1", "gpu_fallback=0"} <= set(words)


def test_a_level_that_the_release_does_not_have_is_told_only_where_it_was_asked_for():
    assert not any("level" in word for word in BuilderOptions.of(spec()).in_words(OLD))
    words = BuilderOptions.of(spec(optimization_level=0)).in_words(OLD)
    assert "builder_optimization_level=not set, TensorRT 8.5.2.2 has none" in words
