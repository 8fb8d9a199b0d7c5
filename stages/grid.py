"""The cells of the experiment: every variant at every bitrate."""

from porcupine.params import Params
from porcupine.quantizers import variants


def variant_names(params: Params) -> list[str]:
    """All variants that the params ask for."""
    return variants.names(params.codebooks.methods, params.resample.modes, params.codes.encodings)


def cells(params: Params) -> list[tuple[str, int]]:
    """Every variant at every bitrate, in this order."""
    return [(variant, bits) for variant in variant_names(params) for bits in params.codebooks.bits]
