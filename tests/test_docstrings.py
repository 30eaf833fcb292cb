"""The examples in public docstrings do what they say."""

import asyncio
import doctest
import hashlib
import io
import re
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import raydl
from tests.conftest import random_bytes

PAGE = Path(__file__).parent.parent / "docs" / "api.md"
SIZE = 5_000_000
WORDS = 700_000
ON_A_CLUSTER = {"refs", "refs_many"}
NEED_NO_EXAMPLE = {"disconnect"}
FUNCTIONS = [name for name in dir(raydl) if name.islower() and name != "__version__"]


def examples(name: str, value: object) -> Iterator[doctest.DocTest]:
    for found in doctest.DocTestFinder().find(value, name):
        if found.examples:
            yield found


def run(name, value, names):
    import builtins

    ran = 0
    for test in examples(name, value):
        test.globs = {"raydl": raydl, "__name__": "__main__", "open": builtins.open, **names}
        said: list[str] = []
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append)
        assert not said, "".join(said)
        ran += len(test.examples)
    return ran


@pytest.fixture
def names(make_origin, in_tmp):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as zipped:
        zipped.writestr("hello.txt", "hello")
    return {
        "url": make_origin(random_bytes(SIZE)).url("/big.iso"),
        "zip_url": make_origin(packed.getvalue()).url("/all.zip"),
        "asyncio": asyncio, "hashlib": hashlib, "urllib": urllib, "zipfile": zipfile,
    }  # fmt: skip


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n not in ON_A_CLUSTER | NEED_NO_EXAMPLE])
def test_examples(name, names):
    assert run(name, getattr(raydl, name), names)


def test_examples_of_the_package_and_its_classes(names):
    assert run("raydl", raydl, names)
    for name in dir(raydl):
        if name not in FUNCTIONS and name != "__version__":
            run(name, getattr(raydl, name), names)


ON_RAY = """
import sys
from tests.test_docstrings import run, with_ray_data
import raydl, ray
ray.init(sys.argv[1], logging_level="ERROR", log_to_driver=False)
import io, PIL.Image, pyarrow
names = {
    "text_url": sys.argv[2], "image_urls": sys.argv[3:], "ray": ray, "io": io, "PIL": PIL,
    "pyarrow": pyarrow,
}
assert run("refs", raydl.refs, names)
import ray.data
ray.data.DataContext.get_current().enable_progress_bars = False
assert run("refs_many", raydl.refs_many, names)
print("lines", with_ray_data(names))
"""


def with_ray_data(names):
    """What docs/api.md does."""
    import ray.data

    ray.data.DataContext.get_current().enable_progress_bars = False
    found = re.search(r"With Ray Data:\n\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    exec(found[1], names)
    return names["lines"]


@pytest.mark.cluster
@pytest.mark.slow  # Ray Data takes its time
@pytest.mark.timeout(120)
def test_examples_on_a_cluster(two_nodes, make_origin):
    """Those of ``refs``, ``refs_many`` and Ray Data, in a process of their own: Ray Data leaves
    things behind."""
    from PIL import Image

    image = io.BytesIO()
    Image.new("RGB", (32, 24)).save(image, "png")
    images = [make_origin(image.getvalue()).url(f"/{n}.png") for n in range(2)]
    text = b"".join(b"word%d%s" % (n % 97, b"\n" if n % 3 else b" ") for n in range(WORDS))
    url = make_origin(text).url("/text.txt")
    ended = subprocess.run(
        [sys.executable, "-c", ON_RAY, two_nodes.address, url, *images],
        cwd=PAGE.parent.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.split("lines ")[1].split()[0] == str(text.count(b"\n"))
