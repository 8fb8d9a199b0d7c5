"""Waveforms to speaker embeddings [N, D]; `registry` names them all."""
