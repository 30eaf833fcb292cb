"""The command line: flags to Options to the API to an exit code; nothing else."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import sys
from collections.abc import Callable
from dataclasses import Field, replace
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from raydl import __version__
from raydl.cli.guard import ends_in_order, stand_by
from raydl.cli.outcome import StandardOutput, raise_on_signals, run
from raydl.cluster.address import may_be_cluster
from raydl.model.errors import ClusterError, OutputError, UsageError, exit_codes
from raydl.model.events import Notice
from raydl.model.units import format_size, printable
from raydl.settings.config import Setting, config_files, options_from, settings
from raydl.settings.options import IN_BYTES, Options, option_fields
from raydl.view.progress import renderer

# A lone \b keeps the lines of the paragraph after it as they are.
EXIT_CODES = "\b\nExit codes:\n" + "\n".join(f"{c:>4}  {text}" for c, text in exit_codes().items())

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Download one file with every machine of a Ray cluster at once.",
)

Url = Annotated[str, typer.Argument(metavar="URL", help="An http or https URL.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object to standard output.")]
Address = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="auto, none, local, HOST:PORT or ray://HOST:PORT."),
]


def _with_options(*about: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
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
    default = _default_text(name, field.default)
    kind: Any = bool if is_switch else list[str] if field.metadata["many"] else str
    option = typer.Option(
        *filter(None, [field.metadata["short"]]),
        f"{flag}/--no-{flag[2:]}" if is_switch else flag,
        help=field.metadata["help"] + (f" [default: {default}]" if default else ""),
        metavar=None if is_switch else field.metadata["metavar"],
        show_default=False,
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )


def _default_text(name: str, default: Any) -> str:
    if default is None or isinstance(default, bool | tuple):
        return ""
    if name in IN_BYTES:
        return format_size(default).replace(" ", "")
    return f"{default:g}s" if isinstance(default, float) else str(default)


def _options(flags: dict[str, Any]) -> Options:
    return options_from(_settings(flags))


def _settings(flags: dict[str, Any]) -> dict[str, Setting]:
    """The values in force; a line tells of the files that they are from, in the style of all."""
    files = config_files()
    notes = [f"settings: {' and '.join(map(str, files))}"] if files else []
    found = settings(flags, files=files, tell=notes.append)
    with renderer(found["progress"].value) as render:
        for note in notes:
            render(Notice(note))
    return found


@app.command(epilog=EXIT_CODES)
@_with_options()
def fetch(
    url: Url,
    flags: dict[str, Any],
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="PATH",
            help="A file, a directory/, or - for standard output [default: the origin's name].",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Download URL with all nodes of the cluster.

    Without a Ray cluster this machine downloads alone.
    """
    from raydl.download.download import run as download

    if as_json and output == "-":
        raise UsageError(
            "--json and -o - both want standard output", "use --progress json: it has the report"
        )
    if output == "":
        raise UsageError("the output has no name", "leave -o out for the origin's name")
    if output == "-" and sys.stdout is not None and sys.stdout.isatty():
        raise UsageError("standard output is a terminal", "pipe it on, or save with -o PATH")
    options = _options(flags)
    if may_be_cluster(options.address) and stand_by():
        options = _alone(options, output)
    report = download(url, output, options)
    if as_json:
        print(json.dumps(report.to_dict()))


def _alone(options: Options, output: str | None) -> Options:
    """Options to go on with, where Ray has ended the process that downloaded."""
    what = "Ray ended the download, as it does when its node on this machine has ended"
    if output == "-":
        raise ClusterError(what, "what is out cannot be taken back: start again")
    if not options.fetch_here:
        raise ClusterError(what, "once the node is there, the same command goes on")
    with contextlib.suppress(OSError):
        if sys.stderr is not None and sys.stderr.isatty():
            print(file=sys.stderr)  # the bar is still there
    with renderer(options.progress) as render:
        render(Notice(f"going on without the cluster: {what}"))
    return replace(options, address="none")


@app.command()
@_with_options("access", "timeout", "retries")
def probe(url: Url, flags: dict[str, Any], as_json: Json = False) -> None:
    """Show what the origin offers.

    That is size, byte ranges, version and file name.
    """
    from raydl.api.functions import ask

    remote = ask(url, _options(flags))
    record = remote.to_dict()
    if as_json:
        print(json.dumps(record))
        return
    size = (
        "not told" if remote.size is None else f"{format_size(remote.size)} ({remote.size:,} bytes)"
    )
    ranges = "yes: many parts at once" if remote.ranges else f"no: {remote.why_no_ranges}"
    rows = [
        ("name", remote.name),
        ("size", size),
        ("byte ranges", ranges),
        ("ETag", remote.etag or "none that proves anything"),
        ("Last-Modified", remote.last_modified or "none"),
        ("resume", "yes" if remote.ranges and remote.validator else "only with --checksum"),
        ("final URL", record["final_url"]),
    ]
    if not remote.ranges:
        rows[5] = ("resume", "no")
    for label, text in rows:
        print(f"{label:<14} {printable(text)}")


