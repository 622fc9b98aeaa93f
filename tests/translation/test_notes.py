"""The report of a translation, and the setting that turns drops into rejections."""

import pytest

from shared.translation.notes import DROP, REJECT, Notes, Untranslatable


def test_report_names_the_upstreams_api_and_what_is_lost_and_changed() -> None:
    notes = Notes()
    for name in ("seed", "logit_bias", "seed"):
        notes.drop(name)
    notes.change("temperature")
    assert notes.header("anthropic.messages") == (
        "anthropic.messages; dropped=seed,logit_bias; changed=temperature"
    )


def test_report_of_a_translation_without_losses_is_the_api_alone() -> None:
    assert Notes().header("openai.chat") == "openai.chat"


def test_name_from_the_client_that_is_no_token_is_not_in_the_header() -> None:
    notes = Notes()
    notes.drop("x\r\nSet-Cookie: a=b")
    notes.drop("é" * 100)
    assert notes.header("openai.chat") == "openai.chat; dropped=other"


def test_header_with_many_names_ends_with_more() -> None:
    notes = Notes()
    for number in range(1000):
        notes.drop(f"field{number}")
    assert notes.header("openai.chat").endswith("field31,more")


def test_setting_reject_makes_a_drop_a_rejection_with_a_pointer() -> None:
    with pytest.raises(Untranslatable) as caught:
        Notes(REJECT).drop("seed")
    assert (caught.value.pointer, caught.value.detail[-13:]) == ("/seed", "Leave it out.")
    with pytest.raises(Untranslatable, match="/messages/0/name: "):
        Notes(REJECT).drop("name", "/messages/0/name")


def test_setting_drop_makes_a_rejection_a_drop() -> None:
    notes = Notes(DROP)
    notes.reject("n", "/n", "Send several requests.")
    assert notes.dropped == ["n"]
    with pytest.raises(Untranslatable, match="/n: Send several requests"):
        Notes().reject("n", "/n", "Send several requests.")


def test_loss_of_a_response_is_reported_on_any_setting() -> None:
    notes = Notes(REJECT)
    notes.lose("citations")
    assert notes.dropped == ["citations"]


def test_notes_of_two_translations_add_up() -> None:
    first, second = Notes(), Notes()
    first.tool_names, second.tool_names = {"a": "long"}, {"a": "other", "b": "name"}
    second.include_usage = True
    second.drop("seed")
    second.change("stop")
    first.add(second)
    assert (first.dropped, first.changed, first.include_usage) == (["seed"], ["stop"], True)
    assert first.tool_names == {"a": "long", "b": "name"}
