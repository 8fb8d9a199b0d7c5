import pytest

from porcupine.errors import InputError, extra, nearest


def test_a_close_name_is_suggested_else_all_are_listed():
    assert nearest("epoch", ["epochs", "seed"]) == "; did you mean 'epochs'?"
    assert nearest("zzz", ["epochs", "seed"]) == "; choose from epochs, seed"


def test_a_missing_package_is_named_with_the_extra_that_brings_it():
    message = r"^the package no_such_package is not installed: pip install 'porcupine\[torch\]'$"
    with pytest.raises(InputError, match=message), extra("torch"):
        import no_such_package  # noqa: F401


def test_a_package_that_is_there_but_broken_is_left_to_tell_so_itself():
    with pytest.raises(ImportError, match="cannot import name 'no_such_name'") as error, extra("torch"):
        from json import no_such_name  # noqa: F401
    assert not isinstance(error.value, InputError)
