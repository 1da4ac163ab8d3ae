"""The embedded engine: trains and samples vision-language models in this process, without a key.

From the outside in: `api` (records and protocol), `engine` (operations), `models` and `tiny_vlm` (base
models), `inputs` (chunks become tensors), `weights` (adapters that share a base), `training`, `forward` and
`losses` (passes that read a shared prefix once), `sampling`, `optimiser`, `checkpoints`.
"""
