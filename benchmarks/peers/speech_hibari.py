"""Speaks with hibari's own program, which our server takes the pronunciation of. See ../speech_synthesis.py.

Reads one JSON line for each burst from standard input, {"speak": [text, …]}, and answers {"audio_s"}.
"""

import json
import sys

from hibari import SAMPLE_RATE, Hibari


def main() -> None:
    voice = Hibari()
    voice("Hello, this is a rehearsal.")
    print("ready", flush=True)
    for line in sys.stdin:
        num_samples = sum(len(sound) for text in json.loads(line)["speak"] for sound in voice.stream(text))
        print(json.dumps({"audio_s": num_samples / SAMPLE_RATE}), flush=True)


if __name__ == "__main__":
    main()
