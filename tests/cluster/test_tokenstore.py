import os
import stat

import pytest

from raydl.cluster.tokenstore import (
    ensure_token,
    find_token,
    parse_token,
    read_token,
    token_file,
    why_unused,
)
from raydl.model.errors import UsageError
from tests.foreign import make_foreign


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.fixture
def kept():
    """A token where Ray looks for it, as `ray get-auth-token --generate` leaves it."""
    path = token_file()
    path.parent.mkdir(parents=True)
    path.write_text("abc\n")
    path.chmod(0o644)
    return path


def test_a_token_is_made_once_for_this_user_alone(tmp_path):
    token = ensure_token()
    path = tmp_path / "no-home" / ".ray" / "auth_token"
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700
    assert len(token) == 64
    assert find_token() == token
    assert ensure_token() == token


def test_one_that_others_may_read_is_not_used(kept):
    """Ray itself writes it so. Who has read it knows it still when it has been closed."""
    with pytest.raises(UsageError, match=r"others can read it; `chmod 600 .*a new one is made"):
        ensure_token()
    assert find_token() is None
    assert why_unused().startswith(f"{kept} is not used: others can read it; `chmod 600 ")
    with pytest.raises(UsageError, match="is not used: others can read it") as caught:
        read_token(str(kept))
    assert "chmod 600" in caught.value.hint
    assert "abc" not in str(caught.value) + why_unused()
    kept.chmod(0o600)
    assert ensure_token() == find_token() == read_token(str(kept)) == "abc"
    assert why_unused() == ""


def test_one_of_another_user_is_not_used(kept, monkeypatch):
    kept.chmod(0o600)
    make_foreign(kept, monkeypatch)
    for use in (ensure_token, lambda: read_token(str(kept))):
        with pytest.raises(UsageError, match="is not used: it belongs to another user"):
            use()
    assert find_token() is None
    assert "another user" in why_unused()
    monkeypatch.setenv("RAY_AUTH_TOKEN", "from-variable")
    assert find_token() == "from-variable"
    assert why_unused() == ""


def test_what_is_looked_at_is_what_was_opened(kept, monkeypatch, tmp_path):
    """It is closed to others only once it has been opened."""
    open_file = os.open

    def open_and_close(path, *args, **kwargs):
        opened = open_file(path, *args, **kwargs)
        if os.fspath(path) == str(kept):
            other = tmp_path / "other"
            other.touch(mode=0o600)
            other.replace(kept)
        return opened

    monkeypatch.setattr(os, "open", open_and_close)
    assert find_token() is None


def test_a_pipe_holds_a_token_too():
    """As a shell makes one: --token-file <(pass show token)."""
    ours, theirs = os.pipe()
    os.write(theirs, b"abc\n")
    os.close(theirs)
    assert read_token(f"/dev/fd/{ours}") == "abc"
    os.close(ours)


def test_an_empty_one_and_a_place_that_cannot_be_written(kept, tmp_path, monkeypatch):
    kept.write_text("")
    kept.chmod(0o600)
    with pytest.raises(UsageError, match="holds no token"):
        ensure_token()
    assert find_token() is None
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "file" / "token"))
    with pytest.raises(UsageError, match="cannot keep a token"):
        ensure_token()


def test_rays_own_places(tmp_path, monkeypatch):
    assert find_token() is None
    (tmp_path / "t").write_text("from-file\n")
    (tmp_path / "t").chmod(0o600)
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
    (tmp_path / "binary").chmod(0o600)
    with pytest.raises(UsageError, match="holds no token"):
        read_token(str(tmp_path / "binary"))
