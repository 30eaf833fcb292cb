from raydl.model.report import Report


def test_speed():
    assert Report("u", "p", 10, fetched=10, transfer_seconds=2.0).speed == 5
    assert Report("u", "p", 0).to_dict()["speed"] == 0


def test_speed_and_time_of_a_line_fit_together():
    """The speed is that of the transfer, so its time stands beside it."""
    report = Report("u", "p", 10, fetched=10, seconds=3.0, transfer_seconds=2.0)
    assert report.summary() == "p: 10 B in 3.0s, 5 B/s over 2.0s"
