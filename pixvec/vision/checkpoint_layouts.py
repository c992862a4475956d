"""How self-supervised training code lays out its checkpoints, and the backbone's own weights out of them.

Known, by what is published or by the code that writes it: MoCo (`module.encoder_q.`, v3 `module.base_encoder.` and
`module.momentum_encoder.`), SimCLR and BYOL (`backbone.`, `encoder.`, `convnet.`, `online_network.`), lightly's
(`backbone.0.` for a network taken apart into a sequence), DINO (`teacher`, `backbone.`), MAE (`model`, beside a
decoder), VAE (`encoder.`, beside `decoder.`, `fc_mu.`, `fc_var.`), vissl's (`base_model`, `trunk`). They differ in what
is around the backbone's names, so that is what is looked for: the wrapper, the prefix under which most of the names
are, and heads to be left out.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from pixvec.vision.state_dict import is_state_dict

State = Mapping[str, torch.Tensor]

# Of two copies of a network, the one that its method's own code evaluates: DINO's teacher, MoCo's query encoder.
_WRAPPERS = (
    "teacher",
    "state_dict",
    "model_state_dict",
    "model_state",
    "classy_state_dict",
    "base_model",
    "model",
    "trunk",
    "network",
    "net",
    "module",
    "backbone",
    "encoder",
    "student",
    "weights",
)
# Of prefixes with equally many of the names, the one with the earliest of these.
_PREFERRED = ("teacher", "encoder_q", "base_encoder", "online", "student")
_HEADS = (
    "fc",
    "head",
    "heads",
    "classifier",
    "projector",
    "projection",
    "projection_head",
    "prototypes",
    "predictor",
    "prediction_head",
    "mlp_head",
    "last_layer",
    "decoder",
    "decoder_embed",
    "decoder_pos_embed",
    "decoder_blocks",
    "decoder_norm",
    "decoder_pred",
    "mask_token",
    "queue",
    "queue_ptr",
    "fc_mu",
    "fc_var",
    "fc_logvar",
    "mu",
    "logvar",
    "bottleneck",
    "pool",
    "gem",
)


def unwrap(stored: Any) -> State | None:
    """Return the tables of weights that a checkpoint holds, in one, or None where it holds none."""
    while isinstance(stored, dict) and not is_state_dict(stored):
        inner = next((stored[key] for key in _WRAPPERS if isinstance(stored.get(key), dict)), None)
        if inner is None:
            return None
        stored = inner
    return stored if is_state_dict(stored) and stored else None


def backbone_state(state: State, expected: Sequence[str], children: Sequence[str]) -> dict[str, torch.Tensor]:
    """Return the weights under the network's own names, what else is under their prefix with them, but no heads.

    `expected`: the names of the network's weights; `children`: its parts in the order of a sequence made of them.
    """
    layouts = [*_prefixed(state, expected), *_numbered(state, children)]
    wanted = set(expected)
    best = max(layouts, key=lambda layout: _rank(layout, wanted), default=("", dict(state)))[1]
    return {name: value for name, value in best.items() if name in wanted or name.partition(".")[0] not in _HEADS}


Layout = tuple[str, dict[str, torch.Tensor]]


def _rank(layout: Layout, wanted: set[str]) -> tuple[int, int, int]:
    prefix, state = layout
    preferred = next((place for place, part in enumerate(_PREFERRED) if part in prefix), len(_PREFERRED))
    return len(wanted & state.keys()), -preferred, -len(prefix)


def _prefixed(state: State, expected: Sequence[str]) -> list[Layout]:
    """Return the weights under each prefix that one of the network's first names has somewhere."""
    prefixes: dict[str, None] = {}
    for probe in expected[:3]:
        for name in state:
            if name == probe or name.endswith(f".{probe}"):
                prefixes[name[: len(name) - len(probe)]] = None
    return [(prefix, _under(state, prefix)) for prefix in prefixes]


def _numbered(state: State, children: Sequence[str]) -> list[Layout]:
    """Return the weights of networks that were taken apart into a sequence, under the names of their parts."""
    layouts: list[Layout] = []
    for prefix in _number_prefixes(state):
        named: dict[str, torch.Tensor] = {}
        for name, value in _under(state, prefix).items():
            place, _, rest = name.partition(".")
            if place.isdecimal() and int(place) < len(children):
                named[f"{children[int(place)]}.{rest}"] = value
        layouts.append((prefix, named))
    return layouts


def _number_prefixes(names: Iterable[str]) -> list[str]:
    found: dict[str, None] = {}
    for name in names:
        parts = name.split(".")
        if "0" in parts:
            found["".join(f"{part}." for part in parts[: parts.index("0")])] = None
    return list(found)


def _under(state: State, prefix: str) -> dict[str, torch.Tensor]:
    return {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
