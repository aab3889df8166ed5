"""``python -m stream_ml`` is ``stream-ml``."""

from stream_ml.cli import main

if __name__ == "__main__":
    main()
