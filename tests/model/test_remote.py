from raydl.model.remote import Access, Remote, Source

SECRET = "https://anna:hunter2@example.org:8443/a/b.bin?X-Signature=hunter3#hunter4"
ACCESS = Access((("Cookie", "hunter2"),), "hunter5", "hunter2", True, "http://a:hunter2@p")


def test_no_repr_or_record_holds_a_secret():
    remote = Remote(SECRET, SECRET, 1, True, None, "yesterday", "b.bin", access=ACCESS)
    source = Source(SECRET, 1, None, None, ACCESS)
    assert Source.unpack(*source.pack()) == source
    assert source.pack()[1] == ACCESS.ca
    assert ACCESS.ca not in source.pack()[0][4]  # which is apart from what nobody may see
    assert remote.validator == "yesterday"
    for text in (repr(remote), str(remote.to_dict()), repr(source)):
        assert "hunter" not in text


def test_as_text_it_is_a_line():
    remote = Remote(SECRET, SECRET, 2048, True, "e", None, "b.bin", access=ACCESS)
    assert str(remote) == "b.bin: 2 KiB, byte ranges, version e"
    remote = Remote(SECRET, SECRET, None, False, None, None, "b.bin", "it says none")
    assert str(remote) == "b.bin: size unknown, no byte ranges (it says none), no version"
