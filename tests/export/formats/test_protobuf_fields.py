"""The reader of single protobuf fields, against protobuf itself."""

import io

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketknn.export.formats.storage import protobuf_fields

TEXTS = st.dictionaries(st.text(), st.text(max_size=300), max_size=6)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(TEXTS, st.text(max_size=200), st.integers(0, 2**63 - 1))
def test_what_protobuf_wrote_is_read(props, doc, number):
    proto = onnx.ModelProto(doc_string=doc, model_version=number, ir_version=8)
    proto.graph.initializer.append(onnx.TensorProto(name="w", raw_data=b"\x72" * 500))
    onnx.helper.set_model_props(proto, props)
    content = proto.SerializeToString()
    assert protobuf_fields.texts(io.BytesIO(content), 14) == props


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=60))
def test_noise_is_refused_or_read_but_never_runs_on(content):
    try:
        found = list(protobuf_fields.fields(io.BytesIO(content), 0, len(content)))
    except ValueError:
        return
    assert all(0 <= field.start <= field.end <= len(content) for field in found)


@pytest.mark.parametrize(
    "content", [b"\x72", b"\x72\xff", b"\x72\x05ab", b"\xff" * 12, b"\x73\x00", b"\x09abc"]
)
def test_a_message_that_ends_early_is_refused(content):
    with pytest.raises(ValueError, match="not protobuf"):
        list(protobuf_fields.fields(io.BytesIO(content), 0, len(content)))
