"""Transcribes with faster-whisper. Runs in .venv-peers/speech. See ../speech.py.

Greedily and with its own detector of voice activity, as our server does; all else is as it comes. Reads one JSON line
for each burst from standard input, {"files"}, and answers {"texts"}.
"""

import argparse
import json
import sys

from faster_whisper import WhisperModel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="weights of CTranslate2")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--compute-type", default="default", help="as CTranslate2 names them")
    given = parser.parse_args()
    model = WhisperModel(given.folder, device="cpu", compute_type=given.compute_type, cpu_threads=given.threads)

    def transcribe(file: str) -> str:
        segments, _ = model.transcribe(file, language="en", beam_size=1, vad_filter=True)
        return " ".join(segment.text.strip() for segment in segments)

    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps({"texts": list(map(transcribe, json.loads(line)["files"]))}), flush=True)


if __name__ == "__main__":
    main()
