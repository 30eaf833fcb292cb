"""The program ``raydl``, and ``python -m raydl``."""

import signal


def main() -> None:
    """Run the command line."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        # Who interrupts the imports wants them to end, and no traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from raydl.cli.main import main as run

    signal.signal(signal.SIGINT, before)
    run()


if __name__ == "__main__":
    main()
