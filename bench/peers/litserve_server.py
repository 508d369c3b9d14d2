"""The same prediction behind LitServe: `python -m bench.peers.litserve_server PORT`."""

import os
import sys
from pathlib import Path

import litserve
import numpy as np

from service.gpr import GPR


class Surrogate(litserve.LitAPI):  # type: ignore[misc]
    """Four inputs to a mean and a variance."""

    def setup(self, device: str) -> None:
        """Read the model's file."""
        self._gpr = GPR.load(Path(os.environ["BENCH_MODEL"]))

    def decode_request(self, request: dict[str, float]) -> np.ndarray:
        """Return the point."""
        return np.array([[request[name] for name in ("x1", "x2", "x3", "x4")]])

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Predict mean and variance."""
        return self._gpr.predict(x)

    def encode_response(self, output: np.ndarray) -> dict[str, float]:
        """Return the answer's document."""
        mean, variance = output[0].tolist()
        return {"mean": mean, "variance": variance}


if __name__ == "__main__":
    server = litserve.LitServer(Surrogate(), accelerator="cpu")
    port = int(sys.argv[1])
    server.run(host="127.0.0.1", port=port, generate_client_file=False, access_log=False)
