import sys

import pytest
from env_setup import family
from env_setup.family import MINORS, choose_family, usable_minors, use_supported_python
from env_setup.shell import SetupError


@pytest.mark.parametrize(
    ("minor", "chosen"), ((10, "official"), (11, "official"), (12, "official"), (13, "onedl"))
)
def test_the_official_family_is_taken_where_it_can_work(minor: int, chosen: str) -> None:
    found, reason = choose_family("auto", minor)
    assert found == chosen
    assert f"3.{minor}" in reason
    assert chosen in reason
    assert "\n" not in reason


@pytest.mark.parametrize("asked", ("official", "onedl"))
def test_what_is_asked_for_is_taken(asked: str) -> None:
    assert choose_family(asked, 12)[0] == asked


def test_every_python_of_a_family_is_usable() -> None:
    assert set(usable_minors("auto")) == {minor for minors in MINORS.values() for minor in minors}
    assert usable_minors("auto")[0] == 12
    assert usable_minors("official") == (12, 11, 10)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    found: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda path, arguments: found.append(arguments))
    monkeypatch.setattr(family, "supported_pythons", lambda minors: ["/opt/python3.12"])
    return found


@pytest.mark.parametrize(
    ("asked", "minor", "hands_over"),
    (
        ("auto", 13, False),
        ("auto", 9, True),
        ("official", 13, True),
        ("onedl", 13, False),
        ("official", 12, False),
    ),
)
def test_another_python_is_started_only_where_this_one_cannot(
    asked: str,
    minor: int,
    hands_over: bool,
    started: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, minor, 0))
    use_supported_python(asked)
    assert started == ([["/opt/python3.12", *sys.argv]] if hands_over else [])
    printed = capsys.readouterr()
    assert not printed.out  # The Makefile reads it.
    assert ("/opt/python3.12 is used" in printed.err) is hands_over


@pytest.mark.parametrize(
    ("asked", "message"),
    (
        ("auto", r"Python 3\.13 does not carry mmvan.*python3\.10.*PYTHON=\.\.\.`$"),
        ("official", r"the official family.*python3\.12.*PYTHON=.*make FAMILY=onedl"),
    ),
)
def test_where_no_python_can_the_ways_out_are_named(
    asked: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 13, 0))
    monkeypatch.setattr(family, "supported_pythons", lambda minors: [])
    monkeypatch.setattr(family, "usable_minors", lambda asked: (10, 12))
    with pytest.raises(SetupError, match=message):
        use_supported_python(asked)
