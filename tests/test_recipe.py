"""Recipes: what they may say, how faults are told, and the rates of their schedules."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnnspec import recipe, zoo
from cnnspec.diagnostics import MissingError, SpecError, UsageError
from door import write

WRONG = [
    ("recipe: 2\n", "r.yaml:1:9: error[recipe]: 'recipe' should be 1, got 2"),
    ("epochs: many\n", "r.yaml:1:9: error[recipe]: 'epochs' should be a valid integer, got many"),
    ("epochs: 0\n", "r.yaml:1:9: error[recipe]: 'epochs' should be greater than or equal to 1, got 0"),
    ("lr: .nan\n", "r.yaml:1:5: error[recipe]: 'lr' should be a finite number, got nan"),
    ("split: {tset: 0.1}\n", "r.yaml:1:9: error[recipe]: unknown key 'split.tset'"),
    ("phases: [1]\n", "r.yaml:1:10: error[recipe]: 'phases.0' should be a valid dictionary or instance of Phase"),
    ("phases: [{lrr: 1}]\n", "r.yaml:1:11: error[recipe]: unknown key 'phases.0.lrr'"),
    ("phases: [{epochs: 2}, {lr: 0}]\n", "r.yaml:1:28: error[recipe]: 'phases.1.lr' should be greater than 0, got 0"),
    ("nesterov: true\n", "r.yaml:1:1: error[recipe]: nesterov is sgd's, with a momentum"),
    ("accumulate: 64\n", "r.yaml:1:1: error[recipe]: a batch of 32 cannot be computed in 64 pieces"),
    ("augment: {zooom: 1}\n", "r.yaml:1:11: error[recipe]: unknown key 'augment.zooom'"),
    ("augment: {crop: [1, 0.5]}\n", "r.yaml:1:1: error[recipe]: augment.crop is a range [least, most], got [1.0, 0.5]"),
    ("augment: {crop: [1, 2]}\n", "r.yaml:1:1: error[recipe]: augment.crop is a share of the area, at most 1, got"),
    ("augment: {randaugment: {magnitude: 31}}\n", "r.yaml:1:36: error[recipe]: 'augment.randaugment.magnitude' shou"),
    ("split: {validation: 0.5, test: 0.5}\n", "r.yaml:1:1: error[recipe]: validation 0.5 and test 0.5 leave nothing"),
    ("mean: [0.5]\n", "r.yaml:1:1: error[recipe]: mean and std are given together or not at all"),
    ("epochs: 3\nepochs: 4\n", "r.yaml:2:1: error[yaml.duplicate]: 'epochs' stands twice: here and in line 1"),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_a_wrong_recipe_is_told_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, text, "r.yaml")
    with pytest.raises(SpecError) as caught:
        recipe.load("./r.yaml")
    assert str(caught.value).removeprefix("./").startswith(said)


def test_the_shipped_recipe_is_nearly_the_default_and_reloads(tmp_path: Path) -> None:
    shipped = recipe.load("classify")
    assert shipped == recipe.Recipe(augment=recipe.Augment(shift=2))
    changed = recipe.load("classify", {"mean": "[0.1]", "std": "[0.2]", "lr": "1e-5", "split.test": "0.3"})
    assert recipe.load(write(tmp_path, changed.text())) == changed
    full = {
        "phases": "[{epochs: 1, freeze: ['body.*'], rates: {'*.bias': 2}}, {lr: 1e-4, nesterov: true, optimizer: sgd}]",
        "augment": "{crop: [0.5, 1], flip: both, randaugment: {}, erase: 0.1}",
        "losses": "{logits: 0.8, box: 0.2}",
        "data": "'a folder: with {all} sorts #1'",
    }
    assert recipe.load(write(tmp_path, recipe.load("classify", full).text())) == recipe.load("classify", full)
    with pytest.raises(MissingError):
        recipe.load("../recipes/classify")
    with pytest.raises(UsageError, match="'batch' holds no keys"):
        recipe.load("classify", {"batch.size": "3"})


def test_every_shipped_recipe_is_read() -> None:
    names = [path.stem for path in (zoo.folder() / "recipes").glob("*.yaml")]
    assert len(names) > 5
    assert all(recipe.load(name).recipe == 1 for name in names)


def rates(changes: dict[str, str], steps: int) -> list[float]:
    (stage,) = recipe.load("classify", {"epochs": "10", **changes}).stages
    return [stage.rate(step, steps) for step in range(steps)]


def test_the_rates_of_a_schedule() -> None:
    assert set(rates({"schedule": "constant"}, 10)) == {1.0}
    cosine = rates({"schedule": "cosine"}, 10)
    assert [round(cosine[step], 3) for step in (0, 5, 9)] == [1, 0.5, 0.024]
    cycle = rates({"schedule": "one_cycle"}, 100)
    assert cycle[0] == 0.04
    assert (max(cycle), cycle.index(max(cycle))) == (1, 30)
    assert sorted(cycle[30:], reverse=True) == cycle[30:]
    assert cycle[-1] < 0.001
    assert 0 < rates({"schedule": "one_cycle", "epochs": "1"}, 1)[0] <= 1
    stairs = rates({"schedule": "step", "every": "3", "factor": "0.5"}, 20)
    assert stairs == [0.5 ** (step // 6) for step in range(20)]
    assert rates({"schedule": "inverse", "decay": "0.01"}, 20) == [1 / (1 + 0.01 * step) for step in range(20)]
    warm = rates({"schedule": "constant", "warmup": "2"}, 50)
    assert warm[:11] == pytest.approx([(step + 1) / 11 for step in range(10)] + [1])


def test_phases_take_from_the_recipe_what_they_leave_out() -> None:
    text = "[{epochs: 5, freeze: [body], lr: 0.2, decay: 0.01}, {epochs: 40, lr: 0.01, nesterov: true, decay: 0.001}]"
    found = recipe.load("classify", {"optimizer": "sgd", "schedule": "inverse", "phases": text})
    first, second = found.stages
    assert (first.epochs, first.freeze, first.lr, first.nesterov, first.decay) == (5, ["body"], 0.2, False, 0.01)
    assert (second.epochs, second.freeze, second.lr, second.nesterov, second.decay) == (40, [], 0.01, True, 0.001)
    assert {first.optimizer, second.optimizer} == {"sgd"}
    assert found.whole == 45
