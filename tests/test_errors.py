from porcupine.errors import nearest


def test_a_close_name_is_suggested_else_all_are_listed():
    assert nearest("epoch", ["epochs", "seed"]) == "; did you mean 'epochs'?"
    assert nearest("zzz", ["epochs", "seed"]) == "; choose from epochs, seed"
