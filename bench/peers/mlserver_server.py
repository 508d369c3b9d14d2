"""The same prediction behind MLServer: `python -m bench.peers.mlserver_server PORT GRPC_PORT`."""

import asyncio
import os
import sys
from pathlib import Path

from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from mlserver.utils import install_uvloop_event_loop

from service.gpr import GPR


class Surrogate(MLModel):  # type: ignore[misc]
    """Points of four inputs to mean and variance."""

    async def load(self) -> bool:
        """Read the model's file."""
        self._gpr = GPR.load(Path(os.environ["BENCH_MODEL"]))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Predict mean and variance."""
        P = self._gpr.predict(NumpyCodec.decode_input(payload.inputs[0]))
        outputs = [
            NumpyCodec.encode_output(name, P[:, [column]])
            for column, name in enumerate(("mean", "variance"))
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)


# One process, as for the other sides: by default the model has a second one, which a request would
# have to reach. Without access log and metrics, which cost time as well.
async def _serve(port: int, grpc_port: int) -> None:
    settings = Settings(
        debug=False,
        host="127.0.0.1",
        http_port=port,
        grpc_port=grpc_port,
        metrics_endpoint=None,
        parallel_workers=0,
    )
    await MLServer(settings).start(
        [ModelSettings(name="gp", implementation="bench.peers.mlserver_server.Surrogate")]
    )


if __name__ == "__main__":
    install_uvloop_event_loop()
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
