import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speaq.config import Config, load_config
from speaq.config.schema import key_defaults, section_names
from speaq.errors import SpeaqError


def write(folder: Path, text: str, name: str = "run.yaml") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def message(*arguments) -> str:
    with pytest.raises(SpeaqError) as caught:
        load_config(*arguments)
    return str(caught.value)


def test_load_config_without_arguments_gives_the_defaults():
    assert load_config() == Config()


def test_load_config_reads_the_notations_of_older_files(tmp_path):
    text = """\
\ufeffDATASETS:
  TYPE: "synthetic_genome"
  TRAIN: ('SYNTHETIC_train',)
  TEST: synthetic_val
  VISUAL_GENOME:
    TRAIN_MASKS: ""
    IMAGES: 'my data/VG 100K'
    TRAIN_MASKS: ""
INPUT:
  MIN_SIZE_TRAIN: (480, 512)
  RANDOM_FLIP: None
  CROP: {ENABLED: yes, TYPE: "absolute_range", SIZE: [384, 600]}
SOLVER:
  BASE_LR: 1e-4
  STEPS: (96000,)
  MAX_ITER: 1e5
  OPTIMIZER: adamw
  WEIGHT_DECAY_BIAS: null
SOLVER.GAMMA: .5
MODEL:
  WEIGHTS: 007
  RESNETS:
    DEPTH: 101
    OUT_FEATURES: ["res2", "res5"]
  RPN:
TEST:
WANDB:
  ENTITY: null
"""
    config = load_config(write(tmp_path, text))
    assert config.datasets.type == "SYNTHETIC GENOME"
    assert (config.datasets.train, config.datasets.test) == (("SYNTHETIC_train",), ("SYNTHETIC_val",))
    assert config.datasets.visual_genome.images == "my data/VG 100K"
    assert config.input.min_size_train == (480, 512)
    assert config.input.random_flip == "none"
    assert (config.input.crop.enabled, config.input.crop.size) == (True, (384.0, 600.0))
    solver = config.solver
    assert (solver.base_lr, solver.steps, solver.max_iter) == (1e-4, (96000,), 100_000)
    assert (solver.optimizer, solver.gamma) == ("ADAMW", 0.5)
    assert (config.model.resnets.depth, config.model.resnets.out_features) == (101, ("res2", "res5"))
    assert (config.model.weights, config.wandb.entity) == ("007", "")
    assert config.without_effect == ()


def test_empty_file_gives_the_defaults(tmp_path):
    assert load_config(write(tmp_path, "# nothing\n")) == Config()


def test_overrides_of_every_kind():
    config = load_config(
        None,
        [
            *("MODEL.DETR.ONE2MANY_PREDICATE_WEIGHT", "-0.5"),
            *("SOLVER.BASE_LR", "1e-4"),
            *("SOLVER.AMP.ENABLED", "true"),
            *("MODEL.DETR.MATCH_INDEPENDENT", "True"),
            *("OUTPUT_DIR", "my outputs/run 1"),
            *("MODEL.WEIGHTS", "'quoted name.pth'"),
            *("DATASETS.TRAIN", "('VG_train',)"),
            *("DATASETS.TEST", "VG_test"),
            *("SOLVER.STEPS", "[10, 20]"),
            *("INPUT.MIN_SIZE_TRAIN", "800"),
            *("WANDB.EXP_NAME", "1e-4"),
            *("SEED", "-1"),
            *("SEED", "7"),
            *("SOLVER.GAMMA", 0.5),
        ],
    )
    assert config.model.detr.one2many_predicate_weight == -0.5
    assert (config.solver.base_lr, config.solver.amp.enabled, config.solver.gamma) == (1e-4, True, 0.5)
    assert (config.output_dir, config.model.weights) == ("my outputs/run 1", "quoted name.pth")
    assert (config.datasets.train, config.datasets.test) == (("VG_train",), ("VG_test",))
    assert (config.solver.steps, config.input.min_size_train) == ((10, 20), (800,))
    assert (config.wandb.exp_name, config.seed) == ("1e-4", 7)


