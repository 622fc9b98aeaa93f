"""Runs `gw` as ``python -m shared.cli``."""

import signal

if __name__ == "__main__":
    # Ctrl-C while modules are loaded ends the process at once, without a traceback.
    if is_heard := signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from shared.cli.app import main

    if is_heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
