"""Weights are tensors by name and nothing else; what is anything else is refused, and none of it is run."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pixvec.errors import WeightsUnavailable
from pixvec.vision.state_dict import load_into, read


class Sentinel:
    """A pickle of it leaves a file where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self._mark,))


def network() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))


def saved(folder: Path, value: object, **options: object) -> Path:
    file = folder / "weights.pth"
    torch.save(value, file, pickle_protocol=2, **options)
    return file


def refused(file: Path, match: str) -> None:
    with pytest.raises(WeightsUnavailable, match=match) as caught:
        read(file)
    assert str(file) in caught.value.message
    assert "name a file made by torch.save" in caught.value.message


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_state_dict_from_torch_save(tmp_path: Path, zipped: bool) -> None:
    state = network().state_dict()
    found = read(saved(tmp_path, state, _use_new_zipfile_serialization=zipped))
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


def test_a_state_dict_within_a_checkpoint_of_training(tmp_path: Path) -> None:
    found = read(saved(tmp_path, {"state_dict": {"a": torch.ones(2)}, "epoch": 3}))
    assert found.keys() == {"a"}


def test_a_state_dict_from_safetensors(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    save_file({"a": torch.arange(3.0)}, file)
    assert read(file)["a"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("by", [torch.save, lambda value, file: file.write_bytes(pickle.dumps(value, 2))])
def test_code_in_a_pickle_is_refused_and_not_run(tmp_path: Path, by) -> None:
    mark, file = tmp_path / "mark", tmp_path / "weights.pth"
    by({"a": Sentinel(mark)}, file)
    refused(file, "more than tensors, which could run code")
    assert not mark.exists()
    with pytest.raises(WeightsUnavailable) as caught:
        read(file)
    assert "weights_only" not in caught.value.message


def test_the_code_would_have_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    pickle.loads(pickle.dumps(Sentinel(mark), 2))
    assert mark.exists()


def test_a_whole_module_is_refused(tmp_path: Path) -> None:
    refused(saved(tmp_path, network()), "more than tensors")


@pytest.mark.parametrize(
    "value", [[torch.ones(1)], torch.ones(1), {"a": 1}, {0: torch.ones(1)}, {"state_dict": [1]}], ids=str
)
def test_what_holds_no_state_dict(tmp_path: Path, value: object) -> None:
    refused(saved(tmp_path, value), "holds no state dict")


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"<html>404 not found</html>", b"text\n"])
def test_what_is_no_file_of_weights(tmp_path: Path, name: str, content: bytes) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    refused(file, r"cannot be read as weights \([^)]")


def test_a_file_cut_short_or_damaged_anywhere(tmp_path: Path) -> None:
    file = saved(tmp_path, {"a": torch.ones(8)}, _use_new_zipfile_serialization=False)
    content = file.read_bytes()
    for place in range(0, len(content), 7):
        for damaged in (content[:place], content[:place] + b"\xff" + content[place + 1 :]):
            file.write_bytes(damaged)
            try:
                read(file)
            except WeightsUnavailable:
                continue


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere.pth", "cannot be read")
    refused(tmp_path / "nowhere.safetensors", "cannot be read")


def test_weights_go_into_a_network_that_had_none(tmp_path: Path) -> None:
    source = network()
    with torch.device("meta"):
        target = network()
    load_into(target, saved(tmp_path, source.half().state_dict()), without=())
    assert target[0].weight.dtype == torch.float32
    assert torch.equal(target[0].weight, source[0].weight.float())


def test_the_classifier_is_left_out(tmp_path: Path) -> None:
    whole = {**network().state_dict(), "fc.weight": torch.ones(1), "fc.bias": torch.ones(1)}
    load_into(network(), saved(tmp_path, whole), without=("fc",))
    with pytest.raises(WeightsUnavailable, match=r"fc\.weight is unexpected"):
        load_into(network(), saved(tmp_path, whole), without=())


def test_the_count_of_batches_may_be_missing(tmp_path: Path) -> None:
    state = network().state_dict()
    del state["1.num_batches_tracked"]
    load_into(network(), saved(tmp_path, state), without=())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"0.weight": None}, r"0\.weight is missing"),
        ({"2.weight": torch.ones(1)}, r"2\.weight is unexpected"),
        ({"0.weight": torch.ones(4, 3)}, r"0\.weight is 4 x 3, not 2 x 3"),
    ],
)
def test_weights_of_another_network_are_told_by_the_first_that_does_not_fit(
    tmp_path: Path, change: dict[str, torch.Tensor | None], problem: str
) -> None:
    state = {**network().state_dict(), **change}
    file = saved(tmp_path, {name: value for name, value in state.items() if value is not None})
    with pytest.raises(WeightsUnavailable, match=f"does not hold the weights of this network: {problem}; name another"):
        load_into(network(), file, without=())


@pytest.mark.parametrize("name", ["0.weight", "1.running_var"])
def test_weights_and_running_statistics_are_finite(tmp_path: Path, name: str) -> None:
    state = network().state_dict()
    state[name][0] = torch.inf
    with pytest.raises(WeightsUnavailable, match=rf"is damaged: {name} has values that are not finite"):
        load_into(network(), saved(tmp_path, state), without=())
