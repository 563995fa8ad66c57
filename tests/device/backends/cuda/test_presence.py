import pytest

from gdws_agent.backends.cuda.presence import find_gpu


@pytest.mark.parametrize("node", ["dev/nvidia0", "dev/nvhost-gpu", "dev/nvgpu/igpu0"])
def test_each_kind_of_device_file(tmp_path, node):
    (tmp_path / node).parent.mkdir(parents=True)
    (tmp_path / node).touch()
    assert find_gpu(tmp_path) == f"/{node}"


def test_control_files_alone_are_no_gpu(tmp_path):
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidiactl").touch()
    assert find_gpu(tmp_path) is None
