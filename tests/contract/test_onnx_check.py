import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdws_contract.archive import open_bundle
from gdws_contract.archive_writer import write_bundle
from gdws_contract.errors import BundleError, BundleTooLarge, BundleUnreadable, BundleUnsafe
from gdws_contract.onnx_check import check_network
from support.bundles import tiny_parts, write_unchecked
from support.wire import varint

onnx = pytest.importorskip("onnx")
from google.protobuf.message import DecodeError  # noqa: E402 - comes with onnx

from support.hostile_onnx import everywhere, is_external, make_external, tensors  # noqa: E402

PLACES = len(list(tensors(everywhere())))


def check(model):
    content = model if isinstance(model, bytes) else model.SerializeToString()
    return check_network([content], field="net.onnx")


def in_graph(*nodes, **more):
    graph = onnx.helper.make_graph(list(nodes), "g", [], [])
    return onnx.helper.make_model(graph, **more)


class TestExternalData:
    def test_a_model_without_any_is_passed_wherever_its_tensors_are(self):
        assert PLACES > 60
        assert check(everywhere()) > 100

    @pytest.mark.parametrize("place", range(PLACES))
    def test_it_is_found_in_every_place_of_the_format(self, place):
        model = everywhere()
        make_external(list(tensors(model))[place])
        with pytest.raises(BundleUnsafe, match="keeps the data of a tensor in another file") as caught:
            check(model)
        assert caught.value.field == "net.onnx"
        assert "onnx.save" in (caught.value.hint or "")

    @pytest.mark.parametrize(
        "location", ["/etc/passwd", "../key", "weights.bin", "", "*/_ORT_MEM_ADDR_/*", "a\0b", "x" * 5_000]
    )
    def test_whatever_it_is_called(self, location):
        model = everywhere(0)
        make_external(model.graph.initializer[0], location)
        with pytest.raises(BundleUnsafe):
            check(model)

    def test_either_half_of_it_is_enough(self):
        for half in ("data_location", "external_data"):
            model = everywhere(0)
            make_external(model.graph.initializer[0])
            model.graph.initializer[0].ClearField(half)
            with pytest.raises(BundleUnsafe):
                check(model)

    @pytest.mark.parametrize("value", [1, 2, 2**31, 2**32 + 1, 2**63, 2**64 - 1])
    def test_a_location_that_another_parser_might_cut_to_the_same(self, value):
        with pytest.raises(BundleUnsafe):
            check(message(7, message(5, b"\x70" + varint(value))))

    def test_a_default_location_is_no_other_file(self):
        model = everywhere(0)
        model.graph.initializer[0].data_location = onnx.TensorProto.DEFAULT
        assert b"\x70\x00" in model.SerializeToString()
        check(model)

    def test_the_last_of_several_values_does_not_hide_the_first(self):
        first, last = b"\x70\x01", b"\x70\x00"
        for halves in ((first, last), (last, first)):
            with pytest.raises(BundleUnsafe):
                check(message(7, message(5, b"".join(halves))))

    def test_a_message_in_several_pieces(self):
        """Parsers merge them."""
        with pytest.raises(BundleUnsafe):
            check(message(7, message(5, b"")) + message(7, message(5, b"\x70\x01")))

    @settings(deadline=None, max_examples=60)
    @given(st.randoms(use_true_random=False), st.integers(0, 2))
    def test_random_models_are_judged_as_onnx_reads_them(self, rng, depth):
        model = pruned(everywhere(depth), rng)
        chosen = [each for each in tensors(model) if rng.random() < 0.05]
        for each in chosen:
            make_external(each, rng.choice(["/etc/passwd", "../x", "y.bin"]))
        if chosen:
            with pytest.raises(BundleUnsafe):
                check(model)
        else:
            check(model)

    @settings(deadline=None, max_examples=400)
    @given(st.randoms(use_true_random=False))
    def test_no_damage_hides_it_from_this_parser_alone(self, rng):
        """Whatever is passed has no external data as ``onnx`` reads it, if it reads it at all."""
        model = pruned(everywhere(1), rng)
        if rng.random() < 0.7:
            make_external(rng.choice(list(tensors(model))))
        content = bytearray(model.SerializeToString())
        for _ in range(rng.choice((1, 1, 2, 4))):
            damage(content, rng)
        try:
            check(bytes(content))
            read = onnx.load_from_string(bytes(content))
        except (BundleError, DecodeError):
            return
        assert not any(map(is_external, tensors(read)))


