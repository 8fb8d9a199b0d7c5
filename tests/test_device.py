import pytest
import torch

from porcupine import device
from porcupine.errors import InputError


def test_cpu_is_the_cpu():
    assert device.resolve("cpu") == torch.device("cpu")


@pytest.mark.parametrize(("available", "expected"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_cuda_where_there_is_one(monkeypatch, available, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert device.resolve("auto") == torch.device(expected)


def test_missing_cuda_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="'cuda': torch finds no CUDA device; choose auto or cpu"):
        device.resolve("cuda")


def test_an_unknown_device_names_the_nearest():
    with pytest.raises(InputError, match="did you mean 'cuda'"):
        device.resolve("cuda:0")
