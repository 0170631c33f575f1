"""Images per core-second of our server, four features in one call, and a live stream that is offered too much.

The limit is the same work in one process without a server: decode, preprocess, run, postprocess. One of the two is
awake at a time, in rounds; ratios are taken within a round.
"""

import contextlib
import tempfile
from pathlib import Path

from benchmarks import command_line, machine
from benchmarks.report import Report
from benchmarks.vision_contenders import Bare, Served, require_models
from benchmarks.vision_images import MODELS, Pictures
from benchmarks.vision_live import Live
from benchmarks.vision_rates import Rates
from benchmarks.vision_together import Together

_NOTES = """\
- Files: photos and scans that scikit-image and scikit-learn ship, three JPEG and four PNG of 0.1 to 0.3 megapixels;
  for text two scans in PNG and a page rendered as photographed paper (900x640), as benchmarks/ocr_pages.py says.
  Bytes of files are sent and decoded each time. The 12 MP photo is one of them, enlarged.
- Limit: the server's own functions and sessions of one thread each, one after the other on as many threads as the
  server has runners and decoders; no gRPC, no messages, no event loop, no queue. A page is read by one thread;
  the server spreads its lines over all. Before rounds begin, both must see the same on every file.
- Callers ask for the next image when the last one is answered, each on a connection of its own. They share the
  processors with the server; core-seconds are those of the server alone, by /proc. Features are as they come when
  nothing is set.
- Four features: one caller. At once: four calls are sent together; in turn: each when the last was answered.
- Live stream: FRAME_POLICY_LATEST_ONLY. Added delay: from when the frame that was analysed was handed to gRPC to its
  result, less what one frame takes the limit alone (decoding included, one thread, median). The run fails where a
  frame is neither analysed nor told as dropped, in its place and in sum.
- Medians, with the range over rounds.
"""


def main() -> None:
    given = command_line.parse(__doc__, rounds=5, uses_peers=False)
    require_models()
    report = Report(
        name="vision",
        title="Images per core-second, features together, and a live stream",
        notes=_NOTES,
        facts=machine.describe()
        | {"threads": str(given.threads), "models": ", ".join(f"{name}: {model}" for name, model in MODELS.items())},
    )
    ours, bare = Served(threads=given.threads), Bare(threads=given.threads)
    with contextlib.ExitStack() as stack:
        pictures = Pictures(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        for contender in (ours, bare):
            contender.start()
            stack.callback(contender.close)
            contender.process.pause()
        rates = Rates(ours, bare, pictures, burst_s=0.3 if given.quick else 5.0)
        together = Together(ours, pictures, burst_s=0.3 if given.quick else 3.0)
        live = Live(ours, bare, pictures, stream_s=3.0 if given.quick else 20.0)
        rates.prepare()
        for number in range(given.rounds):
            rates.run(number)
            together.run(number)
            live.run()
            print(f"round {number + 1} of {given.rounds} done", flush=True)
    for measured in (rates, together, live):
        report.tables.extend(measured.tables())
    report.samples = {"rates": rates.raw(), "together": together.raw(), "live": live.raw()}
    report.write(given.results)


if __name__ == "__main__":
    main()
