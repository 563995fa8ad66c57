"""Opening bundles: what a good one gives, and how each bad one is refused."""

from __future__ import annotations

import hashlib
import io
import json
import random
import tempfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdws_contract.archive import Limits, open_bundle, parse_manifest
from gdws_contract.errors import (
    BundleCorrupt,
    BundleError,
    BundleTooLarge,
    BundleUnreadable,
    BundleUnsafe,
    ManifestInvalid,
    SchemaUnsupported,
)
from support.archives import Part, deflated, raw_zip, repacked, tiny_files
from support.bundles import tiny_bundle

MANIFEST = "manifest.json"
INPUTS = "verification/inputs.npy"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny.gdws", net="linear", count=2)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return tiny_files(tmp_path_factory.mktemp("files") / "tiny.gdws")


def use(content: bytes, limits: Limits = Limits()) -> None:  # noqa: B008 (frozen)
    """Do with a bundle all that a reader does."""
    with open_bundle(io.BytesIO(content), limits) as bundle:
        bundle.verify()
        for member in bundle.manifest.members:
            bundle.read(member)


class TestGood:
    def test_from_a_path_and_from_a_file(self, path):
        with open_bundle(path) as bundle:
            first = bundle.id
        with open_bundle(str(path)) as bundle:
            assert bundle.id == first
        with open(path, "rb") as file:
            with open_bundle(file) as bundle:
                assert bundle.id == first
            assert not file.closed

    def test_from_a_spooled_upload(self, path):
        with tempfile.SpooledTemporaryFile() as file:
            file.write(path.read_bytes())
            with open_bundle(file) as bundle:
                bundle.verify()

    def test_the_id_is_the_hash_of_the_manifest(self, path, files):
        with open_bundle(path) as bundle:
            assert bundle.id == hashlib.sha256(files[MANIFEST]).hexdigest()

    def test_the_id_does_not_depend_on_the_archive(self, path, files):
        with open_bundle(path) as bundle:
            first = bundle.id
        parts = [Part(name.encode(), content, method=8) for name, content in reversed(files.items())]
        with open_bundle(io.BytesIO(raw_zip(parts))) as bundle:
            bundle.verify()
            assert bundle.id == first

    def test_reads_members(self, path, files):
        with open_bundle(path) as bundle:
            assert set(bundle.manifest.members) == set(files) - {MANIFEST}
            for member in bundle.manifest.members:
                assert bundle.read(member) == files[member]

    def test_the_manifest_is_no_member(self, path):
        with open_bundle(path) as bundle:
            for name in (MANIFEST, "nothing.bin"):
                with pytest.raises(KeyError):
                    bundle.read(name)

    def test_verify_reports_each_byte(self, path):
        counted = []
        with open_bundle(path) as bundle:
            bundle.verify(counted.append)
            assert sum(counted) == sum(member.size for member in bundle.manifest.members.values())

    def test_a_missing_file_is_an_os_error(self, tmp_path):
        with pytest.raises(FileNotFoundError), open_bundle(tmp_path / "none.gdws"):
            pass


