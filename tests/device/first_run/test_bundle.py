from gdws_agent.first_run.bundle import FORMS, IMAGES, write_first_run_bundle
from gdws_agent.measuring.verification import read_natural, read_verification
from gdws_contract.archive import open_bundle
from support.first_run import TINY


def test_the_bundle_is_one_that_the_agent_takes(tmp_path):
    models = write_first_run_bundle(tmp_path / "b.gdws", TINY)
    with open_bundle(tmp_path / "b.gdws") as bundle:
        bundle.verify()
        assert [variant.name for variant in bundle.manifest.variants] == list(FORMS)
        verification = read_verification(bundle)
        assert len(verification.inputs) == IMAGES
        for form in FORMS:
            record = read_natural(bundle, verification, form)
            assert (record.host[0].argmax(axis=1) == verification.labels).all()
            assert bundle.read(bundle.manifest.variant(form).onnx) == models[form]


def test_every_node_of_a_profile_can_be_told_to_its_layer(tmp_path):
    write_first_run_bundle(tmp_path / "b.gdws", TINY)
    with open_bundle(tmp_path / "b.gdws") as bundle:
        layers = bundle.manifest.variant("gather").layers
    assert [layer.name for layer in layers] == ["stage1.conv1", "stage1.conv2", "stage2.conv1", "stage2.conv2"]
    assert all(layer.macs_after < layer.macs_before for layer in layers)
