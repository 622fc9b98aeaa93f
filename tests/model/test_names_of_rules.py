"""The name of a rule that was stored without one."""

from hypothesis import given
from hypothesis import strategies as st

from shared.documents.fields import slug
from shared.model.config import Rule, name_of_path


@given(path=st.text(), digits=st.text("0123456789abcdef", min_size=24, max_size=24))
def test_a_default_name_can_be_sent(path: str, digits: str) -> None:
    name = Rule(f"rule_{digits}", path, "http://a.example").name
    assert slug().deserialize(name) == name


def test_a_stored_rule_without_a_name_has_that_of_its_path_and_id() -> None:
    assert Rule("rule_1f2e3d4c5b6a798897a6b5c4", "/v1", "http://a.example").name == "v1-1f2e3d"
    assert Rule("", "/", "http://a.example").name == "root"
    assert Rule("rule_1f2e3d4c5b6a798897a6b5c4", "/v1", "http://a.example", name="chat").name == "chat"


@given(path=st.text())
def test_a_name_of_a_path_is_short(path: str) -> None:
    assert 1 <= len(name_of_path(path)) <= 40
