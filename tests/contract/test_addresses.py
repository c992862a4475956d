import socket

import pytest

from pixvec.rpc.addresses import clear_stale_socket, socket_path


def test_addresses_with_and_without_a_file():
    assert socket_path("127.0.0.1:50051") is None
    assert str(socket_path("unix:/run/a.sock")) == "/run/a.sock"
    assert str(socket_path("unix:///run/a.sock")) == "/run/a.sock"


def test_a_file_left_by_a_killed_process_is_removed(tmp_path):
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    clear_stale_socket(f"unix:{path}")
    assert not path.exists()


def test_a_living_listener_is_left_alone(tmp_path):
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(path))
        alive.listen()
        with pytest.raises(OSError, match="in use by another process"):
            clear_stale_socket(f"unix:{path}")
    assert path.exists()


def test_missing_folders_are_made(tmp_path):
    clear_stale_socket(f"unix:{tmp_path}/sub/a.sock")
    assert (tmp_path / "sub").is_dir()


def test_a_path_too_long_says_so():
    with pytest.raises(OSError, match="at most 107 bytes"):
        clear_stale_socket("unix:/" + "x" * 120)
