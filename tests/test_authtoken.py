import os
import stat

import pytest

from raydl.authtoken import ensure_token, find_token, parse_token, read_token, token_file
from raydl.errors import UsageError


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_a_token_is_made_once_for_this_user_alone(tmp_path):
    path = ensure_token()
    assert path == tmp_path / "no-home" / ".ray" / "auth_token"
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700
    token = find_token()
    assert len(token) == 64
    assert ensure_token() == path
    assert find_token() == token


def test_one_that_others_may_read_is_closed(tmp_path):
    """Ray itself writes it so."""
    path = token_file()
    path.parent.mkdir(parents=True)
    path.write_text("abc\n")
    path.chmod(0o644)
    ensure_token()
    assert mode(path) == 0o600
    assert find_token() == "abc"


def test_an_empty_one_and_a_place_that_cannot_be_written(tmp_path, monkeypatch):
    path = token_file()
    path.parent.mkdir(parents=True)
    path.write_text("")
    with pytest.raises(UsageError, match="is empty"):
        ensure_token()
    assert find_token() is None
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "file" / "token"))
    with pytest.raises(UsageError, match="cannot keep a token"):
        ensure_token()


def test_rays_own_places(tmp_path, monkeypatch):
    assert find_token() is None
    (tmp_path / "t").write_text("from-file\n")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "t"))
    assert find_token() == "from-file"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "from-variable")
    assert find_token() == "from-variable"


def test_what_is_no_token_is_in_no_message(tmp_path):
    assert parse_token(" abc\n") == "abc"
    for text in ("", "  ", "two words", "caf\xe9", "a\x00b"):
        with pytest.raises(UsageError) as caught:
            parse_token(text)
        assert not text.strip() or text not in str(caught.value)
    with pytest.raises(UsageError, match="No such file"):
        read_token(str(tmp_path / "nowhere"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="holds no token"):
        read_token(str(tmp_path / "binary"))
