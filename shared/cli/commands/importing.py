"""`gw import`: the configuration of another gateway as a file of this one."""

import sys
from contextlib import nullcontext
from pathlib import Path

import click
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from shared.cli.context import Gw, output_option, pass_gw
from shared.cli.failures import Exit, Failure
from shared.cli.litellm.convert import convert
from shared.cli.output import as_yaml

_MAX_BYTES = 1_000_000


@click.group("import")
def importing() -> None:
    """Make a file for `gw apply` of the configuration of another gateway."""


@importing.command("litellm")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--tenant", default="main", show_default=True, help="The subdomain for all clients.")
@output_option
@pass_gw
def litellm(gw: Gw, file: Path, tenant: str) -> Exit:
    """Print the FILE, a config.yaml of LiteLLM's proxy or - for standard input, as a file for `gw apply`.

    What has no equivalent is listed on standard error, and the exit code is 2. No key is copied: the file
    names variables.
    """
    try:
        made = convert(_read(file), tenant)
    except ValueError as error:
        raise Failure(f"{file}: {error}") from None
    remarks = made.remarks
    if gw.out.format == "json":
        left, notes = ([one._asdict() for one in found] for found in (remarks.left_out, remarks.notes))
        gw.out.document({"document": made.document, "left_out": left, "notes": notes})
    else:
        gw.out.lines([f"# Made of {file.name} by `gw import litellm`.", as_yaml(made.document).rstrip()])
        gw.out.note(*(f"note: {': '.join(filter(None, one))}" for one in remarks.notes))
        gw.out.note(*(f"left out: {one.path}: {one.detail}" for one in remarks.left_out))
    return Exit.DRIFT if remarks.left_out else Exit.OK


def _read(file: Path) -> object:
    """The YAML of a file; - is standard input. Raises `Failure`."""
    try:
        with nullcontext(sys.stdin.buffer) if str(file) == "-" else file.open("rb") as opened:
            content = opened.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise Failure(f"{file} has more than {_MAX_BYTES:,} bytes.")
        return YAML(typ="safe", pure=True).load(content.decode())
    except RecursionError:
        raise Failure(f"{file}: its values are nested too deep.") from None
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}.") from None
    except MarkedYAMLError as error:
        # The text of the error may quote a key.
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise Failure(f"{file}:{line}: it is not YAML: {error.problem}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise Failure(f"{file} is not YAML: {str(error).partition('\n')[0]}") from None


COMMANDS = (importing,)