@app.command()
def nodes(address: Address = None, as_json: Json = False) -> None:
    """Show the cluster's nodes.

    And what raydl would use of each.
    """
    from raydl.api.functions import nodes as list_nodes

    flags = {} if address is None else {"address": address}
    options = _options(flags)
    found = list_nodes(options.address)
    lanes = "measured" if options.connections is None else options.connections
    records: list[dict[str, Any]] = [
        {
            "node": node.name,
            "host": node.host,
            "this_machine": node.is_driver,
            "head": node.is_head,
            "lanes": lanes if options.fetch_here or not node.is_driver else 0,
            "object_store": node.object_store,
        }
        for node in found
    ]
    if as_json:
        print(json.dumps(records))
        return
    if not records:
        print("no Ray cluster: raydl uses this machine alone")
        print("start one with `raydl coordinator`, or give --address HOST:PORT")
        return
    width = max(len(str(r["node"])) for r in records)
    print(f"{'node':<{width}}  {'lanes':>8}  object store  role")
    for record in records:
        roles = [word for word in ("head", "this_machine") if record[word]]
        role = ", ".join(roles).replace("_", " ") or "worker"
        store = format_size(record["object_store"])
        print(f"{record['node']:<{width}}  {record['lanes']:>8}  {store:>12}  {role}")


@app.command()
def coordinator(
    host: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="This machine's address [default: Ray finds it]."),
    ] = None,
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="The head's port; none from 10002 to 19999.")
    ] = 6379,
    auth: Annotated[
        bool, typer.Option("--auth/--no-auth", help="Let in only who has the token.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Make this machine the head of a Ray cluster.

    It is until Ctrl-C, and shows what workers type. Where a head runs already, only show it. The
    same as `ray start --head`, with a token.
    """
    from raydl.cli.console import coordinate

    coordinate(host, port, auth=auth, as_json=as_json)


@app.command()
def worker(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="HOST or HOST:PORT.")],
    token_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The cluster's token [default: ~/.ray/auth_token]."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make this machine a worker of a cluster.

    It is one of the cluster at ADDRESS until Ctrl-C. The same as `ray start --address ADDRESS`,
    with a check before and a status line.
    """
    from raydl.cli.console import work
    from raydl.cluster.tokenstore import read_token

    work(address, read_token(token_file) if token_file else None, as_json=as_json)


@app.command()
def gui(
    role: Annotated[
        str, typer.Option(metavar="ROLE", help="coordinator or worker [default: ask].")
    ] = "",
) -> None:
    """Open a window: be a coordinator or a worker."""
    if role not in ("", "coordinator", "worker"):
        raise UsageError(f"{role!r} is no role", "coordinator or worker")
    try:
        from raydl.gui.app import App
    except ImportError as error:
        if error.name not in ("tkinter", "_tkinter"):
            raise
        raise UsageError(
            "this Python has no Tk, which windows need",
            "install it (Debian, Ubuntu: apt install python3-tk); without windows: "
            "`raydl coordinator`, `raydl worker ADDRESS`, `raydl fetch URL`",
        ) from None
    App(role).run()


@app.command()
def tls(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Where the certificates go.")],
    hosts: Annotated[
        list[str], typer.Argument(metavar="HOST...", help="Each node, as the others reach it.")
    ],
) -> None:
    """Make certificates for TLS between nodes.

    And the authority for them. Run again with the same DIR for more nodes. How to turn TLS on:
    docs/security.md.
    """
    try:
        from raydl.node.tls import make_certificates
    except ImportError:
        raise UsageError("certificates need a library", "pip install cryptography") from None
    for made in make_certificates(Path(folder), hosts):
        print(f"{made}: copy it to that node, and there:  . {made.name}/env")
    print(f"keep {Path(folder) / 'ca.key'} away from all of them: who has it can join")


@app.command()
def config(as_json: Json = False) -> None:
    """Print the options in force, and why they are."""
    found = _settings({})
    options_from(found)
    if as_json:
        plain = {k: {"value": _shown(k, s.value), "where": s.where} for k, s in found.items()}
        print(json.dumps(plain))
        return
    width = max(map(len, found))
    for name, setting in found.items():
        value = _shown(name, setting.value)
        shown = _default_text(name, value) or ("unset" if value is None else str(value).lower())
        print(f"{name:<{width}}  {shown:<10}  {setting.where}")


def _shown(name: str, value: Any) -> Any:
    """An option's value as plain data; not the value of one that may hold a secret."""
    if option_fields()[name].metadata["secret"] and value:
        return "(not shown)"
    if value == ():
        return None
    return value if value is None or isinstance(value, bool | int | float) else str(value)


@app.command()
def demo() -> None:
    """Show here what several connections bring.

    Fetch a file from an origin on this machine that caps each connection: once over one, once over
    several. Needs no network and takes less than half a minute.
    """
    from raydl.cli.demo import main as show

    show()


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        print(f"raydl {__version__}")
        raise typer.Exit


def main() -> NoReturn:
    """Run the command line and exit with the documented code."""
    raise_on_signals()
    StandardOutput.watch()
    try:
        code = run(_command, sys.argv[1:])
    finally:
        ends_in_order()
    _leave(code)


def _command() -> Any:
    command = typer.main.get_command(app)
    try:
        # Not its main(), which keeps to itself how it was ended.
        with command.make_context("raydl", sys.argv[1:]) as context:
            return command.invoke(context)
    except typer.Exit as ended:
        return ended.exit_code


def _leave(code: int) -> NoReturn:
    """Exit at once: all is closed and flushed by now.

    Taking the interpreter down in order costs 80 ms, and waits for threads that cannot be
    interrupted, such as one inside a name look-up or one that still connects to Ray.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, OutputError):
            code = code or OutputError.exit_code
    os._exit(code)


if __name__ == "__main__":
    main()
