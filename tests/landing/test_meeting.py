from raydl.landing.meeting import Meeting
from raydl.workers.sharedfiles import SharedFiles


def test_it_is_there_as_long_as_somebody_is_expected(tmp_path):
    meeting = Meeting(tmp_path / "place")
    (tmp_path / "part").touch()
    files = SharedFiles(lambda ref, seconds: None)
    invited = {node: meeting.invite(node) for node in ("a", "b")}
    assert not meeting.has_come("a")
    answer = files.meet("k", str(tmp_path / "part"), str(meeting.path), *invited["a"])
    assert answer == (None, None)
    assert meeting.has_come("a")
    assert not meeting.has_come("b")
    meeting.leave("a")
    assert meeting.path.exists()
    meeting.leave("b")
    assert not meeting.path.exists()
    meeting.invite("c")
    meeting.close()
    assert not meeting.path.exists()
    files.close_all()


def test_what_is_there_is_not_taken_for_ours(tmp_path):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "place").symlink_to(tmp_path / "secret")
    meeting = Meeting(tmp_path / "place")
    meeting.invite("a")
    assert not meeting.has_come("a")
    meeting.close()
    assert (tmp_path / "secret").read_text() == "secret"
