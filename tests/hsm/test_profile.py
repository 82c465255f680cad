"""Profiles are read strictly: a mistake is refused by the name of its key."""

from pathlib import Path

import pytest

from hsmvault.errors import ConfigurationError
from hsmvault.hsm.profile import Profile, load_profile

FOLDER = Path(__file__).parent.parent.parent / "conf" / "hsm"
GOOD = FOLDER.joinpath("softhsm.toml").read_text()


def written(folder: Path, text: str) -> Path:
    path = folder / "profile.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_every_profile_of_the_package_is_good(path: Path) -> None:
    profile = load_profile(path)
    assert profile.can_lock_world_key == ("wrapped" in profile.custody)


def test_softhsm_offers_both_classes() -> None:
    assert load_profile(FOLDER / "softhsm.toml").custody == ("wrapped", "resident")


def test_a_profile_that_says_nothing_gets_the_cautious_values() -> None:
    profile = Profile(name="unknown")
    assert profile.custody == ("resident",)
    assert profile.oaep256_fallback == "refused"
    assert not profile.can_lock_world_key


def test_an_unknown_key_is_refused_with_its_name_and_line(tmp_path: Path) -> None:
    path = written(tmp_path, 'name = "x"\nwork_sesions = 2\n')
    with pytest.raises(ConfigurationError, match=r"work_sesions.*line 2"):
        load_profile(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ('key_wrap_pad = "rfc3394"', "key_wrap_pad"),
        ("work_sessions = 0", "work_sessions"),
        ('work_sessions = "many"', "work_sessions"),
        ('custody = ["soft"]', "custody"),
        ("trusted_keys = false", "trusted_keys"),
        ("unwrap_template = false", "unwrap_template"),
        ("handles_shared = false", "handles_shared"),
    ],
)
def test_a_value_that_cannot_be_is_refused(tmp_path: Path, change: str, words: str) -> None:
    key = change.split(" = ")[0]
    lines = [line for line in GOOD.splitlines() if not line.startswith(f"{key} =")]
    with pytest.raises(ConfigurationError, match=words):
        load_profile(written(tmp_path, "\n".join([*lines, change])))


@pytest.mark.parametrize("text", ["name = ", "work_sessions = 2"], ids=["no TOML", "no name"])
def test_what_is_no_profile_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"profile\.toml"):
        load_profile(written(tmp_path, text))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"hsm\.profile"):
        load_profile(tmp_path / "none.toml")
