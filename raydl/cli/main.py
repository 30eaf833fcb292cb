"""The command line: flags to Options to the API to an exit code; nothing else."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from raydl import __version__
from raydl.cli.alone import guarded
from raydl.cli.flags import (
    Address,
    Base,
    Exclude,
    Grouped,
    IfChanged,
    Include,
    Json,
    JsonReport,
    Listed,
    Name,
    Output,
    ReportTo,
    Url,
    Urls,
    options_of,
    settings_of,
    with_options,
)
from raydl.cli.guard import ends_in_order
from raydl.cli.manyfiles import fetch_many
from raydl.cli.misuse import may_be_name
from raydl.cli.onefile import fetch_one
from raydl.cli.outcome import StandardOutput, leave, raise_on_signals, run
from raydl.many.wanted import Wanted
from raydl.model.errors import UsageError, exit_codes
from raydl.model.weburl import is_many
from raydl.settings.config import options_from

# A lone \b keeps the lines of the paragraph after it as they are.
EXIT_CODES = "\b\nExit codes:\n" + "\n".join(f"{c:>4}  {text}" for c, text in exit_codes().items())

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Download with every machine of a Ray cluster at once.",
)


@app.command(epilog=EXIT_CODES, cls=Grouped)
@with_options()
def fetch(
    flags: dict[str, Any],
    urls: Urls = None,
    output: Output = None,
    listed: Listed = None,
    base: Base = None,
    name: Name = None,
    include: Include = None,
    exclude: Exclude = None,
    if_changed: IfChanged = False,
    report_to: ReportTo = None,
    as_json: JsonReport = False,
) -> None:
    """Download URL with all nodes of the cluster.

    Several URLs, or a list of them (-i), go to --output-dir, or here. Without a Ray cluster this
    machine downloads alone.
    """
    if urls and len(urls) == 2 and "://" in urls[0] and may_be_name(urls[1]):
        raise UsageError(f"{urls[1]} is no URL", f"-o {urls[1]} saves under that name")
    many = {
        "--base": base, "--name": name, "--include": include, "--exclude": exclude,
        "--if-changed": if_changed, "--report": report_to,
    }  # fmt: skip
    stands_for_many = any(is_many(url) for url in urls or ())
    if listed or len(urls or ()) > 1 or stands_for_many:
        if output is not None:
            raise UsageError("-o is for one file", "many go to --output-dir DIR")
        wanted = Wanted(urls or [], listed or [], base, include or [], exclude or [])
        options = guarded(options_of(flags), can_start_again=wanted.can_be_read_again)
        fetch_many(wanted, name, if_changed, report_to, options, as_json)
        return
    if not urls:
        raise UsageError("there is nothing to fetch", "raydl fetch URL, or -i FILE for a list")
    if given := [flag for flag, value in many.items() if value]:
        raise UsageError(f"{' and '.join(given)}: for many files", "give several URLs, or -i LIST")
    fetch_one(urls[0], output, flags, as_json)


@app.command(cls=Grouped)
@with_options("access", "timeout", "retries")
def probe(url: Url, flags: dict[str, Any], as_json: Json = False) -> None:
    """Show what the origin offers.

    That is size, byte ranges, version and file name.
    """
    from raydl.api.functions import ask
    from raydl.cli.tables import show_remote

    show_remote(ask(url, options_of(flags)), as_json=as_json)


@app.command()
def verify(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file that is here.")],
    metalink: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Against what this Metalink says, piece by piece."),
    ] = None,
    checksum: Annotated[
        str | None, typer.Option(metavar="ALG:HEX", help="Against this digest.")
    ] = None,
    checksum_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="Against the list of digests in this file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a file against its digests.

    Without a network. With a Metalink it tells which pieces are bad; `raydl fetch --repair` fetches
    these. Exit code 6 where it is not what it should be, 2 where there is no such file.
    """
    from raydl.cli.verifying import verify as hold

    hold(file, metalink, checksum, checksum_file, as_json)


@app.command()
def nodes(address: Address = None, as_json: Json = False) -> None:
    """Show the cluster's nodes.

    And what raydl would use of each.

    \b
    node          Its address, as in the report of a download.
    connections   Requests in flight at once: measured, or as --connections says.
    object store  Ray's memory there, for parts on their way.
    role          The head, this machine, or a worker.
    labels        Ray's, as of `ray start --labels pool=gpu`: by these
                  `raydl fetch` chooses --nodes and --fetch-nodes.
    """
    from raydl.api.functions import nodes as list_nodes
    from raydl.cli.tables import show_nodes

    flags = {} if address is None else {"address": address}
    options = options_of(flags)
    show_nodes(list_nodes(options.address), options, as_json=as_json)


@app.command(cls=Grouped)
@with_options("access", "timeout", "retries", "address")
def doctor(
    flags: dict[str, Any],
    url: Annotated[
        str | None,
        typer.Argument(metavar="[URL]", help="Check whether each node can fetch it, too."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Find what does not work here, and how to mend it.

    Checks this machine, the cluster and each of its nodes. The exit code is that of the first
    problem, and 0 if there are only warnings.
    """
    from raydl.cli.doctor import doctor as look

    if code := look(url, flags, as_json):
        raise typer.Exit(code)


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

    It is until Ctrl-C, and shows what workers type, who joins and who leaves. Where a head runs
    already, only show it. The same as `ray start --head`, with a token.
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
    """Print the options in force, and where each comes from."""
    from raydl.cli.tables import show_settings

    found = settings_of({})
    options_from(found)
    show_settings(found, as_json=as_json)


@app.command()
def demo() -> None:
    """Show on this machine what several nodes bring.

    Fetch a file from an origin on this machine that caps each connection: once over one, once with
    a Ray cluster of three nodes. Needs no network.
    """
    from raydl.cli.demo import main as show

    show()


@app.command("help")
def show_help(
    context: typer.Context,
    topic: Annotated[
        str, typer.Argument(metavar="[TOPIC]", help="A topic or a command [default: list them].")
    ] = "",
) -> None:
    """Explain a topic, such as exit-codes.

    Without one, list them.
    """
    from raydl.cli import topics

    root = context.find_root()
    commands = getattr(root.command, "commands", {})
    if topic in commands:
        with commands[topic].make_context(topic, ["--"], parent=root, resilient_parsing=True) as of:
            print(commands[topic].get_help(of))
    else:
        print(topics.topic(topic, commands) if topic else topics.overview())


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
    install_completion: Annotated[
        bool, typer.Option("--install-completion", help="Have this shell complete raydl's words.")
    ] = False,
    show_completion: Annotated[
        bool, typer.Option("--show-completion", help="Show what that installs.")
    ] = False,
) -> None:
    if install_completion or show_completion:
        from raydl.cli import completion

        print(completion.install() if install_completion else completion.script())
        raise typer.Exit
    if version:
        print(f"raydl {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        from raydl.cli.greeting import greeting

        print(greeting())


def main() -> NoReturn:
    """Run the command line and exit with the documented code."""
    raise_on_signals()
    StandardOutput.watch()
    code = None
    try:
        code = run(_command, sys.argv[1:])
    finally:
        ends_in_order(code)
    leave(code)


def _command() -> Any:
    command = typer.main.get_command(app)
    if "_RAYDL_COMPLETE" in os.environ:
        from raydl.cli.completion import answer

        return answer(command)
    try:
        # Not its main(), which keeps to itself how it was ended.
        with command.make_context("raydl", sys.argv[1:]) as context:
            return command.invoke(context)
    except typer.Exit as ended:
        return ended.exit_code


if __name__ == "__main__":
    main()
