"""A tiny llama model with random weights, the same bytes each time: noise that a grammar still makes JSON of.

The format is GGUF 3: header, pairs of name and value, a list of tensors,
then their numbers, each tensor's at a multiple of 32 bytes.
"""

import hashlib
import random
import struct
from array import array
from pathlib import Path

WIDTH, LAYERS, HEADS, HIDDEN, CONTEXT = 128, 2, 4, 256, 4096
INT32, FLOAT32, STRING, ARRAY = 5, 6, 8, 9
UINT32 = 4
ALIGNMENT = 32
# Per byte one token, and one per printable sign: an encoding needs no merges.
BYTES = [f"<0x{n:02X}>" for n in range(256)]
SIGNS = ["\N{LOWER ONE EIGHTH BLOCK}", *map(chr, range(33, 127))]
TOKENS = ["<unk>", "<s>", "</s>", *BYTES, *SIGNS]
KINDS = [2, 3, 3, *[6] * len(BYTES), *[1] * len(SIGNS)]  # unknown, control, byte, normal
SCORES = [0.0, 0.0, 0.0, *[-1000.0] * len(BYTES), *[-1.0] * len(SIGNS)]
CHAT = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: "


def write(path: Path) -> str:
    """Write the model; return its sha256."""
    rng = random.Random(0)  # noqa: S311  # the same weights each time
    index, numbers = b"", bytearray()
    for name, shape in tensors().items():
        dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        index += string(name) + dimensions + struct.pack("<IQ", 0, len(numbers))
        numbers += weights(rng, name, shape)
    pairs = metadata()
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors()), len(pairs)) + b"".join(pairs) + index
    content = head + b"\0" * (-len(head) % ALIGNMENT) + numbers
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def tensors() -> dict[str, tuple[int, ...]]:
    """The names and shapes of the weights, the fastest dimension first."""
    vocabulary = (WIDTH, len(TOKENS))
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd": vocabulary,
        "output": vocabulary,
        "output_norm": (WIDTH,),
    }
    for layer in range(LAYERS):
        names = ("attn_q", "attn_k", "attn_v", "attn_output")
        shapes |= {f"blk.{layer}.{name}": (WIDTH, WIDTH) for name in names}
        shapes |= {f"blk.{layer}.{name}": (WIDTH, HIDDEN) for name in ("ffn_gate", "ffn_up")}
        shapes[f"blk.{layer}.ffn_down"] = (HIDDEN, WIDTH)
        shapes |= {f"blk.{layer}.{name}": (WIDTH,) for name in ("attn_norm", "ffn_norm")}
    return {f"{name}.weight": shape for name, shape in shapes.items()}


def weights(rng: random.Random, name: str, shape: tuple[int, ...]) -> bytes:
    """Random numbers of this shape; ones for a norm."""
    if len(shape) == 1:
        return array("f", [1.0] * WIDTH).tobytes()
    found = array("f", (rng.gauss(0, 0.05) for _ in range(shape[0] * shape[1])))
    if name == "output.weight":
        # The likeliest word is never half a character, which a server would keep back from the stream.
        found[3 * WIDTH : (3 + len(BYTES)) * WIDTH] = array("f", [0.0] * len(BYTES) * WIDTH)
    return found.tobytes()


def metadata() -> list[bytes]:
    """What the model is, and its tokens."""
    sizes = {
        "context_length": CONTEXT, "embedding_length": WIDTH, "block_count": LAYERS,
        "feed_forward_length": HIDDEN, "attention.head_count": HEADS, "attention.head_count_kv": HEADS,
        "rope.dimension_count": WIDTH // HEADS, "vocab_size": len(TOKENS),
    }  # fmt: skip
    special = {"bos": 1, "eos": 2, "unknown": 0}
    texts = {
        "general.architecture": "llama",
        "tokenizer.ggml.model": "llama",
        "tokenizer.chat_template": CHAT,
    }
    return [
        *(pair(name, STRING, string(text)) for name, text in texts.items()),
        *(pair(f"llama.{name}", UINT32, struct.pack("<I", size)) for name, size in sizes.items()),
        pair("llama.attention.layer_norm_rms_epsilon", FLOAT32, struct.pack("<f", 1e-5)),
        *(pair(f"tokenizer.ggml.{n}_token_id", UINT32, struct.pack("<I", i)) for n, i in special.items()),
        listed("tokenizer.ggml.tokens", STRING, b"".join(map(string, TOKENS))),
        listed("tokenizer.ggml.scores", FLOAT32, array("f", SCORES).tobytes()),
        listed("tokenizer.ggml.token_type", INT32, array("i", KINDS).tobytes()),
    ]


def string(text: str) -> bytes:
    """A text with its length in front."""
    return struct.pack("<Q", len(text.encode())) + text.encode()


def pair(name: str, kind: int, value: bytes) -> bytes:
    """A name and its value."""
    return string(name) + struct.pack("<I", kind) + value


def listed(name: str, kind: int, values: bytes) -> bytes:
    """A name and one value per token."""
    return pair(name, ARRAY, struct.pack("<IQ", kind, len(TOKENS)) + values)
