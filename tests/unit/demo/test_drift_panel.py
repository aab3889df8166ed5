from io import StringIO

from rich.console import Console

from stream_ml.demo.drift_panel import panel
from stream_ml.demo.drifting import Moment

NAN = float("nan")


def drawn(moment: Moment) -> str:
    console = Console(file=StringIO(), width=120, color_system=None)
    console.print(panel(moment))
    return console.file.getvalue()


def test_before_the_first_score_it_can_be_drawn():
    assert "nobody" in drawn(Moment(100, "nobody", [NAN], "the model learns", None))


def test_it_shows_who_serves_the_newest_loss_and_how_far_a_job_is():
    text = drawn(Moment(30_000, "v1", [0.5, 0.9], "13 challengers have learned 20,000 events", 0.5))
    for part in ("30,000", "v1", "0.9000", "13 challengers", "━"):
        assert part in text


def test_what_has_no_known_progress_has_no_bar():
    assert "━" not in drawn(Moment(30_000, "v1", [0.5], "the drift monitor looks", None))
