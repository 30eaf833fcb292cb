"""Who joins and who leaves; tests/node/test_roles.py has it with a real head."""

from raydl.node.attendance import Presence

HEAD = ("10.0.0.1", "first", True)


def test_a_line_for_each_that_comes_or_goes():
    presence = Presence()
    assert presence.take({"aa": HEAD}) == []
    two = {"aa": HEAD, "bb": ("10.0.0.2", "second", False), "cc": ("10.0.0.3", "", False)}
    assert presence.take(two) == [
        "10.0.0.2 (second) joined: 2 nodes",
        "10.0.0.3 joined: 3 nodes",
    ]
    assert presence.take(two) == []
    again = {"aa": HEAD, "cc": two["cc"], "dd": ("10.0.0.2", "second", False)}
    assert presence.take(again) == [
        "10.0.0.2 (second) left: 2 nodes",
        "10.0.0.2 (second) joined: 3 nodes",
    ]
    assert presence.take({"aa": HEAD}) == [
        "10.0.0.3 left: 2 nodes",
        "10.0.0.2 (second) left: 1 node",
    ]


def test_a_worker_that_was_there_before_the_first_look_is_told():
    found = {"aa": HEAD, "bb": ("10.0.0.2", "", False)}
    assert Presence().take(found) == ["10.0.0.2 joined: 2 nodes"]


def test_nodes_of_one_machine_have_names_of_their_own_and_keep_them():
    presence = Presence()
    same = {"aaaaaa": ("10.0.0.1", "h", True), "bbbbbb": ("10.0.0.1", "h", False)}
    assert presence.take(same) == ["10.0.0.1#bbbb (h) joined: 2 nodes"]
    assert presence.take({"bbbbbb": same["bbbbbb"]}) == ["10.0.0.1#aaaa (h) left: 1 node"]
    assert presence.take({}) == ["10.0.0.1#bbbb (h) left: 0 nodes"]
