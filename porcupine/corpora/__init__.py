"""Recordings on disk (or made here) to one utterance table; `registry` names them all."""
