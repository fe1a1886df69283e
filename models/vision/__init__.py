"""What an image shows; no camera, no network."""

import os

# onnxruntime's wheels report every model that is loaded, and a name of the machine, to their maker unless told not to
# before they are imported. What a camera of a quarantine site runs is nobody's business.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
