"""A model for MLServer that really depends on its input: the mean of the hyperbolic tangent of each row."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Mean(MLModel):
    async def load(self):
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = NumpyCodec.decode_input(payload.inputs[0]).astype("float32")
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("mean", np.tanh(rows).mean(axis=-1))])
