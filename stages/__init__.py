"""One thin script a DVC stage: read, call the library once, write. Run as `python -m stages.NAME`."""

import os

# Threads that wait sleep instead of spinning, which on a busy machine made small tensors 8 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