class TestArchive:
    @pytest.mark.parametrize(
        "content",
        [b"", b"not a bundle", bytes(random.Random(0).choices(range(256), k=1000)), bytes(1000)],
        ids=["nothing", "text", "noise", "zeros"],
    )
    def test_no_archive(self, content):
        with pytest.raises(BundleUnreadable) as caught:
            use(content)
        assert caught.value.hint

    def test_an_archive_of_something_else(self):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("hello.txt", "hello")
        with pytest.raises(BundleUnreadable, match=r"holds no manifest\.json"):
            use(buffer.getvalue())

    def test_cut_off_anywhere(self, path):
        whole = path.read_bytes()
        for length in [*range(0, len(whole), 997), len(whole) - 1]:
            with pytest.raises(BundleUnreadable):
                use(whole[:length])

    def test_a_member_that_the_manifest_does_not_list(self, files):
        with pytest.raises(BundleUnsafe, match="not in the manifest") as caught:
            use(repacked({**files, "extra.bin": b"x"}))
        assert caught.value.field == "extra.bin"

    def test_a_member_that_the_archive_lacks(self, files):
        with pytest.raises(BundleCorrupt, match="not in the archive") as caught:
            use(repacked({name: content for name, content in files.items() if name != INPUTS}))
        assert caught.value.field == INPUTS

    def test_a_link_in_place_of_a_member(self, files):
        parts = [
            Part(name.encode(), content, attributes=(0o120777 if name == INPUTS else 0o100644) << 16)
            for name, content in files.items()
        ]
        with pytest.raises(BundleUnsafe) as caught:
            use(raw_zip(parts))
        assert caught.value.field == INPUTS

    def test_changed_content_of_the_same_size(self, files):
        changed = files[INPUTS][:-1] + bytes([files[INPUTS][-1] ^ 1])
        content = repacked({**files, INPUTS: changed})
        with open_bundle(io.BytesIO(content)) as bundle:
            with pytest.raises(BundleCorrupt, match="SHA-256") as caught:
                bundle.verify()
            with pytest.raises(BundleCorrupt):
                bundle.read(INPUTS)
        assert caught.value.field == INPUTS
        assert "copy it again" in caught.value.hint

    def test_changed_size(self, files):
        with pytest.raises(BundleCorrupt, match="bytes, the manifest says") as caught:
            use(repacked({**files, INPUTS: files[INPUTS] + b"x"}))
        assert caught.value.field == INPUTS

    def test_a_directory_that_states_another_size_than_the_data_have(self, files):
        short = Part(INPUTS.encode(), files[INPUTS], method=8, data=deflated(files[INPUTS][:-1]))
        others = [Part(name.encode(), content) for name, content in files.items() if name != INPUTS]
        with pytest.raises(BundleCorrupt, match="bytes, the manifest says"):
            use(raw_zip([short, *others]))

    def test_a_manifest_with_a_wrong_checksum(self, files):
        parts = [Part(name.encode(), content, crc32=1) for name, content in files.items()]
        with pytest.raises(BundleUnreadable, match="checksum") as caught:
            use(raw_zip(parts))
        assert caught.value.field == MANIFEST

    def test_a_large_manifest(self, files):
        with pytest.raises(BundleTooLarge) as caught:
            use(repacked(files), Limits(manifest_bytes=100))
        assert caught.value.field == MANIFEST