def test_overrides_win_over_the_file_and_the_file_over_its_base(tmp_path):
    write(tmp_path, "SOLVER: {MAX_ITER: 1, GAMMA: 0.2, STEPS: [1, 2, 3]}\nSEED: 3", "base.yaml")
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub", "_BASE_: ../base.yaml\nSOLVER: {MAX_ITER: 2, STEPS: [7]}", "middle.yaml")
    file = write(tmp_path, "_BASE_: sub/middle.yaml\nSOLVER: {MAX_ITER: 3}")
    solver = load_config(file, ["SOLVER.MAX_ITER", "4"]).solver
    assert (solver.max_iter, solver.steps, solver.gamma, load_config(str(file)).seed) == (4, (7,), 0.2, 3)


def test_circular_bases_are_refused(tmp_path):
    write(tmp_path, "_BASE_: b.yaml", "a.yaml")
    write(tmp_path, "_BASE_: ./a.yaml", "b.yaml")
    text = message(tmp_path / "a.yaml")
    assert "include each other" in text
    assert text.count("a.yaml") == 3
    assert "b.yaml" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("_BASE_: gone.yaml", "gone.yaml: no such configuration file; it is the _BASE_ of"),
        ("_BASE_: [a.yaml]", "line 1: _BASE_ expected the path of one file"),
        ('_BASE_: "a\\0b"', "not a readable text file"),
        ("A: [1\nB: 2", "line 2: not valid YAML"),
        ("- a\n- b", "expected a mapping of keys such as `MODEL:`, found a sequence"),
        ("? [a]\n: b", "line 1: expected a key, found a sequence"),
        ("[" * 5000, "nested too deeply"),
        ("SOLVER:\n  STEPS: [[[[[[1]]]]]]", "line 2: lists nested more than 4 deep"),
        ("SOLVER:\n  STEPS: &a [*a]", "line 2: lists nested more than 4 deep"),
    ],
)
def test_invalid_files_are_refused_with_their_line(tmp_path, text, expected):
    assert expected in message(write(tmp_path, text))


def test_unreadable_files_are_refused(tmp_path):
    assert message(tmp_path / "gone.yaml") == f"{tmp_path}/gone.yaml: no such configuration file"
    assert "cannot be read" in message(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"WANDB: {GROUP: \xe9}")
    assert "not a readable text file" in message(tmp_path / "latin.yaml")


def test_overrides_may_have_an_equals_sign():
    config = load_config(None, ["SOLVER.BASE_LR=1e-3", "SEED", "5", "OUTPUT_DIR=a=b", "MODEL.WEIGHTS="])
    assert (config.solver.base_lr, config.seed, config.output_dir) == (1e-3, 5, "a=b")
    assert config.model.weights == ""
    assert message(None, ["SOLVER.BASE_LRR=1"]).startswith("SOLVER.BASE_LRR (command line, item 1)")


def test_paths_are_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))  # Windows
    monkeypatch.setenv("DATA", "/data/vg")
    (tmp_path / "base.yaml").write_text("SEED: 7\nOUTPUT_DIR: ~/out\n")
    (tmp_path / "config.yaml").write_text("_BASE_: ~/base.yaml\n")
    genome = "DATASETS.VISUAL_GENOME"
    config = load_config(
        tmp_path / "config.yaml",
        [
            "MODEL.WEIGHTS",
            "~/w.pth",
            f"{genome}.IMAGES",
            "$DATA/VG_100K",
            f"{genome}.IMAGE_DATA",
            "${DATA}/i.json",
        ],
    )
    assert (config.seed, config.output_dir) == (7, f"{tmp_path}/out")
    assert config.model.weights == f"{tmp_path}/w.pth"
    assert config.datasets.visual_genome.images == "/data/vg/VG_100K"
    assert config.datasets.visual_genome.image_data == "/data/vg/i.json"


@pytest.mark.parametrize("text", ["['a', '~/b']", "(a, ~/b)", ["a", "~/b"]])
def test_images_may_be_several_folders(monkeypatch, tmp_path, text):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))  # Windows
    config = load_config(None, ["DATASETS.VISUAL_GENOME.IMAGES", text])
    assert config.datasets.visual_genome.images == ("a", f"{tmp_path}/b")
    config.save(tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml").datasets.visual_genome.images == ("a", f"{tmp_path}/b")


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("SOLVER.IMS_PER_BACTH", "SOLVER.IMS_PER_BATCH"),
        ("BASE_LR", "SOLVER.BASE_LR"),
        ("solver.gamma", "SOLVER.GAMMA"),
        ("MODEL.NUM_GROUPS", "MODEL.DETR.NUM_GROUPS"),
        ("MODEL.DTER.HIDDEN_DIM", "MODEL.DETR.HIDDEN_DIM"),
        ("DATASETS.VISUALGENOME.IMAGES", "DATASETS.VISUAL_GENOME.IMAGES"),
        ("SOLVR", "SOLVER"),
    ],
)
def test_unknown_key_suggests_the_nearest(key, nearest):
    assert message(None, [key, "3"]) == (
        f"{key} (command line, item 1): no such key; did you mean {nearest}?"
    )


