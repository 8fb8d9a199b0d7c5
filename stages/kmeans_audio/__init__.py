"""Stages of the second system, whose map is `kmeans-audio/dvc.yaml`: speech as quantised frames."""
