"""Recipes of pretraining that cannot be followed."""

from pathlib import Path

import pytest

from ecgfm.errors import RecipeError
from ecgfm.pretraining.recipe import Recipe
from tests.helpers.tiny_pretraining import RECIPE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("width = 16", "width = 15"), "not divisible"),
        (("width = 16", "widht = 16"), "no setting 'widht'"),
        (("epochs = 2", 'epochs = "2"'), "epochs must be int"),
        (("epochs = 2", ""), "needs epochs"),
        (("[data]", "[date]"), "unknown table or setting 'date'"),
        (('name = "tiny"', ""), "needs a name"),
        (("validation = 0.2", "validation = 2.0"), "share of the patients"),
        (("[data]", "[data"), "is not TOML"),
    ],
)
def test_a_wrong_recipe_is_refused_with_its_file_and_setting(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(RECIPE.replace(*change))
    with pytest.raises(RecipeError, match=message) as caught:
        Recipe.read(path)
    assert "wrong.toml" in str(caught.value)
