import pytest

from mmvan.errors import ConfigError, DataError
from mmvan.leaderboard.plan import METRICS, plan_evaluations
from mmvan.zoo.catalogue import NamedModel, named_models


def model(name: str = "van_x_fpn", **metrics: float) -> NamedModel:
    facts = {"config": f"configs/segmentation/{name}.py", "recipe": "", "training_data": ()}
    return NamedModel(
        name=name,
        task="segmentation",
        parameters=None,
        flops=None,
        metrics=metrics,
        weights=None,
        **facts,
    )


def test_every_published_score_is_planned_once() -> None:
    models = named_models().values()
    planned = plan_evaluations(models)
    targets = [target for evaluation in planned for target in evaluation.targets]
    assert len(targets) == sum(len(each.metrics) for each in models) >= 59
    assert {target.source for target in targets} == {"paper", "mmpretrain", "mmseg"}
    assert len({evaluation.name for evaluation in planned}) == len(planned)


def test_scales_are_kept_apart() -> None:
    scores = {"mIoU (ms+flip)": 50.1, "mIoU (mmseg)": 49.35}
    single, multi = plan_evaluations([model(**scores)])
    assert (single.name, single.multi_scale, single.targets[0].source) == (
        "van_x_fpn",
        False,
        "mmseg",
    )
    assert (multi.name, multi.multi_scale, multi.targets[0].source) == (
        "van_x_fpn_ms",
        True,
        "paper",
    )


def test_models_are_chosen_by_task_and_name() -> None:
    models = named_models().values()
    detectors = plan_evaluations(models, "det")
    assert {evaluation.model.task for evaluation in detectors} == {"detection"}
    (one,) = plan_evaluations(models, "all", ["van_b_in1k"])
    assert one.model.name == "van_b_in1k"


@pytest.mark.parametrize(
    ("task", "names", "message"),
    (
        ("all", ["van_b_in1"], "no such model. Did you mean van_b_in1k"),
        ("det", ["van_b_in1k"], "--task det --models van_b_in1k: no model is left"),
        ("all", ["van_h_fpn"], "no score was published for this model"),
    ),
)
def test_what_cannot_be_planned_is_said(task: str, names: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_evaluations(named_models().values(), task, names)


def test_an_unknown_metric_names_the_known_ones() -> None:
    with pytest.raises(DataError, match=f"unknown metric 'F1'; known are {next(iter(METRICS))}"):
        plan_evaluations([model(F1=1.0)])