def test_unknown_key_without_a_similar_one():
    assert message(None, ["qqqq", "3"]) == "qqqq (command line, item 1): no such key"
    assert message(None, ["", "3"]) == "'' (command line, item 1): no such key"


def test_error_lists_all_mistakes_with_their_lines(tmp_path):
    write(tmp_path, "SOLVER:\n  BASE_LR: fast\n  GAMMA: 0", "base.yaml")
    file = write(
        tmp_path,
        """\
_BASE_: base.yaml
SOLVER:
  IMS_PER_BACTH: 20
  IMS_PER_BATCH: -4
  GAMMA: 0.1
  STEPS: (30, x)
  AMP: True
MODEL:
  DETR:
    DROPOUT: 1.5
    ONE2MANY_SCHEME: automatic
  RPN:
    CONV_DIMS: wide
    IN_FEATURES: {A: 1}
SOLVR: {A: 2}
""",
    )
    at = f"{file}, line"
    assert set(message(file, ["TEST.PNMS", "7"]).splitlines()) == {
        "The configuration has 11 mistakes:",
        f"  SOLVER.IMS_PER_BACTH ({at} 3): no such key; did you mean SOLVER.IMS_PER_BATCH?",
        f"  SOLVER.IMS_PER_BATCH ({at} 4): expected at least 1, found -4",
        f"  SOLVER.BASE_LR ({tmp_path}/base.yaml, line 2): expected a number, found fast",
        f"  SOLVER.STEPS ({at} 6): expected a whole number, found (30, x)",
        f"  SOLVER.AMP ({at} 7): expected keys below it, such as SOLVER.AMP.ENABLED, found True",
        f"  MODEL.DETR.DROPOUT ({at} 10): expected at most 1, found 1.5",
        f"  MODEL.DETR.ONE2MANY_SCHEME ({at} 11): expected 'static' or 'dynamic', found automatic",
        f"  MODEL.RPN.CONV_DIMS ({at} 13): expected a number, found wide",
        f"  MODEL.RPN.IN_FEATURES ({at} 14): expected a list, found a mapping",
        f"  SOLVR ({at} 15): no such key; did you mean SOLVER?",
        "  TEST.PNMS (command line, item 1): expected True or False, found 7",
    }


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("MODEL.DETR.PRE_NORM", "True", "expected False"),
        ("MODEL.DETR.POSITION_EMBEDDING", "Learned", "expected 'PositionEmbeddingSine'"),
        ("DATASETS.VISUAL_GENOME.BOX_SCALE", "2048", "expected 512 or 1024"),
        ("DATASETS.VISUAL_GENOME.MAX_NUM_OBJECTS", "-2", "expected at least -1"),
        ("DATASETS.MULTI_DATASET.REAL_SAMPLING_RATIO", "-0.1", "expected at least 0"),
        ("DATASETS.TRAIN", "VG_validation", "expected 'VG_train', 'VG_val'"),
        ("SOLVER.CLIP_GRADIENTS.CLIP_TYPE", "norms", "expected 'full_model', 'norm' or 'value'"),
        ("SOLVER.MAX_ITER", "1.5", "expected a whole number"),
        ("SEED", "4294967296", "expected a number below 4294967296"),
        ("MODEL.PIXEL_STD", "(1, 2)", "expected 3 or more values"),
        ("MODEL.PIXEL_MEAN", "(1, 2, 3, 4)", "expected 3 or fewer values"),
        ("MODEL.RESNETS.OUT_FEATURES", "res6", "expected 'res2', 'res3'"),
        ("MODEL.RESNETS.DEPTH", "51", "expected 18, 34, 50, 101 or 152"),
        ("MODEL.BACKBONE.FREEZE_AT", "6", "expected at most 5"),
        ("MODEL.DEVICE", "gpu", "expected text of the form ^(cpu|cuda"),
        ("OUTPUT_DIR", "", "expected some text"),
        ("TEST.RELATION.IOU_THRESHOLD", "nan", "expected a number"),
        ("INPUT.FORMAT", "L", "expected 'RGB' or 'BGR'"),
        ("MODEL.MASK_ON", "2", "expected True or False"),
    ],
)
def test_invalid_value_is_refused_with_the_expectation(key, value, expected):
    text = message(None, [key, value])
    assert text.startswith(f"{key} (command line, item 1): {expected}")
    assert text.endswith(f"found {value or repr(value)}")


