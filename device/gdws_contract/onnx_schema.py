"""The messages of an ONNX file that can hold nodes or tensors, by the field numbers of onnx.proto (to IR version 13).

Every field is named, so that one which is not known is told from one which may be passed over.
"""

from __future__ import annotations

from enum import Enum
from typing import Dict, FrozenSet, NamedTuple, Optional

from .protobuf import BYTES, FIXED32, FIXED64, VARINT


class Rule(Enum):
    """What is checked of a field besides its kind."""

    EMBEDDED = "a message that is walked"
    PASSED_OVER = "anything"
    OPERATOR = "the name of an operator"
    DOMAIN = "the domain of an operator"
    GRAPH_NAME = "the name of a graph"
    METADATA_KEY = "the key of an entry of the model's metadata"
    DATA_LOCATION = "where the data of a tensor are"
    EXTERNAL_DATA = "the file that they are in"


class FieldSchema(NamedTuple):
    """``kinds`` are those of the wire; ``message`` names the schema of an embedded one."""

    kinds: FrozenSet[int]
    rule: Rule = Rule.PASSED_OVER
    message: Optional[str] = None


Schema = Dict[int, FieldSchema]

_TEXT = FieldSchema(frozenset({BYTES}))
_NUMBER = FieldSchema(frozenset({VARINT}))
_NUMBERS = FieldSchema(frozenset({VARINT, BYTES}))  # one by one, or packed
_FLOAT = FieldSchema(frozenset({FIXED32}))
_FLOATS = FieldSchema(frozenset({FIXED32, BYTES}))
_DOUBLES = FieldSchema(frozenset({FIXED64, BYTES}))
#: A message without nodes and tensors in it.
_PLAIN = _TEXT


def _embedded(message: str) -> FieldSchema:
    return FieldSchema(frozenset({BYTES}), Rule.EMBEDDED, message)


def _checked(rule: Rule, kind: int = BYTES) -> FieldSchema:
    return FieldSchema(frozenset({kind}), rule)


ROOT = "ModelProto"

