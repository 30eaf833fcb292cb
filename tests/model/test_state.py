from raydl.model.errors import CancelledError, NetworkError
from raydl.model.events import Failed
from raydl.model.state import DownloadState


def test_how_a_download_ends():
    """The same by the error, and by the event that reports it."""
    for error, state in (
        (CancelledError("cancelled"), DownloadState.STOPPED),
        (NetworkError("gone"), DownloadState.FAILED),
        (ValueError("a bug"), DownloadState.FAILED),
    ):
        assert DownloadState.after(error) is state
        assert DownloadState.after(type(error).__name__) is state
    assert DownloadState.after(Failed.of(CancelledError("x")).error) is DownloadState.STOPPED
    assert DownloadState.after(None) is DownloadState.DONE


def test_each_state_is_before_under_way_or_over():
    for state in DownloadState:
        told = (state is DownloadState.QUEUED, state.is_under_way, state.is_over)
        assert told.count(True) == 1, state
    assert [s for s in DownloadState if s.can_go_on] == [
        DownloadState.STOPPED, DownloadState.FAILED
    ]  # fmt: skip
