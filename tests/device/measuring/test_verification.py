import io

import numpy as np
import pytest

from gdws_agent.measuring.verification import read_adversarial, read_natural, read_verification
from gdws_contract.archive import open_bundle
from gdws_contract.archive_writer import write_bundle
from gdws_contract.errors import ManifestInvalid
from support.bundles import CLASSES, INPUT_SHAPE, tiny_parts


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def opened(path, fields, members):
    write_bundle(path, fields, members)
    return open_bundle(path)


@pytest.fixture
def parts():
    return tiny_parts(count=5)


def test_what_the_bundle_records(tmp_path, parts):
    with opened(tmp_path / "b.gdws", *parts) as bundle:
        verification = read_verification(bundle)
        assert verification.inputs.shape == (5, *INPUT_SHAPE)
        assert verification.labels.shape == (5,)
        natural = read_natural(bundle, verification, "gdws")
        assert natural.inputs is verification.inputs
        assert [outputs.shape for outputs in natural.host] == [(5, CLASSES)]
        adversarial = read_adversarial(bundle, "gdws")
        assert adversarial is not None
        assert adversarial.inputs.shape == verification.inputs.shape
        assert not np.array_equal(adversarial.inputs, verification.inputs)


def test_without_adversarial_inputs(tmp_path):
    with opened(tmp_path / "b.gdws", *tiny_parts(adversarial=False)) as bundle:
        assert read_adversarial(bundle, "gdws") is None


@pytest.mark.parametrize(
    ("member", "array", "field"),
    [
        ("verification/inputs.npy", np.zeros((4, *INPUT_SHAPE), np.float32), "verification.inputs"),
        ("verification/labels.npy", np.zeros(5, np.int32), "verification.labels"),
        ("variants/gdws/outputs.0.npy", np.full((5, CLASSES), np.nan, np.float32), r"variants\[1\].outputs\[0\]"),
        ("variants/gdws/outputs.0.npy", np.zeros((5, CLASSES + 1), np.float32), r"variants\[1\].outputs\[0\]"),
        ("variants/gdws/adversarial_inputs.npy", np.zeros(3, np.float32), r"variants\[1\].adversarial_inputs"),
        ("variants/gdws/adversarial_outputs.0.npy", np.zeros(3, np.float32), r"variants\[1\].adversarial_outputs"),
    ],
)
def test_a_member_that_is_not_what_the_manifest_says(tmp_path, parts, member, array, field):
    fields, members = parts
    with opened(tmp_path / "b.gdws", fields, {**members, member: npy(array)}) as bundle:

        def read_all():
            verification = read_verification(bundle)
            read_natural(bundle, verification, "gdws")
            read_adversarial(bundle, "gdws")

        with pytest.raises(ManifestInvalid, match=field):
            read_all()


def test_several_outputs_and_no_labels(tmp_path):
    with opened(tmp_path / "b.gdws", *tiny_parts(two_outputs=True, count=5)) as bundle:
        verification = read_verification(bundle)
        assert verification.labels is None
        for found in (read_natural(bundle, verification, "gdws"), read_adversarial(bundle, "gdws")):
            assert [(each.shape, each.dtype) for each in found.host] == [((5, CLASSES), np.float32), ((5,), np.int64)]
