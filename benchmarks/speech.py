"""Speech into text: real-time factor and processor time, of files and of live streams.

Beside our server over gRPC: the bare models in one process, moonshine-voice with the same model, and faster-whisper on
the weights that ours were made from. One of them is awake at a time, in rounds; ratios are taken within a round.
"""

import argparse
import itertools
import tempfile
from pathlib import Path

from benchmarks import command_line, machine
from benchmarks.report import Report
from benchmarks.speech_contenders import (
    DETECTOR,
    MOONSHINE,
    PEERS,
    PEERS_PYTHON,
    WHISPER,
    Loop,
    Served,
    bare,
    faster_whisper,
    moonshine_voice,
    require_peers,
    started,
)
from benchmarks.speech_files import MANY_CALLERS, Files
from benchmarks.speech_sounds import readings
from benchmarks.speech_streams import CHUNK_S, PERIOD_S, TRAILING_SILENCE_S, Streams

_NOTES = f"""\
- Recordings: seven, read aloud, 79 seconds, 16 and 48 kHz WAV, as moonshine-voice and pocketsphinx ship them. Bytes of
  files are sent and decoded each time.
- Bare models: the server's own functions and sessions of one thread each; no gRPC, no messages, no event loop, no
  queue. A file is read and cut into utterances on one thread, which are recognised on as many threads as the server has
  runners; live, on one thread. Before rounds begin, server and bare models must write the same text for every file.
- moonshine-voice: the same model files, with its own detector and threads as they come; it cuts speech elsewhere.
- faster-whisper: the weights that whisper-tiny-en was made from, on as many threads; greedy and with its own detector,
  as the server is; all else as it comes. float32 is its default for these weights, here with MKL, without which it is
  much slower on this processor.
- Files: one caller asks for the next file when the last is answered; {MANY_CALLERS} callers ask for one
  each, at the same time. By the clock, one caller's file is recognised on all runners.
- Live: as many streams as processors, the shortest four recordings with pauses of 0.6 to 1 s, 16-bit at 16 kHz in
  chunks of {1000 * CHUNK_S:.0f} ms at the pace of speech; an interim result after every {PERIOD_S} s of speech, an
  utterance ends after {TRAILING_SILENCE_S} s of silence. Bare models and moonshine-voice get the chunks as fast as they
  take them, so they skip no interim result. A server that is busy does.
- Processor time: of the contender's process alone, by /proc.
- Medians, with the range over rounds.
"""


def main() -> None:
    given = command_line.parse(__doc__, rounds=3, require=require_peers, add=_options)
    if given.model:
        # By itself: no peer is measured with it.
        given.peers = False
    models = [given.model] if given.model else [MOONSHINE, WHISPER]
    ours = Served([*models, DETECTOR], threads=given.threads)
    limit = bare([*models, DETECTOR])
    peers: dict[str, list[Loop]] = {model: [] for model in models}
    if given.peers:
        peers[MOONSHINE].append(moonshine_voice())
        peers[WHISPER].append(faster_whisper(threads=given.threads))
        peers[WHISPER].append(faster_whisper(threads=given.threads, compute_type="int8"))
    report = Report(
        name=f"speech_{given.model}" if given.model else "speech",
        title="Speech into text: files and live streams",
        notes=_NOTES,
        facts=machine.describe(PEERS_PYTHON if given.peers else None, peers=PEERS) | {"threads": str(given.threads)},
    )
    clips = sorted(readings(), key=lambda clip: clip.file.stat().st_size)
    is_live: dict[str, list[Loop]] = {given.model: []} if given.model else {MOONSHINE: peers[MOONSHINE], WHISPER: []}
    with tempfile.TemporaryDirectory() as folder, started(ours, limit, *itertools.chain(*peers.values())):
        files = Files(ours, limit, peers, clips[:3] if given.quick else clips, threads=given.threads)
        short = clips[: 1 if given.quick else 4]
        streams = Streams(ours, limit, is_live, short, Path(folder), num_streams=given.threads)
        files.prepare()
        for number in range(given.rounds):
            files.run(number)
            streams.run(number)
            print(f"round {number + 1} of {given.rounds} done", flush=True)
    for measured in (files, streams):
        report.tables.extend(measured.tables())
    report.samples = {"files": files.raw(), "live": streams.raw()}
    report.write(given.results)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", help="this one alone, beside the bare one (default: two, and their peers)")


if __name__ == "__main__":
    main()
