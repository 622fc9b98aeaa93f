"""The commands of `gw`, and the one place where their errors end: a sentence, a hint, and an exit code."""

import sys
from collections.abc import Sequence

import click
from click.core import ParameterSource

from shared.cli.commands import (
    applying,
    budgets,
    doctor,
    explain,
    files,
    get,
    history,
    importing,
    keys,
    programs,
    server,
    tokens,
    traffic,
)
from shared.cli.context import Gw
from shared.cli.failures import Exit, Failure
from shared.cli.output import Output
from shared.cli.profiles import DEFAULT_NAME
from shared.core import COMMAND
from shared.core.errors import GatewayError
from shared.settings import environment

_HELP = """Manage an AI Gateway.

Commands call the admin API of the gateway at GW_URL with the key in GW_TOKEN, or as the profile says that
`gw login` saved. Without either, it is the gateway that runs on this machine. `--profile` wins over these
variables.

Exit codes: 0 done; 1 failed; 2 something differs, or was left out; 3 another change was first; 4 not found;
5 `gw explain`: rejected; 130 interrupted.
"""


@click.group(COMMAND, help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--profile", envvar="GW_PROFILE", default=DEFAULT_NAME, show_default=True, help="The saved login to use."
)
@click.option(
    "--url", envvar="GW_URL", help="The address of the admin API. The key of a profile is not sent there."
)
@click.pass_context
def gw(context: click.Context, profile: str, url: str | None) -> None:
    token = environment().get("GW_TOKEN") or None
    # A profile that is named in the command means that one, whatever the shell has set before.
    if context.get_parameter_source("profile") is ParameterSource.COMMANDLINE:
        is_set_before = context.get_parameter_source("url") is ParameterSource.ENVIRONMENT
        url, token = (None if is_set_before else url), (token if url and not is_set_before else None)
    context.obj = Gw(profile, url or None, token)


for module in (
    server,
    doctor,
    programs,
    get,
    keys,
    budgets,
    tokens,
    files,
    applying,
    history,
    explain,
    traffic,
    importing,
):
    for one in module.COMMANDS:
        gw.add_command(one)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `gw` with these arguments, or those of the process, and end the process."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run `gw`. Returns the exit code; all that is printed is complete by then."""
    try:
        ended = gw.main([*arguments], prog_name=COMMAND, standalone_mode=False)
        sys.stdout.flush()
        return ended if isinstance(ended, int) else Exit.OK
    except Failure as failure:
        _tell(str(failure), failure.hint)
        return failure.code
    except click.exceptions.NoArgsIsHelpError as error:
        Output().note(*error.format_message().split("\n"))
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else COMMAND
        _tell(error.format_message().replace("\n\t", " "), f"See `{path} --help`.")
    except click.ClickException as error:
        _tell(error.format_message())
    except GatewayError as error:
        _tell(str(error))
    except (KeyboardInterrupt, click.Abort):
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader of the pipe has seen enough. Nothing must be flushed into it at exit.
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115 -- until the process ends
    return Exit.ERROR


def _tell(sentence: str, hint: str = "") -> None:
    lines = [f"{COMMAND}: {sentence}", *([f"hint: {hint}"] if hint else [])]
    Output().note(*(line for text in lines for line in text.split("\n")))
