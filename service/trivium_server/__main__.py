"""`python -m trivium_server` is `trivium serve`."""

from trivium_server.cli import serve

if __name__ == "__main__":
    serve(prog_name="python -m trivium_server")
