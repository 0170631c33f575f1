"""Reads the files of a folder with rapidocr, and prints what it read as JSON. Runs in .venv-peers. See ocr.py."""

import argparse
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rapidocr import RapidOCR


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of each run; -1 for its own default")
    parser.add_argument("--upright", action="store_true", help="takes all lines to be upright")
    options = parser.parse_args()
    engine = RapidOCR(
        params={
            "Global.log_level": "error",
            "Global.use_cls": not options.upright,
            "EngineConfig.onnxruntime.intra_op_num_threads": options.threads,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )

    def read(file: Path) -> list[str]:
        return list(engine(file.read_bytes()).txts or ())

    read(options.files[0])
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(options.concurrency) as pool:
        texts = list(pool.map(read, options.files))
    measured = time.perf_counter() - wall_s, time.process_time() - cpu_s
    print(json.dumps({"wall_s": measured[0], "cpu_s": measured[1], "texts": texts}))


if __name__ == "__main__":
    main()
