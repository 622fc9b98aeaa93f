"""Runs `gw` as ``python -m shared.cli``."""

from shared.cli.app import main

if __name__ == "__main__":
    main()
