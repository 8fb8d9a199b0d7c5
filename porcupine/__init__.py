"""Porcupine: privacy of speaker embeddings that you can measure, reproduce and trust.

Import what you need from the floor it lives on; this package imports nothing by itself:

    porcupine.quantizers   codebooks, space-filling curves, occurrence normalisation
    porcupine.privacy      occupancy and disclosure in bits, verification, identification
    porcupine.estimators   the quantisers as scikit-learn estimators
    porcupine.audit        codes -> what they disclose, as tables, figures and a page
    porcupine.frames       speech as quantised frames
    porcupine.encoders     waveforms to embeddings
    porcupine.corpora      recordings on disk to one utterance table
"""