class TestManifest:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (b"", "not JSON"),
            (b"{", "not JSON"),
            (b"[]", "not a JSON object"),
            (b"null", "not a JSON object"),
            (b"3", "not a JSON object"),
            (b'"x"', "not a JSON object"),
            (b"\xff{}", "not UTF-8"),
            (b"\xef\xbb\xbf{}", "not JSON"),
            (b'{"name": NaN}', "NaN"),
            (b'{"name": -Infinity}', "Infinity"),
            (b'{"name": 1e999}', "double precision"),
            (b'{"name": 123456789012345678901}', "64 bits"),
            (b'{"name": "a", "name": "b"}', "twice"),
            (b'{"name": "\\ud800"}', "surrogate"),
            (b'{"name": ' + b"[" * 100 + b"]" * 100 + b"}", "nested"),
            (b'{"name": ' + b"[" * 90_000 + b"]" * 90_000 + b"}", "nested"),
            (b'{"name": [' + b"1," * 200_000 + b"1]}", "more than 100000 values"),
        ],
    )
    def test_texts_that_are_no_manifest(self, files, text, message):
        with pytest.raises(ManifestInvalid, match=message) as caught:
            use(repacked({**files, MANIFEST: text}))
        assert caught.value.field == MANIFEST

    @pytest.mark.parametrize(("version", "advice"), [(3, "upgrade"), (999, "upgrade"), (0, "again"), (-1, "again")])
    def test_other_schema_versions(self, files, version, advice):
        """The version comes before all else, as a later schema may have other fields."""

        def change(manifest):
            manifest.clear()
            manifest.update(schema_version=version, something={"new": True})

        with pytest.raises(SchemaUnsupported, match=f"version {version}") as caught:
            use(repacked(files, change))
        assert caught.value.field == "schema_version"
        assert advice in caught.value.hint

    @pytest.mark.parametrize("version", [None, "1", 1.0, True, [1], {}])
    def test_schema_versions_of_the_wrong_type(self, files, version):
        with pytest.raises(ManifestInvalid) as caught:
            use(repacked(files, lambda manifest: manifest.update(schema_version=version)))
        assert caught.value.field == "schema_version"

    def test_no_schema_version(self, files):
        with pytest.raises(ManifestInvalid) as caught:
            use(repacked(files, lambda manifest: manifest.pop("schema_version")))
        assert caught.value.field == "schema_version"

    @pytest.mark.parametrize(
        "field", ["tool", "name", "task", "input", "outputs", "baseline", "variants", "verification", "members"]
    )
    def test_each_missing_field_is_named(self, files, field):
        with pytest.raises(ManifestInvalid, match="required") as caught:
            use(repacked(files, lambda manifest: manifest.pop(field)))
        assert caught.value.field == field

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            (lambda m: m["variants"][1].pop("onnx"), "variants[1].onnx"),
            (lambda m: m["variants"][1].update(onnx=3), "variants[1].onnx"),
            (lambda m: m["variants"][1].update(opset=18), "variants[1].opset"),
            (lambda m: m["variants"][1].update(opset="17"), "variants[1].opset"),
            (lambda m: m["variants"][0].update(role="teacher"), "variants[0].role"),
            (lambda m: m["variants"][0].update(name="../a"), "variants[0].name"),
            (lambda m: m["variants"][0]["evaluation"].pop("attack"), "variants[0].evaluation"),
            (lambda m: m["variants"][0].pop("adversarial_outputs"), "variants[0]"),
            (lambda m: m["variants"][0].update(colour="red"), "variants[0].colour"),
            (lambda m: m["verification"].update(count=0), "verification.count"),
            (lambda m: m["verification"].update(count=2.5), "verification.count"),
            (lambda m: m["input"].update(shape=[]), "input.shape"),
            (lambda m: m["input"].update(shape=[0, 8]), "input.shape"),
            (lambda m: m["input"].update(shape=[1e400]), "manifest.json"),
            (lambda m: m["input"].update(dtype="object"), "input.dtype"),
            (lambda m: m.update(variants=[]), "variants"),
            (lambda m: m.update(variants=m["variants"] * 40), "variants"),
            (lambda m: m.update(variants={}), "variants"),
            (lambda m: m.update(baseline="other"), "baseline"),
            (lambda m: m["variants"][1].update(role="baseline"), "baseline"),
            (lambda m: m["variants"][1].update(name="dense", role="converted"), "variants"),
            (lambda m: m.update(provenance=[]), "provenance"),
            (lambda m: m.update(members=[]), "members"),
            (lambda m: m["members"][INPUTS].pop("sha256"), f"members['{INPUTS}'].sha256"),
            (lambda m: m["members"][INPUTS].update(sha256="AB" * 32), f"members['{INPUTS}'].sha256"),
            (lambda m: m["members"][INPUTS].update(size=-1), f"members['{INPUTS}'].size"),
            (lambda m: m["members"].pop("variants/gdws/model.onnx"), "variants[1].onnx"),
            (lambda m: m["variants"][1].update(onnx="/etc/passwd"), "variants[1].onnx"),
            (lambda m: m["verification"].update(labels="none.npy"), "verification.labels"),
        ],
    )
    def test_the_field_path_names_the_culprit(self, files, change, field):
        with pytest.raises(ManifestInvalid) as caught:
            use(repacked(files, change))
        assert caught.value.field == field
        assert str(caught.value).startswith(field)

    @pytest.mark.parametrize("path", ["../a", "/a", "a\\b", "C:/a", "a//b", "", "manifest.json", "a\0"])
    def test_unsafe_paths_in_the_manifest(self, files, path):
        with pytest.raises(BundleUnsafe) as caught:
            use(repacked(files, lambda m: m["members"].update({path: {"size": 0, "sha256": "0" * 64}})))
        assert caught.value.field == "members"

    def test_parse_manifest_alone(self, files):
        manifest = parse_manifest(files[MANIFEST])
        assert json.loads(manifest.model_dump_json()) == json.loads(files[MANIFEST])


class TestFuzz:
    """Nothing but a BundleError leaves, whatever the bytes; tests/e2e/fuzz_bundles.py changes them in more ways."""

    @given(data=st.data())
    @settings(deadline=None, max_examples=150)
    def test_changed_bytes(self, path, data):
        content = bytearray(path.read_bytes())
        edges = st.one_of(st.integers(0, 400), st.integers(len(content) - 2_500, len(content) - 1))
        anywhere = st.integers(0, len(content) - 1)
        for position, value in data.draw(
            st.lists(st.tuples(st.one_of(edges, anywhere), st.integers(0, 255)), min_size=1, max_size=8)
        ):
            content[position] = value
        refuse_or_read(bytes(content))

    @given(data=st.data())
    @settings(deadline=None, max_examples=150)
    def test_changed_manifests(self, files, data):
        """One value anywhere in the manifest becomes another JSON value."""
        manifest = json.loads(files[MANIFEST])
        places = list(_places(manifest))
        holder, key = places[data.draw(st.integers(0, len(places) - 1))]
        holder[key] = data.draw(JSON)
        refuse_or_read(repacked({**files, MANIFEST: json.dumps(manifest).encode()}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["a/b", "../x"]),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=5,
)


def refuse_or_read(content: bytes) -> None:
    try:
        use(content, Limits(total_bytes=10_000_000))
    except BundleError as error:
        assert error.message  # noqa: PT017 (either outcome is right)


def _places(value):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in list(items):
        yield value, key
        yield from _places(child)
