"""Settings: what is refused, and that the command line offers each of them."""

import argparse
import dataclasses
import json

import pytest

from numcnn.errors import ConfigError
from numcnn.training.config import (
    PRESETS,
    TrainConfig,
    add_config_arguments,
    changed_settings,
    config_from_arguments,
    in_options,
)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"epochs": 0}, "`epochs` is 0; wants 1 or more"),
        ({"batch_size": 0}, "`batch_size` is 0; wants 1 or more"),
        ({"batch_size": 2.5}, "`batch_size` is 2.5; wants int"),
        ({"lr": 0.0}, "`lr` is 0.0; wants a number above 0"),
        ({"lr": float("nan")}, "`lr` is nan; wants a finite number"),
        ({"lr": 10**400}, "`lr` is too large; wants a finite number"),
        ({"optimizer": "rmsprop"}, "`optimizer` is 'rmsprop'; choose one of adamw, adam, sgd"),
        ({"schedule": "linear"}, "`schedule` is 'linear'; choose one of constant"),
        ({"model": "vgg"}, "`model` is 'vgg'; choose one of canonical"),
        ({"backend": "gpu"}, "`backend` is 'gpu'; choose one of fast, reference"),
        ({"seed": -1}, "`seed` is -1; wants 0 or more"),
        ({"limit": 0}, "`limit` is 0; wants 1 or more"),
        ({"momentum": 3.0}, "`momentum` is 3.0; wants 0 or more and below 1"),
        ({"label_smoothing": 1.0}, "`label_smoothing` is 1.0; wants 0 or more and below 1"),
        ({"augment": 3.0}, "`augment` is 3.0; wants 0 or more and below 2.5"),
        ({"dropout": 1.0}, "`dropout` is 1.0; wants 0 or more and below 1"),
        ({"average": 1.0}, "`average` is 1.0; wants 0 or more and below 1"),
        ({"weight_decay": -1.0}, "`weight_decay` is -1.0; wants 0 or more"),
        ({"nesterov": True}, "`nesterov` goes with `optimizer='sgd'`; adamw has"),
        ({"patience": 3, "val": 0.0}, "`patience` waits for a better validation accuracy"),
        ({"patience": 3, "keep": "last"}, "but `keep='last'` keeps the last epoch"),
        ({"test": False, "val": 0}, "`test=False` judges by validation images, but none are held out; add `val`"),
        ({"epochs": True}, "`epochs` is True; wants int"),
        ({"fuse": "yes"}, "^`fuse` is 'yes'; wants True or False"),
        ({"nesterov": 1}, "^`nesterov` is 1; wants True or False"),
        ({"optimizer": "adam", "weight_decay": 0.1}, "`weight_decay` goes with sgd or adamw"),
    ],
)
def test_a_wrong_setting_is_named(settings, text):
    with pytest.raises(ConfigError, match=text):
        TrainConfig(**settings)


def parse(*argv):
    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    return config_from_arguments(parser.parse_args(argv))


def test_the_command_line_is_made_from_the_fields():
    default = PRESETS["default"]
    assert parse() == TrainConfig(**default)
    config = parse("--epochs", "3", "--lr", "0.1", "--optimizer", "sgd", "--nesterov", "--val", "0.2", "--limit", "50")
    given = {"epochs": 3, "lr": 0.1, "optimizer": "sgd", "nesterov": True, "val": 0.2, "limit": 50}
    assert config == TrainConfig(**default | given)


def test_the_help_tells_the_default_presets_values():
    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    reported = " ".join(parser.format_help().split())
    assert f"passes over the training images (default: {PRESETS['default']['epochs']})" in reported
    assert "images per step (default: 128)" in reported


def test_a_preset_gives_way_to_options_and_what_is_on_can_be_switched_off():
    assert parse("--preset", "fast") == TrainConfig(**PRESETS["fast"])
    assert parse("--preset", "fast", "--epochs", "7") == TrainConfig(**PRESETS["fast"] | {"epochs": 7})
    assert parse("--preset", "fast", "--val", "0.1").val == 0.1
    assert parse("--no-fuse").fuse is False
    for preset in PRESETS:
        assert parse("--preset", preset).to_json()


def test_the_settings_other_than_the_defaults_are_listed_as_options():
    assert changed_settings(parse()) == changed_settings(parse("--epochs", "30")) == []
    assert changed_settings(parse("--preset", "fast")) == ["--epochs 3", "--lr 0.012", "--augment 0.0", "--val 0"]
    assert changed_settings(parse("--no-fuse", "--outliers", "--limit", "9")) == [
        "--outliers",
        "--limit 9",
        "--no-fuse",
    ]


def test_the_error_of_patience_names_what_holds_nothing_out():
    with pytest.raises(ConfigError, match=r"--preset fast holds nothing out for validation; add --val, such as"):
        parse("--preset", "fast", "--patience", "3")
    with pytest.raises(ConfigError, match="it can't go with `val=0`"):
        parse("--preset", "fast", "--patience", "3", "--val", "0")
    assert parse("--preset", "fast", "--patience", "3", "--val", "0.1").patience == 3


@pytest.mark.parametrize("preset", ["everyone"])
def test_the_error_of_patience_names_what_keeps_the_last_epoch(preset):
    with pytest.raises(ConfigError, match=r"leave out --patience, or add --keep best$"):
        parse("--preset", preset, "--patience", "3")
    assert parse("--preset", preset, "--patience", "3", "--keep", "best").patience == 3


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("`batch_size` is 0; wants 1 or more", "--batch-size is 0; wants 1 or more"),
        ("`nesterov` goes with `optimizer='sgd'`", "--nesterov goes with --optimizer sgd"),
        ("`test=False` wants `val=0.1`", "--no-test wants --val 0.1"),
        ("`dataset='it's mine'` is no folder", "--dataset it's mine is no folder"),
        ("`data_dir` and `resume='runs/a-1'`", "--data-dir and --resume runs/a-1"),
        ("a file named a`b", "a file named a`b"),
    ],
)
def test_the_command_line_words_settings_as_options(message, text):
    assert in_options(message) == text


def test_help_says_what_the_option_does_not_what_the_field_is():
    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    (action,) = (action for action in parser._actions if action.dest == "fuse")
    assert action.option_strings == ["--no-fuse"] and action.help.startswith("run every layer by itself")
    (field,) = (field for field in dataclasses.fields(TrainConfig) if field.name == "fuse")
    assert field.default is True and field.metadata["help"].startswith("run convolution, ReLU and pool as one kernel")


def test_it_survives_json():
    config = TrainConfig(epochs=3, lr=0.1)
    assert TrainConfig(**json.loads(json.dumps(config.to_json()))) == config
    assert set(config.to_json()) == {field.name for field in dataclasses.fields(TrainConfig)}


def test_the_optimisers_own_rate_and_decay_hold_where_none_is_given():
    assert TrainConfig(optimizer="sgd").peak_lr == 0.05
    assert TrainConfig(optimizer="sgd", lr=0.2, weight_decay=0.3).decay_rate == 0.3
    assert TrainConfig(optimizer="adam").decay_rate == 0


@pytest.mark.parametrize(("name", "value"), [("disturb", 1.1), ("pen", 1.005)])
def test_strengths_that_no_augmentation_takes_are_named(name, value):
    with pytest.raises(ConfigError, match=f"`{name}` is {value}; wants 1 or less"):
        TrainConfig(**{name: value})
    assert TrainConfig(**{name: 1}).augmentation is not None
