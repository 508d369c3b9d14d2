"""Which names a model may have: they stand in the paths of requests."""

from __future__ import annotations


def check_model_name(name: str) -> None:
    """Refuse a name that no path can carry.

    Raises
    ------
    ValueError
        It has a control character, or a part between slashes that clients resolve as a folder.
    """
    if not all(map(str.isprintable, name)):
        raise ValueError(f"the model's name {name!r} has a character that cannot be printed")
    if {".", ".."} & set(name.split("/")):
        raise ValueError(f"the model's name {name!r} would be read as a folder in a path")
