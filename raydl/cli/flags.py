"""The flags of commands: made from the definition of the options, and read back to Options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import Field
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from raydl.model.units import format_size
from raydl.settings.config import Setting, config_files, options_from, settings
from raydl.settings.options import HEADINGS, IN_BYTES, Options, option_fields

Url = Annotated[
    str, typer.Argument(metavar="URL", help="An http or https URL, or s3://BUCKET/KEY and its kin.")
]
Urls = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="URL...",
        help="http or https URLs, s3://BUCKET/KEY or, for all below, s3://BUCKET/PREFIX/ (gs://, "
        "az:// likewise), hf://ORG/NAME[@REVISION][/PATH].",
        show_default=False,
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="PATH",
        rich_help_panel=HEADINGS["where"],
        help="A file, a directory/, s3://BUCKET/KEY, or - for standard output [default: the "
        "origin's name].",
    ),
]
Listed = Annotated[
    list[str] | None,
    typer.Option(
        "-i",
        "--input-file",
        metavar="FILE",
        rich_help_panel=HEADINGS["what"],
        help="Fetch the files of a list: a URL a line, or URL, tab, path, tab, digest; .jsonl, "
        ".csv or .parquet with url, path, size, digest; a Metalink (.meta4, .metalink); - for "
        "standard input.",
    ),
]
Base = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        rich_help_panel=HEADINGS["what"],
        help="The list has digests and names (SHA256SUMS) below this URL.",
    ),
]
Name = Annotated[
    str | None,
    typer.Option(
        metavar="TEMPLATE",
        rich_help_panel=HEADINGS["where"],
        help="Names of many files, of {host}, {path}, {name} and {number} [default: {name}].",
    ),
]
Include = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        rich_help_panel=HEADINGS["what"],
        help="Of hf:// and s3://…/ only files that fit, such as '*.parquet'.",
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        rich_help_panel=HEADINGS["what"],
        help="Of hf:// and s3://…/ no files that fit.",
    ),
]
IfChanged = Annotated[
    bool,
    typer.Option(
        "--if-changed",
        rich_help_panel=HEADINGS["what"],
        help="Of many files that came before, fetch changed ones.",
    ),
]
ReportTo = Annotated[
    str | None,
    typer.Option(
        "--report",
        metavar="FILE",
        rich_help_panel=HEADINGS["look"],
        help="What became of each of many files, as .jsonl, .csv or .parquet.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object to standard output.")]
JsonReport = Annotated[
    bool,
    typer.Option(
        "--json",
        rich_help_panel=HEADINGS["look"],
        help="Print one JSON object to standard output.",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="auto, none, local, HOST:PORT or ray://HOST:PORT."),
]


class Grouped(TyperCommand):
    """A command whose help shows its options under headings; most important ones first."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Called by click."""
        shown: dict[str, list[tuple[str, str]]] = {
            title: [] for title in ("Arguments", *HEADINGS.values(), "Options")
        }
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            is_argument = param.param_type_name == "argument"
            title = "Arguments" if is_argument else getattr(param, "rich_help_panel", None)
            if record is not None:
                shown[title or "Options"].append(record)
        for title, records in shown.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def with_options(*about: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the flags of the options of these kinds, or of all.

    The ones given arrive in its ``flags`` argument.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        names = {
            name: field
            for name, field in option_fields().items()
            if not about or field.metadata["of"] in about or name in about
        }

        def wrapped(**given: Any) -> None:
            flags = {name: given.pop(name) for name in names if name in given}
            command(**given, flags={k: v for k, v in flags.items() if v not in (None, [])})

        parameters = [
            p
            for p in inspect.signature(command, eval_str=True).parameters.values()
            if p.name != "flags"
        ]
        parameters += [_parameter(name, field) for name, field in names.items()]
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
        wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
        wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
        return wrapped

    return decorate


def _parameter(name: str, field: Field[Any]) -> inspect.Parameter:
    """The flag of an option, as typer wants to have it."""
    flag = "--" + name.replace("_", "-")
    is_switch = isinstance(field.default, bool)
    default = default_text(name, field.default)
    kind: Any = bool if is_switch else list[str] if field.metadata["many"] else str
    option = typer.Option(
        *filter(None, [field.metadata["short"]]),
        f"{flag}/--no-{flag[2:]}" if is_switch else flag,
        help=field.metadata["help"] + (f" [default: {default}]" if default else ""),
        metavar=None if is_switch else field.metadata["metavar"],
        show_default=False,
        rich_help_panel=HEADINGS[field.metadata["of"]],
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )


def default_text(name: str, default: Any) -> str:
    """A default as people write it; empty where there is nothing to show."""
    if default is None or isinstance(default, bool | tuple):
        return ""
    if name in IN_BYTES:
        return format_size(default).replace(" ", "")
    return f"{default:g}s" if isinstance(default, float) else str(default)


def options_of(flags: dict[str, Any]) -> Options:
    """The options in force, with these flags."""
    return options_from(settings_of(flags))


def settings_of(flags: dict[str, Any]) -> dict[str, Setting]:
    """The values in force; a line tells of the files that they are from, in the style of all."""
    files = config_files()
    notes = [f"settings: {' and '.join(map(str, files))}"] if files else []
    found = settings(flags, files=files, tell=notes.append)
    if notes:
        from raydl.cli.notices import say

        say(found["progress"].value, notes)
    return found
