"""How programs end that cannot start."""

import pytest

from shared.core.errors import EX_CONFIG, GatewayError
from shared.core.process.exits import exit_with_sentence

DOWN = GatewayError("The store is down. Start it.")


@pytest.mark.parametrize("error", [DOWN, ExceptionGroup("of tasks", [ExceptionGroup("inner", [DOWN])])])
def test_error_at_the_start_is_a_sentence_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    with pytest.raises(SystemExit) as ended, exit_with_sentence("proxy"):
        raise error
    assert ended.value.code == EX_CONFIG == 78
    assert capsys.readouterr().err == "proxy: The store is down. Start it.\n"


@pytest.mark.parametrize(
    "error", [ExceptionGroup("of tasks", [DOWN, ValueError()]), ExceptionGroup("", [ValueError()])]
)
def test_error_of_another_kind_keeps_its_traceback(error: Exception) -> None:
    with pytest.raises(ExceptionGroup), exit_with_sentence("proxy"):
        raise error


def test_start_without_an_error_goes_on() -> None:
    with exit_with_sentence("proxy"):
        pass