class TestOperators:
    @pytest.mark.parametrize(
        ("operator", "domain"),
        [
            ("EPContext", "com.microsoft"),
            ("EPContext", ""),
            ("PythonOp", "com.microsoft"),
            ("ATen", "org.pytorch.aten"),
            ("TRT_PluginV2", ""),
            ("EfficientNMS_TRT", ""),
            ("Relu", "com.microsoft"),
            ("Relu", "ai.onnx.ml"),
            ("Relu" + "x" * 10_000, ""),
            ("", ""),
        ],
    )
    def test_others_than_onnx_s_own_are_refused(self, operator, domain):
        node = onnx.NodeProto(op_type=operator, domain=domain)
        node.op_type = operator  # also the empty one is written
        with pytest.raises(BundleUnsafe, match="operator"):
            check(in_graph(node))

    def test_in_inner_graphs_and_functions_too(self):
        for place in ("graph", "function"):
            model = everywhere(1)
            inner = model.graph.node[0].attribute[-1].graphs[0] if place == "graph" else model.functions[0]
            inner.node[0].domain = "com.microsoft"
            with pytest.raises(BundleUnsafe, match=r"com\.microsoft"):
                check(model)

    def test_a_second_name_does_not_hide_the_first(self):
        with pytest.raises(BundleUnsafe, match="EPContext"):
            check(message(7, message(1, message(4, b"EPContext") + message(4, b"Relu"))))

    @pytest.mark.parametrize("domain", ["", "ai.onnx"])
    def test_onnx_s_own_are_passed(self, domain):
        check(in_graph(onnx.helper.make_node("Relu", ["a"], ["b"], domain=domain)))


class TestSettings:
    def test_those_of_onnx_runtime_are_refused(self):
        model = everywhere(0)
        model.metadata_props.add(key="ort_config", value='{"session_options": {"enable_profiling": 1}}')
        with pytest.raises(BundleUnsafe, match="settings of a runtime"):
            check(model)

    def test_other_metadata_are_passed(self):
        model = everywhere(0)
        model.metadata_props.add(key="author", value="ort_config")
        check(model)


class TestNames:
    @pytest.mark.parametrize("name", ["../x", "/etc/x", "a\\b", "a\0b", "a\nb", "x" * 201])
    def test_a_graph_is_not_called_like_a_path(self, name):
        model = everywhere(1)
        model.graph.node[0].attribute[-1].graphs[0].name = name
        with pytest.raises(BundleUnsafe, match="long or a path"):
            check(model)

    @pytest.mark.parametrize("name", ["", "main_graph", "torch-jit-export", "Käfer 2.0 (x)", "x" * 200])
    def test_other_names_are_passed(self, name):
        model = everywhere(1)
        model.graph.name = name
        check(model)

    def test_nodes_and_tensors_are_called_by_the_paths_of_modules(self):
        model = everywhere(1)
        model.graph.node[0].name, model.graph.initializer[0].name = "layer1/conv/Conv", "/layer1/conv.weight"
        check(model)


class TestForm:
    def test_an_unknown_field_is_refused(self):
        for content in (b"\xb0\x3f\x01", message(7, message(99, b"x")), message(7, b"\x28\x01")):
            with pytest.raises(BundleUnsafe, match="unknown to ONNX"):
                check(content)

    @pytest.mark.parametrize("content", [b"not an ONNX file", b"\x3a\x05\x0a", b"\x3a\x80\x00"])
    def test_what_is_no_protocol_buffer_is_refused(self, content):
        with pytest.raises(BundleError):
            check(content)

    @pytest.mark.parametrize("block_size", [1, 5, 1_000])
    def test_a_file_that_a_runtime_takes_for_its_own_format_is_refused(self, block_size):
        """ONNX Runtime looks for these bytes first; to a parser of ONNX they are the producer's name."""
        for name, refused in ((b"ORTM", True), (b"ONNX", False)):
            content = message(2, name.ljust(2**14))
            assert content[4:8] == name
            blocks = [content[at : at + block_size] for at in range(0, len(content), block_size)]
            if refused:
                with pytest.raises(BundleUnsafe, match="own format"):
                    check_network(blocks, field="x")
            else:
                assert check_network(blocks, field="x") == 1

    def test_depth_is_bounded(self):
        content = b""
        for _ in range(40):
            content = message(1, message(5, message(6, content)))
        with pytest.raises(BundleUnreadable, match="nested more than 100 deep"):
            check(message(7, content))

    def test_work_is_bounded(self):
        dims = b"\x08\x01" * 1_000
        with pytest.raises(BundleTooLarge, match="more than 500 fields"):
            check_network([message(7, message(5, dims))], field="x", max_fields=500)

    def test_weights_are_passed_over_by_their_size(self):
        weights = message(7, message(5, message(9, bytes(50_000_000))))
        blocks = [weights[at : at + 2**18] for at in range(0, len(weights), 2**18)]
        assert check_network(blocks, field="x") == 3