CONFLICTS = [
    ("MODEL.DETR.ONE2MANY_SCHEME dynamic", "MODEL.DETR.MATCH_INDEPENDENT"),
    ("MODEL.DETR.HIDDEN_DIM 100", "MODEL.DETR.NHEADS"),
    ("MODEL.DETR.HIDDEN_DIM 90 MODEL.DETR.NHEADS 9", "MODEL.DETR.POSITION_EMBEDDING"),
    ("MODEL.DETR.NUM_OBJECT_QUERIES 300", "MODEL.DETR.NUM_RELATION_QUERIES"),
    ("MODEL.DETR.NUM_GROUPS 101 MODEL.DETR.USE_GROUP_MASK True", "MODEL.DETR.NUM_OBJECT_QUERIES"),
    ("INPUT.MIN_SIZE_TRAIN_SAMPLING range", "INPUT.MIN_SIZE_TRAIN"),
    ("INPUT.MIN_SIZE_TRAIN_SAMPLING range INPUT.MIN_SIZE_TRAIN 800,480", "INPUT.MIN_SIZE_TRAIN_SAMPLING"),
    ("INPUT.CROP.ENABLED True INPUT.CROP.TYPE absolute", "INPUT.CROP.SIZE"),
    ("INPUT.CROP.ENABLED True INPUT.CROP.SIZE 384,600", "INPUT.CROP.TYPE"),
    ("INPUT.CROP.ENABLED True INPUT.CROP.TYPE absolute_range INPUT.CROP.SIZE 9,8", "INPUT.CROP.SIZE"),
    ("SOLVER.ACCUMULATE 3", "SOLVER.IMS_PER_BATCH"),
    ("SOLVER.STEPS (3,1)", "SOLVER.STEPS"),
    ("SOLVER.LR_SCHEDULER_NAME WarmupCosineLR SOLVER.BASE_LR_END 1", "SOLVER.BASE_LR"),
    ("SOLVER.OPTIMIZER SGD SOLVER.NESTEROV True SOLVER.MOMENTUM 0", "SOLVER.MOMENTUM"),
]


@pytest.mark.parametrize(("overrides", "other"), CONFLICTS)
def test_conflicting_keys_are_refused(overrides, other):
    items = overrides.split()
    text = message(None, items)
    assert items[0] in text or items[-2] in text
    assert other in text
    assert text.count("\n") == 0


def test_conflict_names_where_each_key_was_set(tmp_path):
    file = write(tmp_path, "MODEL:\n  DETR:\n    ONE2MANY_SCHEME: dynamic\n    HIDDEN_DIM: 90\n")
    title, heads, code, scheme = message(file, ["MODEL.DETR.NHEADS", "4"]).splitlines()
    assert title == "The configuration has 3 mistakes:"
    dim = f"  MODEL.DETR.HIDDEN_DIM 90 ({file}, line 4)"
    assert heads.startswith(f"{dim} and MODEL.DETR.NHEADS 4 (command line, item 1): all attention heads")
    sine = "MODEL.DETR.POSITION_EMBEDDING PositionEmbeddingSine (the default)"
    assert code.startswith(f"{dim} and {sine}: the encoding")
    assert scheme == (
        f"  MODEL.DETR.ONE2MANY_SCHEME dynamic ({file}, line 3) and MODEL.DETR.MATCH_INDEPENDENT False "
        "(the default): dynamic assignment differs between decoder layers: set MATCH_INDEPENDENT True"
    )


def test_unusual_values_are_allowed():
    load_config(None, ["SOLVER.MAX_ITER", "10"])  # STEPS beyond the end, a warm-up that never ends
    load_config(None, ["DATASETS.MULTI_DATASET.REAL_SAMPLING_RATIO", "7"])
    load_config(None, ["DATASETS.MULTI_DATASET.SYNTHETIC_LOSS_WEIGHT", "0"])
    load_config(None, ["INPUT.CROP.TYPE", "absolute"])  # not enabled


