"""llama.cpp's server with a model file: `llama_server.py MODEL PORT SLOTS CONTEXT [API_KEY]`. Prints its address when it listens."""

import signal
import sys

import xllamacpp

model, port, slots, context = sys.argv[1], *map(int, sys.argv[2:5])
params = xllamacpp.CommonParams()
params.model.path = model
params.hostnames = ["127.0.0.1"] if isinstance(params.hostnames, list) else "127.0.0.1"
params.port, params.n_parallel, params.n_ctx = port, slots, context
params.endpoint_metrics = params.endpoint_slots = params.endpoint_props = True
params.offline = True
# One thread: with two, they spin for each other on a small machine.
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
if len(sys.argv) > 5:
    params.api_keys = [sys.argv[5]]
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
signal.pause()
