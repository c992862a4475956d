"""Reading a network's weights from a file, and saying plainly where they do not fit."""

import argparse
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from pixvec.errors import WeightsUnavailable

# Training scripts store their options beside the weights; a namespace holds values and runs nothing.
torch.serialization.add_safe_globals([argparse.Namespace])

# All that the libraries were seen to raise on damaged files.
_DAMAGE = (
    OSError,
    SafetensorError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    AssertionError,
    AttributeError,
    TypeError,
    struct.error,
)


def load_into(network: torch.nn.Module, path: Path, *, without: tuple[str, ...]) -> None:
    """Give the network the file's weights, leaving out the modules named in `without` (the classifier).

    The network may be on the meta device. Raises WeightsUnavailable naming the first weights that do not fit.
    """
    left_out = tuple(f"{name}." for name in without)
    assign(network, {name: value for name, value in read(path).items() if not name.startswith(left_out)}, path)


def assign(network: torch.nn.Module, state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Give the network these weights, read from `path`. Raises WeightsUnavailable naming the first that do not fit."""
    state = dict(state)
    expected = network.state_dict()
    for name, value in expected.items():
        # Counts batches in training only, and not every tool saves it.
        if name.endswith("num_batches_tracked"):
            state[name] = torch.zeros(value.shape, dtype=value.dtype)
    problem = _first_problem(expected, state)
    if problem:
        raise WeightsUnavailable(f"{path} does not hold the weights of this network: {problem}; name another file")
    _check_finite(state, path)
    network.load_state_dict({name: value.float() for name, value in state.items()}, assign=True)


def check_finite(network: torch.nn.Module, path: Path) -> None:
    """Raise WeightsUnavailable where a weight, read from `path`, is no number or without bound: no vector would be
    one. What else a network holds is its own: a mask of attention is without bound."""
    _check_finite(dict(network.named_parameters()), path)


def _check_finite(weights: Mapping[str, torch.Tensor], path: Path) -> None:
    wrong = next((name for name, weight in weights.items() if not weight.isfinite().all()), None)
    if wrong is not None:
        raise WeightsUnavailable(f"{path} is damaged: {wrong} has values that are not finite; name another file")


def read(path: Path) -> dict[str, torch.Tensor]:
    """Return name to tensor, from safetensors or torch.save (a state dict, or one under the key `state_dict`)."""
    state = read_any(path)
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not is_state_dict(state):
        raise WeightsUnavailable(f"{path} holds no state dict: name a file made by torch.save(model.state_dict())")
    return dict(state)


def read_any(path: Path) -> Any:
    """Return what a file holds, from safetensors or torch.save: tensors and plain values only, whatever their order.

    Raises WeightsUnavailable for anything else; code in a pickle is not run.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except (*_DAMAGE, pickle.UnpicklingError) as error:
        raise WeightsUnavailable(
            f"{path} cannot be read as weights ({_cause(error)}): name a file made by torch.save(model.state_dict()) "
            "or safetensors"
        ) from error


def _cause(error: Exception) -> str:
    # What torch says of these is how to run the code in them all the same.
    if isinstance(error, pickle.UnpicklingError):
        return "it is no pickle, or one of more than tensors, which could run code"
    return str(error).partition("\n")[0] or type(error).__name__


def is_state_dict(state: object) -> bool:
    """Whether it is a table of tensors by name."""
    return isinstance(state, dict) and all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()
    )


def _first_problem(expected: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor]) -> str:
    missing = next((name for name in expected if name not in state), None)
    unexpected = next((name for name in state if name not in expected), None)
    misshaped = next((name for name in expected if name in state and state[name].shape != expected[name].shape), None)
    problems = []
    if missing:
        problems.append(f"{missing} is missing")
    if unexpected:
        problems.append(f"{unexpected} is unexpected")
    if misshaped:
        shapes = [" x ".join(map(str, weights[misshaped].shape)) for weights in (state, expected)]
        problems.append(f"{misshaped} is {shapes[0]}, not {shapes[1]}")
    return ", ".join(problems)
