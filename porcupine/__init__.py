"""Porcupine: privacy of speaker embeddings that you can measure, reproduce and trust.

Import what you need from the floor it lives on; this package imports nothing by itself:

    porcupine.quantizers   codebooks, space-filling curves, occurrence normalisation
    porcupine.privacy      occupancy and disclosure in bits, verification, identification
    porcupine.encoders     waveforms to embeddings
    porcupine.corpora      recordings on disk to one utterance table
"""
