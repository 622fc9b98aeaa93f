"""The fields of a head, looked up by name as HTTP does."""


class HeaderFields:
    """A message with `headers`, whose names may have any case."""

    headers: list[tuple[str, str]]

    def all(self, name: str) -> list[str]:
        """The values of all fields with this name."""
        return [value for other, value in self.headers if other.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """The value of the first field with this name."""
        return next(iter(self.all(name)), None)
