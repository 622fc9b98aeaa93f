"""``python -m shared.settings`` prints config.yaml with all defaults.

``python -m shared.settings server.admin_port data_dir`` prints the current values, one per line.
"""

import functools
import sys

from shared.settings import load_settings_or_exit
from shared.settings.document import document


def main(names: list[str]) -> None:
    """Print the values of the settings `names`, or config.yaml."""
    if not names:
        sys.stdout.write(document())
        return
    settings = load_settings_or_exit()
    try:
        for name in names:
            value = functools.reduce(getattr, name.split("."), settings)
            sys.stdout.write(f"{'' if value is None else value}\n")
    except AttributeError:
        sys.exit(f"There is no setting {name}. See config.yaml for all settings.")


if __name__ == "__main__":
    main(sys.argv[1:])
