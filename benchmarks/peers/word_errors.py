"""Counts wrong words with jiwer, after the normalisation that Whisper's authors published. Runs in .venv-peers/speech.

Reads one JSON line at a time from standard input, {"spoken": [text, …], "heard": [text, …]}, and answers {"words",
"substituted", "deleted", "inserted"}, all texts together. A text in which nothing is left to compare counts what was
heard for it as inserted.
"""

import json
import sys

import jiwer
from whisper_normalizer.english import EnglishTextNormalizer


def main() -> None:
    normalized = EnglishTextNormalizer()
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        found = {"words": 0, "substituted": 0, "deleted": 0, "inserted": 0}
        for pair in zip(asked["spoken"], asked["heard"], strict=True):
            spoken, heard = map(normalized, pair)
            if not spoken:
                found["inserted"] += len(heard.split())
                continue
            counted = jiwer.process_words(spoken, heard)
            found["words"] += len(spoken.split())
            found["substituted"] += counted.substitutions
            found["deleted"] += counted.deletions
            found["inserted"] += counted.insertions
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
