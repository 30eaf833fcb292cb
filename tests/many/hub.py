"""What tests know of the small hub that they have."""

from pathlib import Path

SHA = "c0" * 20
NAME = "org/model"


def there_below(folder):
    """The files that are there, with what is in them."""
    folder = Path(folder)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