class TestInBundles:
    """Whoever writes or reads a bundle refuses such a network."""

    def external(self):
        fields, members = tiny_parts(net="linear", count=2)
        model = onnx.load_from_string(members["variants/gdws/model.onnx"])
        make_external(model.graph.initializer[0])
        return fields, {**members, "variants/gdws/model.onnx": model.SerializeToString()}

    def test_it_is_not_written(self, tmp_path):
        fields, members = self.external()
        with pytest.raises(BundleUnsafe, match="in another file") as caught:
            write_bundle(tmp_path / "a.gdws", fields, members)
        assert caught.value.field == "variants/gdws/model.onnx"
        assert list(tmp_path.iterdir()) == []

    def test_nor_from_a_file(self, tmp_path):
        fields, members = self.external()
        source = tmp_path / "model.onnx"
        source.write_bytes(members["variants/gdws/model.onnx"])
        with pytest.raises(BundleUnsafe, match="in another file"):
            write_bundle(tmp_path / "a.gdws", fields, {**members, "variants/gdws/model.onnx": source})

    def test_it_is_neither_verified_nor_read(self, tmp_path):
        write_unchecked(tmp_path / "a.gdws", *self.external())
        with open_bundle(tmp_path / "a.gdws") as bundle:
            with pytest.raises(BundleUnsafe, match="in another file"):
                bundle.verify()
            with pytest.raises(BundleUnsafe, match="in another file"):
                bundle.read("variants/gdws/model.onnx")
            assert bundle.read("variants/dense/model.onnx")

    def test_the_fields_of_all_networks_are_bounded_together(self, tmp_path, monkeypatch):
        fields, members = tiny_parts(net="linear", count=2)
        write_bundle(tmp_path / "a.gdws", fields, members)
        used = [check_network([members[f"variants/{name}/model.onnx"]], field="x") for name in ("dense", "gdws")]
        for module in ("archive", "archive_writer"):
            monkeypatch.setattr(f"gdws_contract.{module}.MAX_FIELDS", sum(used) - 1)
        with open_bundle(tmp_path / "a.gdws") as bundle, pytest.raises(BundleTooLarge):
            bundle.verify()
        with pytest.raises(BundleTooLarge):
            write_bundle(tmp_path / "b.gdws", fields, members)

    def test_another_member_may_be_anything(self, tmp_path):
        fields, members = tiny_parts(net="linear", count=2)
        write_bundle(tmp_path / "a.gdws", fields, {**members, "notes.onnx": b"not a network of the manifest"})


def message(number, content):
    """A field that holds ``content``."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def pruned(model, rng):
    """``model`` without some of its parts."""
    for graph in (model.graph, model.training_info[0].algorithm):
        for node in graph.node:
            kept = [each for each in node.attribute if rng.random() < 0.7]
            del node.attribute[:]
            node.attribute.extend(kept)
    for field in ("functions", "training_info"):
        if rng.random() < 0.3:
            model.ClearField(field)
    return model


def damage(content, rng):
    at = rng.randrange(len(content))
    kind = rng.randrange(4)
    if kind == 0:
        content[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        content[at] = rng.choice((0, 1, 0x70, 0x6A, 0x80, 0xFF))
    elif kind == 2:
        del content[at : at + rng.choice((1, 2, 8))]
    else:
        content[at:at] = rng.choice((b"\x70\x01", b"\x80\x00", b"\x6a\x00", b"\x73\x74", bytes(2)))
