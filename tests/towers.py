"""A small model of pictures and captions, trained on made scenes with CLIP's loss, in a folder as open_clip keeps one.

About forty seconds on one core; kept in pytest's cache until what it is made by changes.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

import tests.scenes
from pixvec.vision.preprocess import Fit, Preprocess
from tests.one_thread import one_thread
from tests.scenes import scenes

SIDE = 56
# As the trained model takes its pictures.
PREPROCESS = Preprocess(SIDE, SIDE, Fit.SQUASH)
# One thing or two: what the model was trained on.
THINGS = (1, 2)

_SCENES, _STEPS, _BATCH, _LEARNING_RATE = 2500, 170, 64, 3e-3
# As open_clip itself, so that its learned scale stays one of a hundred.
_MOST_LOGIT_SCALE = float(np.log(100))
_CONFIG = {
    "model_cfg": {
        "embed_dim": 128,
        "vision_cfg": {"image_size": SIDE, "layers": [1, 1, 1, 1], "width": 16, "head_width": 16},
        "text_cfg": {"context_length": 40, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 2},
    },
    "preprocess_cfg": {
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "interpolation": "bilinear",
        "resize_mode": "squash",
    },
}


def trained_towers(cache: pytest.Cache) -> Path:
    """Return the folder of the trained model, training it if the cache has none."""
    folder = cache.mkdir("towers") / _made_by()
    if not (folder / "open_clip_model.safetensors").is_file():
        folder.mkdir(exist_ok=True)
        _train(folder)
    return folder


def write_towers(folder: Path, seed: int = 0) -> torch.nn.Module:
    """Write the same model with weights of chance into a folder, and return it."""
    network = _network(folder, seed)
    _save(network, folder)
    return network


def _network(folder: Path, seed: int) -> torch.nn.Module:
    (folder / "open_clip_config.json").write_text(json.dumps(_CONFIG))
    torch.manual_seed(seed)
    return open_clip.create_model(f"local-dir:{folder}", load_weights=False)


def _made_by() -> str:
    sources = b"".join(Path(module).read_bytes() for module in (__file__, tests.scenes.__file__))
    versions = f"{open_clip.__version__} {torch.__version__} {np.__version__}"
    return hashlib.sha256(sources + versions.encode()).hexdigest()[:16]


def _train(folder: Path) -> None:
    with one_thread():
        network = _network(folder, 0)
        tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
        # Fixed: half of all weights, and words of chance are as far apart as any.
        network.token_embedding.requires_grad_(False)
        _fit(network, *_examples(tokenizer))
        _save(network, folder)


def _examples(tokenizer: open_clip.SimpleTokenizer) -> tuple[torch.Tensor, torch.Tensor]:
    made = list(scenes(range(_SCENES), (2 * SIDE, 2 * SIDE), things=THINGS))
    pixels = np.stack([PREPROCESS.apply(scene.picture) for scene in made])
    pictures = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    return pictures, tokenizer([scene.caption for scene in made])


def _fit(network: torch.nn.Module, pictures: torch.Tensor, captions: torch.Tensor) -> None:
    learned = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(learned, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, total_steps=_STEPS)
    loss_of, order = open_clip.ClipLoss(), torch.Generator().manual_seed(0)
    network.train()
    for _ in range(_STEPS):
        batch = torch.randint(len(pictures), (_BATCH,), generator=order)
        seen = network.encode_image(pictures[batch], normalize=True)
        read = network.encode_text(captions[batch], normalize=True)
        optimizer.zero_grad()
        loss_of(seen, read, network.logit_scale.exp()).backward()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            network.logit_scale.clamp_(0, _MOST_LOGIT_SCALE)


def _save(network: torch.nn.Module, folder: Path) -> None:
    state = {name: value.detach().contiguous().clone() for name, value in network.state_dict().items()}
    part = folder / "open_clip_model.part"
    save_file(state, part)
    part.replace(folder / "open_clip_model.safetensors")
