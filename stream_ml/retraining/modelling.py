"""The model file of a challenger: the champion's, with what a setting says otherwise."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping

import tomli_w

from stream_ml.errors import ConfigError
from stream_ml.features import CompiledModel, compile_model


def challenger_model(
    champion: CompiledModel, learner: Mapping[str, float], slots: Collection[str] | None, why: str
) -> CompiledModel:
    """
    Return *champion* with other keys of ``[learner]``, and with *slots* only where they are named.

    The same arguments give the same file.

    Args:
        why: one line, for who reads the file.

    Raises:
        ConfigError: it has no such slot, or the model file would be none.
    """
    document = tomllib.loads(champion.model_file.text)
    features = document["features"]
    if unknown := set(slots or ()) - features.keys():
        raise ConfigError(
            f"{champion.model_file.name} has no slot {', '.join(sorted(unknown))}: "
            f"it has {', '.join(features)}"
        )
    if slots is not None:
        document["features"] = {name: text for name, text in features.items() if name in set(slots)}
    document["learner"] = {**document.get("learner", {}), **learner}
    said = " ".join(why.split())
    return compile_model(f"# {said}\n{tomli_w.dumps(document)}")
