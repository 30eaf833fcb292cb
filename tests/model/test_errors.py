import copy
import pickle

import pytest

import raydl.model.errors as errors
from raydl.model.errors import HttpError, RaydlError, exit_codes


def _all(cls):
    return {cls}.union(*(_all(sub) for sub in cls.__subclasses__()))


@pytest.mark.parametrize("cls", sorted(_all(RaydlError), key=lambda c: c.__name__))
def test_every_error_survives_pickling(cls):
    error = cls("what happened", "what to do")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is cls
        assert str(twin) == "what happened; what to do"
        assert twin.hint == "what to do"


def test_the_status_survives_too():
    assert pickle.loads(pickle.dumps(HttpError("m", "h", 404))).status == 404


def test_one_exit_code_a_class():
    families = [RaydlError, *RaydlError.__subclasses__()]
    assert len({cls.exit_code for cls in families}) == len(families)
    assert set(exit_codes()) == {*range(12), 129, 130, 143}
    assert list(exit_codes()) == sorted(exit_codes())
    assert errors.CancelledError.exit_code == 130


def test_the_url_of_an_http_error_and_what_a_notebook_shows_survive_pickling():
    error = HttpError("m", "h", 404)
    error.url = "https://example.org/f"
    assert pickle.loads(pickle.dumps(error)).url == error.url
    known = FileNotFoundError(2, "it is gone")
    errors.render_briefly(known, "it is gone")
    again = pickle.loads(pickle.dumps(known))
    assert again._render_traceback_() == ["FileNotFoundError: it is gone"]