def test_synonym_of_the_synthetic_annotations(tmp_path):
    section = "DATASETS.SYNTHETIC_GENOME"
    for name in ("SYNTHETIC_ATTRIBUTE_H5", "VG_ATTRIBUTE_H5"):
        config = load_config(None, [f"{section}.{name}", "a.h5"])
        assert config.datasets.synthetic_genome.vg_attribute_h5 == "a.h5"
    both = [f"{section}.SYNTHETIC_ATTRIBUTE_H5", "a.h5", f"{section}.VG_ATTRIBUTE_H5"]
    assert load_config(None, [*both, "a.h5"]).datasets.synthetic_genome.vg_attribute_h5 == "a.h5"
    assert message(None, [*both, "b.h5"]) == (
        f"{section}.SYNTHETIC_ATTRIBUTE_H5 a.h5 (command line, item 1) and {section}.VG_ATTRIBUTE_H5 b.h5 "
        "(command line, item 3): the same key with two values; keep one of them"
    )
    file = write(tmp_path, "DATASETS: {SYNTHETIC_GENOME: {SYNTHETIC_ATTRIBUTE_H5: a.h5}}")
    config = load_config(file, [f"{section}.VG_ATTRIBUTE_H5", "b.h5"])  # an override, not a contradiction
    assert config.datasets.synthetic_genome.vg_attribute_h5 == "b.h5"


def test_key_with_two_values_in_a_file_is_refused(tmp_path):
    text = message(write(tmp_path, "SEED: 1\nSEED: 2\n"))
    assert "line 1) and SEED 2" in text
    assert "the same key with two values" in text


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (["SEED"], "command line, item 1: 'SEED' has no value"),
        (["OUTPUT_DIR", "my", "dir", "SEED", "3"], "command line, item 3: 'dir' is not a key"),
        (["SEED", "3", "SOLVER.GAMMA"], "command line, item 3: 'SOLVER.GAMMA' has no value"),
        (["SEED", "3", "x"], "command line, item 3: 'x' is not a key"),
    ],
)
def test_overrides_that_are_not_pairs_are_refused(items, expected):
    assert message(None, items).startswith(f"{expected}; expected pairs KEY VALUE, found {len(items)} items")


def test_config_built_in_python_checks_conflicts():
    with pytest.raises(ValueError, match=r"MODEL\.DETR\.HIDDEN_DIM and MODEL\.DETR\.NHEADS: all attention"):
        Config.model_validate({"model": {"detr": {"hidden_dim": 12}}})


NASTY = [
    *("", "None", "~", "-1", "1e400", "-0.5", "nan", "True", "[", "(((", "('a',)", "{a: b}", "&a [*a]", "*x"),
    *("!!python/object:os.system x", "'", '"', "\0", "\ud800", "\x85", "9" * 5000, "[[1], {a: 1}]", "- a"),
    *(
        "%YAML",
        "@",
        "0x1F",
        "(1j,)",
        "({1},)",
        "[b'a']",
        "<<: *a",
        "\t",
        "---",
        "VG_train",
        "1",
        "0.5",
        "? x",
    ),
]
names = st.sampled_from([*sorted(key_defaults()), *sorted(section_names()), "_BASE_", *NASTY])
values = st.sampled_from(NASTY) | st.text(max_size=8)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(names, values), max_size=2), st.lists(st.tuples(names, values), max_size=1))
def test_fuzzed_settings_load_and_save_or_raise(lines, pairs):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.yaml"
        file.write_bytes(
            "\n".join(f"{key}: {value}" for key, value in lines).encode("utf-8", "surrogatepass")
        )
        try:
            config = load_config(file, [item for pair in pairs for item in pair])
        except SpeaqError as error:
            assert str(error)
            return
        config.save(file)
        assert load_config(file) == config


@settings(max_examples=50, deadline=None)
@given(st.text(), st.text())
def test_fuzzed_text_survives_saving(weights, group):
    try:
        config = load_config(None, ["MODEL.WEIGHTS", weights, "WANDB.GROUP", group])
    except SpeaqError as error:
        assert "expected text" in str(error)
        return
    with tempfile.TemporaryDirectory() as folder:
        config.save(Path(folder) / "run.yaml")
        assert load_config(Path(folder) / "run.yaml") == config


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=40))
def test_fuzzed_bytes_load_or_raise(content):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.yaml"
        file.write_bytes(content)
        try:
            load_config(file)
        except SpeaqError as error:
            assert str(file) in str(error)
