"""The model file: read whole, every mistake told at once and where it stands."""

from pathlib import Path

import pytest

from stream_ml.errors import ConfigError
from stream_ml.features.model_file import MOST_BYTES, parse_model_file, read_model_file
from stream_ml.features.problems import ModelFileError

MINIMAL = 'name = "m"\nlabel = "y"\n[features]\na = "a"\n'


def problems(text: str) -> list[tuple[str, str, str]]:
    """Return what the carets underline, message and hint of each problem."""
    with pytest.raises(ModelFileError) as caught:
        parse_model_file(text)
    return [(p.source_line[p.column - 1 :][: p.length], p.message, p.hint) for p in caught.value.problems]


def test_what_the_file_does_not_say_is_the_default() -> None:
    model = parse_model_file(MINIMAL)
    assert model.text == MINIMAL
    assert (model.event_id, model.timestamp, model.importance, model.served) == (None, None, None, None)
    assert (model.label_time, model.segment) == (None, None)
    assert model.unlabelled == "refuse"
    learner = model.learner
    assert (learner.loss, learner.optimizer, learner.learn_after) == ("logistic", "ftrl", "event")
    assert (learner.alpha, learner.beta, learner.l1, learner.l2) == (0.1, 1.0, 0.0, 0.0)
    assert (learner.base_rate, learner.base_rate_events) == (None, 1000)
    assert (learner.duplicate_window, learner.max_skew_seconds, learner.evaluate_every) == (
        100_000,
        86_400.0,
        10_000,
    )


def test_what_the_file_says_is_read() -> None:
    model = parse_model_file(
        """
        name = "coupon.response-2"
        event_id = "id"
        timestamp = "at"
        label = "redeemed == 'yes'"
        importance = "1 / rate"
        served = "decision.probability"
        label_time = "paid_at"
        segment = "bucket(rate, 10)"
        unlabelled = "skip"
        features.a = "a"
        features.'b.c-d' = "b > 1"
        [learner]
        loss = "poisson"
        optimizer = "adagrad"
        alpha = 1
        beta = 0.5
        l1 = 2
        l2 = 0.25
        base_rate = 3
        base_rate_events = 10
        learn_after = "record"
        duplicate_window = 1e3
        max_skew_seconds = 60
        evaluate_every = 500
        """
    )
    assert list(model.features) == ["a", "b.c-d"]
    assert [e.text for e in model.expressions()] == [
        'redeemed == "yes"',
        "id",
        "at",
        "1 / rate",
        "decision.probability",
        "paid_at",
        "bucket(rate, 10)",
        "a",
        "b > 1",
    ]
    learner = model.learner
    assert (learner.loss, learner.optimizer, learner.learn_after) == ("poisson", "adagrad", "record")
    assert (learner.alpha, learner.beta, learner.l1, learner.l2) == (1.0, 0.5, 2.0, 0.25)
    assert type(learner.alpha) is float
    assert (learner.base_rate, learner.base_rate_events) == (3.0, 10)
    assert learner.duplicate_window == 1000
    assert type(learner.duplicate_window) is int


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    found = problems(
        """name = "a b"
        lable = "x"
        timestamp = "hour(ts)"
        alpha = 3
        [features]
        price = "buket(price, 1)"
        note = "concat(a, \\u0022é\\u0022, lowr(x))"
        now = "time(ts)"
        count = 3
        "odd name" = "x"
        [learner]
        loss = "logloss"
        alpha = -1
        evaluate_every = 1.5
        """
    )
    assert [(place, message.split(":")[0]) for place, message, _ in found] == [
        ("n", "there is no label"),
        ('"a b"', "a model's name is at most 100 of"),
        ("lable", "unknown key 'lable'"),
        ("hour(ts)", "this is a whole number where a time is asked for"),
        ("alpha", "unknown key 'alpha'"),
        ("buket", "unknown function 'buket'"),
        ("lowr", "unknown function 'lowr'"),
        ('"time(ts)"', "an instant never comes again, so it is no feature"),
        ("3", "count is an expression, a text in quotes"),
        ('"odd name"', "a feature's name is at most 100 letters, digits, '.', '_', '-'"),
        ('"logloss"', "unknown loss 'logloss'"),
        ("-1", "alpha is above 0 and at most 100"),
        ("1.5", "evaluate_every is a whole number"),
    ]


