"""One thin script a DVC stage: read, call the library once, write. Run as `python -m stages.NAME`."""
