"""Makes the files in this folder: what PyTorch 1.13 and Python's pickle write, and in expected.json what is in them.

    python3 make.py        # beside the files; needs torch and numpy
"""

import argparse
import json
import math
import pickle
from collections import Counter, OrderedDict

import numpy as np
import torch

expected = {}


def plain(tensor):
    """A tensor as JSON: its type by its name in safetensors, its shape, and its values as sightline holds them."""
    dtypes = {
        torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64", torch.int32: "I32",
        torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
    }
    values = tensor.detach().to(torch.float32 if tensor.is_floating_point() else torch.int64).reshape(-1).tolist()
    words = [v if math.isfinite(v) else str(v).replace("inf", "Infinity") for v in values]  # as JavaScript reads them
    return {"dtype": dtypes[tensor.dtype], "shape": list(tensor.shape), "values": words}


def save(file, content, tensors, **options):
    torch.save(content, file, **options)
    expected[file] = {name: plain(tensor) for name, tensor in tensors.items()}


def state_dict():
    torch.manual_seed(0)
    matrix = torch.randn(6, 8)
    cube = torch.arange(60, dtype=torch.int32).reshape(3, 4, 5)
    return OrderedDict(
        double=torch.tensor([1 / 3, -1e300, 2.0**-149], dtype=torch.float64),
        float=torch.tensor([1 / 3, float("nan"), float("inf"), -0.0]),
        half=torch.tensor([1 / 3, 65504, 6e-8], dtype=torch.float16),
        bfloat16=torch.tensor([1 / 3, 3e38, 1e-40], dtype=torch.bfloat16),
        long=torch.tensor([2**31 - 1, -(2**31), 5]),
        int=torch.tensor([2**31 - 1, -7], dtype=torch.int32),
        short=torch.tensor([32767, -32768], dtype=torch.int16),
        char=torch.tensor([127, -128], dtype=torch.int8),
        byte=torch.tensor([0, 255], dtype=torch.uint8),
        bool=torch.tensor([True, False, True]),
        scalar=torch.tensor(2.5),
        empty=torch.zeros(0, 3),
        parameter=torch.nn.Parameter(torch.randn(2, 3)),
        fixed=torch.nn.Parameter(torch.randn(2), requires_grad=False),
        matrix=matrix,
        tied=matrix,
        rows=matrix[2:4],
        columns=matrix[:, 3:5],
        transposed=matrix.t(),
        steps=matrix[::2, 1::3],
        expanded=matrix[:, :1].expand(6, 3),
        diagonal=matrix.diagonal(),
        windows=matrix.reshape(-1)[:10].unfold(0, 4, 2),
        channels_last=torch.randn(2, 3, 4, 2).contiguous(memory_format=torch.channels_last),
        permuted=cube.permute(2, 0, 1),
        slice=cube[1:, ::2, 1:4],
        **{"größe.__proto__": torch.ones(1), "": torch.zeros(1)},
    )


class Vocabulary:
    def __init__(self):
        words = ["<pad>", "<start>", "<end>", "<unk>", "dog", "größe", "🐕"]
        self.word2idx = {word: i for i, word in enumerate(words)}
        self.idx2word = {i: word for i, word in enumerate(words)}
        self.frequencies = Counter({"dog": 7, "größe": 300, "🐕": 70000})
        self.order = OrderedDict([("__proto__", 1), ("constructor", 2)])
        self.special = {"<pad>"}
        self.none = set()
        self.shape = (1, (), (2, (3, (4, 5))), [], [[6]])
        self.numbers = [0, -1, 255, 256, 65536, -(2**31), 2**31, -(2**40), 2**53 - 1, 2**60, -(2**63), 0.1, -1e300]
        self.constants = [None, True, False]
        self.bytes = [b"", b"\x00\xff", bytearray(b"ab")]
        self.itself = self.idx2word
        self.type = int


state = state_dict()
save("state-dict.pth", state, state)
save("state-dict-legacy.pth", state, state, _use_new_zipfile_serialization=False)
save("state-dict-protocol-4.pth", dict(state), state, pickle_protocol=4)

linear = torch.nn.Linear(3, 2)
optimizer = torch.optim.Adam(linear.parameters(), lr=1e-3)
linear(torch.randn(4, 3)).sum().backward()
optimizer.step()
training = {
    "epoch": 3,
    "best_bleu": np.float64(0.123456789012),
    "args": argparse.Namespace(lr=1e-3, name="run"),
    "model_state_dict": linear.state_dict(),
    "optimizer_state_dict": optimizer.state_dict(),
    "losses": np.array([3.5, 2.25], dtype=np.float32),
    "size": torch.Size([3, 2]),
    "device": torch.device("cuda:0"),
    "dtype": torch.float32,
}
save("training.pt", training, linear.state_dict())
save("training-legacy.pt", training, linear.state_dict(), _use_new_zipfile_serialization=False)
nested = {"model": {"encoder": linear.state_dict(), "decoder": {"out": {"weight": torch.ones(2)}, "steps": 4}}, "epoch": 1}
save("nested.pt", nested, {**{f"encoder.{name}": tensor for name, tensor in linear.state_dict().items()}, "decoder.out.weight": torch.ones(2)})

for protocol in (2, 3, 4, 5):
    with open(f"vocabulary-protocol-{protocol}.pkl", "wb") as file:
        pickle.dump(Vocabulary(), file, protocol)
    arrays = {name: np.array([0, 1, 100]).astype(name) for name in ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u4", "u2", "u1", "?"]}
    arrays["matrix"] = np.arange(6, dtype=np.float32).reshape(2, 3)
    arrays["columns"] = np.asfortranarray(np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    arrays["rank 0"] = np.array(2.5)
    arrays["empty"] = np.zeros((0, 4), dtype=np.float32)
    scalars = {"f8": np.float64(0.1), "f4": np.float32(0.5), "i8": np.int64(-(2**40)), "u1": np.uint8(200), "?": np.bool_(True)}
    with open(f"arrays-protocol-{protocol}.pkl", "wb") as file:
        pickle.dump({"arrays": arrays, "scalars": scalars}, file, protocol)

with open("expected.json", "w") as file:
    json.dump(expected, file, separators=(",", ":"), ensure_ascii=False)
