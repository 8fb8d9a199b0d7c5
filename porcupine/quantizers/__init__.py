"""Codebooks and curves for embeddings, and the normalisation that makes their codes equally likely."""
