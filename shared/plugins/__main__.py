"""Commands for plugin authors.

``python -m shared.plugins new NAME`` writes the skeleton of a plugin and its test into the gateway;
``--folder FOLDER`` writes them into a folder of `plugins.paths`. ``python -m shared.plugins docs`` prints
docs/reference/plugin-settings.md, and ``guards`` prints docs/reference/guards.md.
"""

import argparse
import sys
from pathlib import Path

from shared.core.errors import GatewayError
from shared.plugin_tools.guards_page import guards_page
from shared.plugin_tools.settings_page import settings_page
from shared.plugin_tools.skeleton import write_skeleton
from shared.plugins import built_in_plugins, load_catalogue
from shared.providers.apis.text_fields import APIS

_PROJECT = Path(__file__).parents[2]


def main() -> None:
    """Run the command that the arguments name."""
    parser = argparse.ArgumentParser(
        prog="python -m shared.plugins", description="Commands for plugin authors."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    new = commands.add_parser("new", help="write the skeleton of a plugin and its test")
    new.add_argument("name", help="such as word_limit")
    new.add_argument("--folder", type=Path, help="a folder that plugins.paths names or will name")
    commands.add_parser("docs", help="print the page of all settings")
    commands.add_parser("guards", help="print the page of what guards see of each API")
    arguments = parser.parse_args()
    if arguments.command == "docs":
        sys.stdout.write(settings_page(built_in_plugins()))
        return
    if arguments.command == "guards":
        sys.stdout.write(guards_page(APIS))
        return
    try:
        plugin, test = write_skeleton(arguments.name, load_catalogue(), arguments.folder, _PROJECT)
    except (GatewayError, OSError) as error:
        sys.exit(f"{parser.prog}: {error}")
    sys.stdout.write(f"Wrote {plugin} and {test}. Run the test: ./scripts/test.sh {test.absolute()}\n")


if __name__ == "__main__":
    main()
