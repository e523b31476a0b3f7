"""The counter of samples/counter as `troupe dev` runs it (ports from the environment), which also says what it sees: each
signal, each deactivation. With the argument `stubborn` it ignores SIGINT and SIGTERM."""
import os
import pathlib
import signal
import sys

STUBBORN = "stubborn" in sys.argv
sys.argv = sys.argv[:1]
sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "samples" / "counter"))

import app  # noqa: E402


class Telling(app.App):
    def do_DELETE(self):
        print("deactivated", self.path.split("/")[3], flush=True)
        super().do_DELETE()


def on_signal(number, _frame):
    print("got", signal.Signals(number).name, flush=True)
    if not STUBBORN:
        os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    app.Server(("127.0.0.1", app.PORT), Telling).serve_forever()
