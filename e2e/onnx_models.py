"""Small ONNX models of known behaviour, a few hundred bytes each: one that is sound, and one for each fault that `prony model` must find."""

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

FLOAT = TensorProto.FLOAT
WEIGHTS = np.random.default_rng(7).normal(size=(8, 4)).astype(np.float32)


def saved(path, nodes, inputs, outputs, constants=(), check=True):
    """Writes a model of these nodes; inputs and outputs as (name, type, shape)."""
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(*one) for one in inputs],
        [helper.make_tensor_value_info(*one) for one in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if check:
        checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def sound(path):
    """One layer: y = softmax(x W), for any number of inputs at once."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Softmax", ["z"], ["y"])]
    return saved(path, nodes, [("x", FLOAT, ["batch", 8])], [("y", FLOAT, ["batch", 4])], [("w", WEIGHTS)])


def not_a_number(path):
    """The logarithm of x - 2, and x is at most 1."""
    nodes = [helper.make_node("Sub", ["x", "two"], ["z"]), helper.make_node("Log", ["z"], ["y"])]
    two = np.array(2, np.float32)
    return saved(path, nodes, [("x", FLOAT, [1, 8])], [("y", FLOAT, [1, 8])], [("two", two)])


def constant(path):
    """Weights that are all zero."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Softmax", ["z"], ["y"])]
    return saved(path, nodes, [("x", FLOAT, [1, 8])], [("y", FLOAT, [1, 4])], [("w", 0 * WEIGHTS)])


def random(path):
    """Noise is added, as by a dropout that was left in."""
    nodes = [helper.make_node("RandomNormalLike", ["x"], ["noise"]), helper.make_node("Add", ["x", "noise"], ["y"])]
    return saved(path, nodes, [("x", FLOAT, [1, 8])], [("y", FLOAT, [1, 8])])


def another_shape(path):
    """The values that are not zero: all eight, and five are declared."""
    nodes = [
        helper.make_node("NonZero", ["x"], ["places"]),
        helper.make_node("Transpose", ["places"], ["rows"]),
        helper.make_node("GatherND", ["x", "rows"], ["y"]),
    ]
    return saved(path, nodes, [("x", FLOAT, [1, 8])], [("y", FLOAT, [5])])


def fixed_inside(path):
    """The number of features is declared as dynamic, and the weights take eight."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    return saved(path, nodes, [("x", FLOAT, ["batch", "features"])], [("y", FLOAT, ["batch", 4])], [("w", WEIGHTS)])


def single(path):
    """The batch is declared as dynamic, and a constant inside takes one input at a time."""
    nodes = [helper.make_node("Reshape", ["x", "one"], ["z"]), helper.make_node("Relu", ["z"], ["y"])]
    one = np.array([1, 8], np.int64)
    return saved(path, nodes, [("x", FLOAT, ["batch", 8])], [("y", FLOAT, ["rows", 8])], [("one", one)])


def tokens(path):
    """Rows of a table of 100 by whole numbers."""
    table = np.random.default_rng(7).normal(size=(100, 4)).astype(np.float32)
    nodes = [helper.make_node("Gather", ["table", "ids"], ["y"])]
    return saved(path, nodes, [("ids", TensorProto.INT64, [1, "length"])], [("y", FLOAT, [1, "length", 4])], [("table", table)])


def texts(path):
    """An input that nobody can make up."""
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    return saved(path, nodes, [("x", TensorProto.STRING, [1])], [("y", TensorProto.STRING, [1])])
