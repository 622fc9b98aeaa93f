"""Commands for those who write plugins.

``python -m shared.plugins new NAME`` writes the skeleton of a plugin and its test into the gateway, and with
``--folder FOLDER`` into a folder for `plugins.paths`. ``python -m shared.plugins docs`` prints
docs/plugin-settings.md.
"""

import argparse
import sys
from pathlib import Path

from shared.core.errors import GatewayError
from shared.plugins import built_in_plugins, load_catalogue
from shared.plugins._settings_page import settings_page
from shared.plugins._skeleton import write_skeleton

_PROJECT = Path(__file__).parents[2]


def main() -> None:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m shared.plugins", description="For writers of plugins.")
    commands = parser.add_subparsers(dest="command", required=True)
    new = commands.add_parser("new", help="write the skeleton of a plugin and its test")
    new.add_argument("name", help="such as word_limit")
    new.add_argument("--folder", type=Path, help="a folder that plugins.paths names or will name")
    commands.add_parser("docs", help="print the page of all settings")
    given = parser.parse_args()
    if given.command == "docs":
        sys.stdout.write(settings_page(built_in_plugins()))
        return
    try:
        plugin, test = write_skeleton(given.name, load_catalogue(), given.folder, _PROJECT)
    except (GatewayError, OSError) as error:
        sys.exit(f"{parser.prog}: {error}")
    sys.stdout.write(f"{plugin} holds the plugin, {test} its test. Try it: python -m pytest {test}\n")


if __name__ == "__main__":
    main()
