"""llama.cpp's own HTTP server with continuous batching. Prints `ready` when it answers; runs until SIGTERM."""

import argparse
import signal

import xllamacpp


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("gguf", help="weights")
    parser.add_argument("--port", type=int, required=True, help="loopback port")
    parser.add_argument("--threads", type=int, required=True, help="threads for decoding and for prompts")
    parser.add_argument("--slots", type=int, default=8, help="requests decoded together")
    parser.add_argument("--context", type=int, default=2048, help="tokens of one slot")
    parser.add_argument("--flash-attention", choices=("on", "off"), required=True)
    given = parser.parse_args()

    params = xllamacpp.CommonParams()
    params.model.path = given.gguf
    params.port = given.port
    params.n_parallel = given.slots
    params.n_ctx = given.slots * given.context
    params.cont_batching = True
    params.cpuparams.n_threads = given.threads
    params.cpuparams_batch.n_threads = given.threads
    flash = xllamacpp.llama_flash_attn_type
    params.flash_attn_type = (
        flash.LLAMA_FLASH_ATTN_TYPE_ENABLED if given.flash_attention == "on" else flash.LLAMA_FLASH_ATTN_TYPE_DISABLED
    )
    params.ui = False
    server = xllamacpp.Server(params)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    print("ready", server.listening_address, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()
