"""The measured figures: one line per promise, shown at the end of the run."""

lines: list[str] = []


def figure(promise: str, text: str) -> None:
    """Note what was measured for `promise`, a row of reliability.md or a sentence of engine.md."""
    lines.append(f"{promise:8} {text}")
    print(lines[-1])
