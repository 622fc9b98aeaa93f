"""A profile by file says what a request costs in each."""

from bench.by_file import by_file

ROWS = {
    ("/srv/app/mitm_engine/wire.py", 1, "head"): (10, 30, 0.001, 0.002, {}),
    ("/srv/app/mitm_engine/wire.py", 9, "body"): (10, 10, 0.001, 0.001, {}),
    ("~", 0, "<built-in method builtins.len>"): (70, 70, 0.0005, 0.0005, {}),
}


def test_calls_and_time_are_those_of_one_request() -> None:
    assert by_file(ROWS, requests=10, lines=9).splitlines()[2:] == [
        "C functions                    7.0            50.0",
        "mitm_engine/wire.py            4.0           200.0",
    ]


def test_only_the_files_with_the_most_calls_are_shown() -> None:
    assert len(by_file(ROWS, requests=10, lines=1).splitlines()) == 3
