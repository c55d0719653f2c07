"""Small ONNX models of known behaviour, a few hundred bytes each: one that is sound, one for each fault that `prony model` must find, and
models of pictures for `prony serve --model`."""

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

FLOAT = TensorProto.FLOAT
WEIGHTS = np.random.default_rng(7).normal(size=(8, 4)).astype(np.float32)


def saved(path, nodes, inputs, outputs, constants=(), check=True, properties=None):
    """Writes a model of these nodes; inputs and outputs as (name, type, shape)."""
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(*one) for one in inputs],
        [helper.make_tensor_value_info(*one) for one in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, properties or {})
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


# A picture of 64 x 64 has so many cells of 8 x 8 along a side.
CELLS = 8
COLOURS = {"names": "{0: 'red thing', 1: 'blue thing'}"}
PICTURE = [("images", FLOAT, [1, 3, 64, 64])]


def colours():
    """Nodes and constants: for each cell of 8 x 8 pixels how much more red than green it is, and how much more blue: [1, 2, 64]. Grey, and
    so what a letterbox adds, is neither."""
    nodes = [
        helper.make_node("AveragePool", ["images"], ["pooled"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Reshape", ["pooled", "planes"], ["cells"]),
        helper.make_node("Gather", ["cells", "red and blue"], ["wanted"], axis=1),
        helper.make_node("Gather", ["cells", "green"], ["unwanted"], axis=1),
        helper.make_node("Sub", ["wanted", "unwanted"], ["excess"]),
        helper.make_node("Relu", ["excess"], ["scores"]),
    ]
    constants = [
        ("planes", np.array([1, 3, CELLS * CELLS], np.int64)),
        ("red and blue", np.array([0, 2], np.int64)),
        ("green", np.array([1], np.int64)),
    ]
    return nodes, constants


def boxes(unit):
    """The box of each cell, as its middle and its size, over `unit` pixels: [1, 4, 64]."""
    rows, columns = np.divmod(np.arange(CELLS * CELLS), CELLS)
    middles = [8 * columns + 4, 8 * rows + 4]
    sizes = [np.full(CELLS * CELLS, 8)] * 2
    return (np.array([*middles, *sizes]) / unit).astype(np.float32)[np.newaxis]


def detector(path):
    """A YOLO in miniature, [1, 4 + 2, 64]: a box in pixels for each cell, and how red and how blue it is."""
    nodes, constants = colours()
    nodes.append(helper.make_node("Concat", ["boxes", "scores"], ["output0"], axis=1))
    constants.append(("boxes", boxes(1)))
    return saved(path, nodes, PICTURE, [("output0", FLOAT, [1, 6, 64])], constants, properties=COLOURS)


def queries(path):
    """The same as RT-DETR gives it, [1, 64, 4 + 2]: a row for each cell, its box in parts of the picture."""
    nodes, constants = colours()
    nodes.append(helper.make_node("Concat", ["boxes", "scores"], ["columns"], axis=1))
    nodes.append(helper.make_node("Transpose", ["columns"], ["output0"], perm=[0, 2, 1]))
    constants.append(("boxes", boxes(64)))
    return saved(path, nodes, PICTURE, [("output0", FLOAT, [1, 64, 6])], constants, properties=COLOURS)


def classifier(path):
    """The mean of each colour, for pictures of any size: [1, 3], without names."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["output0"]),
    ]
    return saved(path, nodes, [("images", FLOAT, ["batch", 3, "height", "width"])], [("output0", FLOAT, ["batch", 3])])


def masks(path):
    """A detector that gives four numbers more for each box than its file names classes."""
    nodes, constants = colours()
    nodes.append(helper.make_node("Concat", ["boxes", "scores", "boxes"], ["output0"], axis=1))
    constants.append(("boxes", boxes(1)))
    return saved(path, nodes, PICTURE, [("output0", FLOAT, [1, 10, 64])], constants, properties=COLOURS)


def suppressed(path):
    """A detector that suppresses overlaps itself: rows of corners, confidence and class, in pixels."""
    nodes, constants = colours()
    nodes.append(helper.make_node("Concat", ["boxes", "scores"], ["columns"], axis=1))
    nodes.append(helper.make_node("Transpose", ["columns"], ["output0"], perm=[0, 2, 1]))
    constants.append(("boxes", boxes(1)))
    return saved(path, nodes, PICTURE, [("output0", FLOAT, [1, 64, 6])], constants, properties=COLOURS)


def channels_last(path):
    """A detector of pictures whose channels come last."""
    nodes = [helper.make_node("GlobalAveragePool", ["images"], ["pooled"]), helper.make_node("Flatten", ["pooled"], ["y"])]
    return saved(path, nodes, [("images", FLOAT, [1, 64, 64, 3])], [("y", FLOAT, [1, 64])])