def test_a_mistake_is_shown_with_file_line_and_caret() -> None:
    text = 'name = "m"\nlabel = "y"\n[features]\n\tprice = "é + buket(price, 1)"\n'
    with pytest.raises(ConfigError) as caught:
        parse_model_file(text, "models/coupon.toml")
    assert str(caught.value) == (
        "models/coupon.toml:4:15: unknown function 'buket'\n"
        ' 4 | \tprice = "é + buket(price, 1)"\n'
        "   | \t             ^^^^^\n"
        "   = hint: did you mean 'bucket'?"
    )


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        (MINIMAL + "a = 'b'\n", "", "not TOML: Cannot overwrite a value", ""),
        ('name = \n', "", "not TOML: Invalid value", ""),
        ('name = "m', "", "not TOML: ", ""),
        ('label = "y"\n[features]\na = "a"\n', "l", "there is no name", 'name = "coupon-response"'),
        ('name = "m"\n[features]\na = "a"\n', "n", "there is no label", 'label = "redeemed"'),
        ('name = "m"\n[features]\na = "a"\nlabel = "y"\n', "label", "no label at the top", "move it above"),
        ('name = 3\nlabel = "y"\n[features]\na = "a"\n', "3", "a model's name is", "Kafka"),
        ('name = "m"\nlabel = "y"\n', "n", "there are no features", "[features]"),
        ('name = "m"\nlabel = "y"\nfeatures = 3\n', "features", "features is a table", "[features]"),
        ('name = "m"\nlabel = "y"\n[features]\na.b = "x"\n', "a.b", "a is an expression", '"a.b" = '),
        ('name = "m"\nlabel = "y"\n[features]\na = { b = "x" }\n', "a", "a is an expression", ""),
        ('name = "m"\nlabel = "words(y)"\n[features]\na = "a"\n', "words(y)", "this is a set where", ""),
        (MINIMAL + "event_id = 'x'\n[learner]\nname = 'x'\n", "name", "unknown key 'name'", "at the top"),
        (MINIMAL + "[learner]\nbetta = 1\n", "betta", "unknown key 'betta'", "did you mean 'beta'?"),
        (MINIMAL + "[learner]\nalpha = true\n", "true", "alpha is a number", ""),
        (MINIMAL + "[learner]\nalpha = 0\n", "0", "alpha is above 0 and at most 100: ", ""),
        (MINIMAL + "[learner]\nalpha = nan\n", "nan", "alpha is above 0", ""),
        (MINIMAL + "[learner]\nl1 = -0.5\n", "-0.5", "l1 is at least 0 and at most 1,000,000: ", ""),
        (MINIMAL + "[learner]\nevaluate_every = 0\n", "0", "evaluate_every is at least 1", ""),
        (MINIMAL + "[learner]\noptimizer = 'adagard'\n", "'adagard'", "unknown optimizer", "mean 'adagrad'?"),
        (MINIMAL + "[learner]\nbase_rate = 1\n", "1", "logistic loss lies above 0 and below 1", ""),
        (MINIMAL + "[learner]\nloss='poisson'\nbase_rate = -1.0\n", "-1.0", "of a poisson loss", ""),
        (MINIMAL + "[learner]\nduplicate_window = 9\n", "duplicate_window", "nothing without event_id", ""),
        ('label_time = "known_at"\n' + MINIMAL, "label_time", "nothing without timestamp", ""),
        (MINIMAL + "[learner]\nmax_skew_seconds = 9\n", "max_skew_seconds", "nothing without timestamp", ""),
        ('unlabelled = "drop"\n' + MINIMAL, '"drop"', "unknown unlabelled 'drop'", "one of: refuse, skip"),
    ],
)  # fmt: skip
def test_one_mistake_is_one_problem_at_its_place(text: str, place: str, message: str, hint: str) -> None:
    [(found_place, found_message, found_hint)] = problems(text)
    assert found_place == place
    assert message in found_message
    assert hint in found_hint


def test_a_base_rate_may_be_anything_for_a_squared_loss() -> None:
    assert parse_model_file(MINIMAL + "[learner]\nloss='squared'\nbase_rate=-7\n").learner.base_rate == -7.0


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: cannot be read: No such file"):
        read_model_file(tmp_path / "absent.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "caf\xe9"')
    with pytest.raises(ConfigError, match="not UTF-8 at byte 11"):
        read_model_file(tmp_path / "latin.toml")
    with pytest.raises(ConfigError, match="larger than"):
        parse_model_file("#" * (MOST_BYTES + 1))
    with pytest.raises(ConfigError, match="nested too deeply"):
        parse_model_file("a = " + "[" * 10_000 + "]" * 10_000)


def test_more_slots_than_the_plan_can_number_are_refused() -> None:
    lines = "".join(f'f{number} = "x"\n' for number in range(65_536))
    with pytest.raises(ModelFileError, match=r"65,536 features; at most 65,535 are allowed"):
        parse_model_file(f'name = "m"\nlabel = "y"\n[features]\n{lines}')


def test_more_fields_than_the_plan_can_number_are_refused() -> None:
    lines = "".join(
        f'f{number} = "cross({", ".join(f"x{number}_{part}" for part in range(8))})"\n'
        for number in range(8_192)
    )
    with pytest.raises(ModelFileError, match=r"65,537 fields; at most 65,535"):
        parse_model_file(f'name = "m"\nlabel = "y"\n[features]\n{lines}')


def test_a_feature_called_bias_is_refused_and_the_name_is_free_elsewhere() -> None:
    text = 'name = "bias"\nlabel = "y"\n[features]\na = "bias"\nbias = "a"\n'
    ((underlined, message, hint),) = problems(text)
    assert underlined == "bias"
    assert message == "'bias' is a reserved name: a score's contributions call the model's own share so"
    assert hint == 'another name, for example "bias_1"'
    with pytest.raises(ModelFileError) as caught:
        parse_model_file(text)
    assert caught.value.problems[0].line == 5
    assert list(parse_model_file(text.replace("bias = ", "bias_1 = ")).features) == ["a", "bias_1"]