SCHEMAS: Dict[str, Schema] = {
    "ModelProto": {
        1: _NUMBER,  # ir_version
        2: _TEXT,  # producer_name
        3: _TEXT,  # producer_version
        4: _TEXT,  # domain
        5: _NUMBER,  # model_version
        6: _TEXT,  # doc_string
        7: _embedded("GraphProto"),  # graph
        8: _PLAIN,  # opset_import
        14: _embedded("StringStringEntryProto"),  # metadata_props
        20: _embedded("TrainingInfoProto"),  # training_info
        25: _embedded("FunctionProto"),  # functions
        26: _PLAIN,  # configuration
    },
    "GraphProto": {
        1: _embedded("NodeProto"),  # node
        2: _checked(Rule.GRAPH_NAME),  # name
        5: _embedded("TensorProto"),  # initializer
        10: _TEXT,  # doc_string
        11: _PLAIN,  # input
        12: _PLAIN,  # output
        13: _PLAIN,  # value_info
        14: _PLAIN,  # quantization_annotation
        15: _embedded("SparseTensorProto"),  # sparse_initializer
        16: _PLAIN,  # metadata_props
    },
    "NodeProto": {
        1: _TEXT,  # input
        2: _TEXT,  # output
        3: _TEXT,  # name
        4: _checked(Rule.OPERATOR),  # op_type
        5: _embedded("AttributeProto"),  # attribute
        6: _TEXT,  # doc_string
        7: _checked(Rule.DOMAIN),  # domain
        8: _TEXT,  # overload
        9: _PLAIN,  # metadata_props
        10: _PLAIN,  # device_configurations
    },
    "AttributeProto": {
        1: _TEXT,  # name
        2: _FLOAT,  # f
        3: _NUMBER,  # i
        4: _TEXT,  # s
        5: _embedded("TensorProto"),  # t
        6: _embedded("GraphProto"),  # g
        7: _FLOATS,  # floats
        8: _NUMBERS,  # ints
        9: _TEXT,  # strings
        10: _embedded("TensorProto"),  # tensors
        11: _embedded("GraphProto"),  # graphs
        13: _TEXT,  # doc_string
        14: _PLAIN,  # tp
        15: _PLAIN,  # type_protos
        20: _NUMBER,  # type
        21: _TEXT,  # ref_attr_name
        22: _embedded("SparseTensorProto"),  # sparse_tensor
        23: _embedded("SparseTensorProto"),  # sparse_tensors
    },
    "TensorProto": {
        1: _NUMBERS,  # dims
        2: _NUMBER,  # data_type
        3: _PLAIN,  # segment
        4: _FLOATS,  # float_data
        5: _NUMBERS,  # int32_data
        6: _TEXT,  # string_data
        7: _NUMBERS,  # int64_data
        8: _TEXT,  # name
        9: _TEXT,  # raw_data
        10: _DOUBLES,  # double_data
        11: _NUMBERS,  # uint64_data
        12: _TEXT,  # doc_string
        13: _checked(Rule.EXTERNAL_DATA),  # external_data
        14: _checked(Rule.DATA_LOCATION, VARINT),  # data_location
        16: _PLAIN,  # metadata_props
    },
    "SparseTensorProto": {
        1: _embedded("TensorProto"),  # values
        2: _embedded("TensorProto"),  # indices
        3: _NUMBERS,  # dims
    },
    "FunctionProto": {
        1: _TEXT,  # name
        4: _TEXT,  # input
        5: _TEXT,  # output
        6: _TEXT,  # attribute
        7: _embedded("NodeProto"),  # node
        8: _TEXT,  # doc_string
        9: _PLAIN,  # opset_import
        10: _TEXT,  # domain
        11: _embedded("AttributeProto"),  # attribute_proto
        12: _PLAIN,  # value_info
        13: _TEXT,  # overload
        14: _PLAIN,  # metadata_props
    },
    "TrainingInfoProto": {
        1: _embedded("GraphProto"),  # initialization
        2: _embedded("GraphProto"),  # algorithm
        3: _PLAIN,  # initialization_binding
        4: _PLAIN,  # update_binding
    },
    "StringStringEntryProto": {
        1: _checked(Rule.METADATA_KEY),  # key
        2: _TEXT,  # value
    },
}

_OPERATORS = """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Bernoulli BitShift
    BlackmanWindow Cast CastLike Ceil Celu Clip Compress Concat ConcatFromSequence Constant ConstantOfShape Conv
    ConvInteger ConvTranspose Cos Cosh CumSum DFT DepthToSpace DequantizeLinear Det Div Dropout
    DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND
    Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample HammingWindow HannWindow
    HardSigmoid HardSwish Hardmax Identity If InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization
    LeakyRelu Less LessOrEqual Log LogSoftmax Loop LpNormalization LpPool MatMul MatMulInteger Max MaxPool
    MaxRoiPool MaxUnpool Mean MeanVarianceNormalization MelWeightMatrix Min Mod Mul Multinomial Neg
    NegativeLogLikelihoodLoss NonMaxSuppression NonZero Not OneHot Optional OptionalGetElement OptionalHasElement Or
    PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear RNN RandomNormal RandomNormalLike RandomUniform
    RandomUniformLike Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize ReverseSequence RoiAlign Round STFT Scan Scatter
    ScatterElements ScatterND Selu SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert
    SequenceLength SequenceMap Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax SoftmaxCrossEntropyLoss
    Softplus Softsign SpaceToDepth Split SplitToSequence Sqrt Squeeze StringNormalizer Sub Sum Tan Tanh
    TfIdfVectorizer ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Upsample Where Xor
"""
#: The operators of ONNX itself up to opset 17, the newest that a bundle may hold.
OPERATORS = frozenset(_OPERATORS.split())
#: What the domain of those operators is called.
DOMAINS = frozenset({"", "ai.onnx"})
