"""The completion script, used by a real bash."""

import subprocess
import sys
from pathlib import Path

import pytest

from mmvan.cli.main import main
from mmvan.engine.errors import USER_ERROR_STATUS


def complete(script: Path, *words: str) -> list[str]:
    """What bash offers for the last of the words."""
    code = (
        f'source "{script}"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); '
        'function_=$(complete -p mmvan | sed -E "s/.*-F ([^ ]+).*/\\1/"); '
        '"$function_" mmvan "${@: -1}" "${@: -2:1}"; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    told = subprocess.run(
        ["bash", "-c", code, "bash", *words], capture_output=True, text=True, check=True
    )
    return told.stdout.split()


def test_bash_completes_commands_options_choices_and_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("shtab")
    main(["completion", "bash"])
    script = tmp_path / "mmvan.bash"
    script.write_text(capsys.readouterr().out)
    monkeypatch.chdir(tmp_path)
    assert complete(script, "mmvan", "tr") == ["train"]
    assert complete(script, "mmvan", "train", "--accu") == ["--accumulate"]
    assert complete(script, "mmvan", "train", "--device", "") == ["auto", "cpu", "cuda"]
    assert complete(script, "mmvan", "train", "mmv") == ["mmvan.bash"]


def test_without_shtab_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit) as ended:
        main(["completion", "bash"])
    assert ended.value.code == USER_ERROR_STATUS
    assert "pip install 'mmvan[completion]'" in capsys.readouterr().err
