"""Who may import whom, and what stays unloaded: the plan of the house, checked on the source and on running
commands."""

import ast
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAVY = {"tensorflow", "keras", "tf_keras"}
EVERYBODYS = ("tfeff.errors", "tfeff.files", "tfeff.own_code")
# room -> rooms it may import (itself and `EVERYBODYS` always); None is everything
MAY_IMPORT = {
    "tfeff.errors": set(),
    "tfeff.files": set(),
    "tfeff.own_code": set(),
    "tfeff.record": set(),
    "tfeff.tflite": set(),
    "tfeff.artifact": {"tfeff.record", "tfeff.tflite"},
    "tfeff.tasks": {"tfeff.record"},
    "tfeff.edgetpu": {"tfeff.tflite"},
    "tfeff.runtime": {"tfeff.tflite", "tfeff.edgetpu"},
    "tfeff.tensor_names": set(),
    "tfeff.layers": set(),
    "tfeff.data": set(),
    "tfeff.weights": {"tfeff.layers"},
    "tfeff.cost": {"tfeff.tensor_names", "tfeff.layers"},
    "tfeff.networks": {"tfeff.record", "tfeff.tasks", "tfeff.layers", "tfeff.weights", "tfeff.cost"},
    "tfeff.presets": {"tfeff.record", "tfeff.tasks", "tfeff.data", "tfeff.weights", "tfeff.networks"},
    "tfeff.training": {
        "tfeff.record", "tfeff.tasks", "tfeff.data", "tfeff.weights", "tfeff.networks", "tfeff.presets",
    },
    "tfeff.compare": {
        "tfeff.record", "tfeff.tflite", "tfeff.artifact", "tfeff.tasks", "tfeff.edgetpu", "tfeff.runtime", "tfeff.data",
    },
    "tfeff.debug": {
        "tfeff.record", "tfeff.tflite", "tfeff.artifact", "tfeff.tasks", "tfeff.tensor_names", "tfeff.data",
        "tfeff.runtime", "tfeff.compare",
    },
    "tfeff.web": {"tfeff.record", "tfeff.artifact", "tfeff.tasks", "tfeff.data"},
    "tfeff.demo": {"tfeff.record", "tfeff.artifact", "tfeff.tasks", "tfeff.data", "tfeff.compare"},
    "tfeff.bench": {"tfeff.record", "tfeff.tflite", "tfeff.artifact", "tfeff.tasks", "tfeff.edgetpu", "tfeff.web"},
    "tfeff.report": {"tfeff.record", "tfeff.artifact", "tfeff.tasks"},
    "tfeff.calibration": {
        "tfeff.runtime", "tfeff.record", "tfeff.tflite", "tfeff.tasks", "tfeff.tensor_names", "tfeff.data",
    },
    "tfeff.export": {
        "tfeff.runtime", "tfeff.record", "tfeff.tflite", "tfeff.artifact", "tfeff.tasks", "tfeff.tensor_names",
        "tfeff.layers", "tfeff.data", "tfeff.cost", "tfeff.compare", "tfeff.debug", "tfeff.bench", "tfeff.calibration",
    },
    "tfeff.compress": {
        "tfeff.record", "tfeff.tflite", "tfeff.artifact", "tfeff.tasks", "tfeff.tensor_names", "tfeff.layers",
        "tfeff.data", "tfeff.cost", "tfeff.compare", "tfeff.debug", "tfeff.bench", "tfeff.calibration",
        "tfeff.export",
    },
    "tfeff.profile": {"tfeff.tflite", "tfeff.tensor_names"},
    "tfeff.cli": None,
}  # fmt: skip
LIGHT = (
    "tfeff.errors",
    "tfeff.files",
    "tfeff.own_code",
    "tfeff.record",
    "tfeff.tasks",
    "tfeff.tflite",
    "tfeff.artifact",
    "tfeff.edgetpu",
    "tfeff.runtime",
    "tfeff.data",
    "tfeff.compare",
    "tfeff.debug",
    "tfeff.demo",
    "tfeff.tensor_names",
    "tfeff.bench",
    "tfeff.web",
    "tfeff.report",
    "tfeff.presets",
    "tfeff.profile",
    "tfeff.calibration",
)


def modules():
    """(module name, path) of all our source."""
    for folder, package in (("tfeff", "tfeff"), ("export", "tfeff.export"), ("calibration", "tfeff.calibration")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            yield ".".join((package, *parts)), path


def room(module):
    return ".".join(module.split(".")[:2])


@cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path):
    names = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


SOURCES = list(modules())


def test_rooms_import_only_what_they_may():
    wrong = []
    for module, path in SOURCES:
        own = room(module)
        if own in ("tfeff", "tfeff.__main__") or MAY_IMPORT[own] is None:
            continue
        allowed = {own, *MAY_IMPORT[own], *EVERYBODYS, "tfeff.__version__"}
        theirs = [name for name in imports(path) if name.startswith("tfeff.") and room(name) not in allowed]
        wrong += [f"{module} imports {name}" for name in theirs]
    assert not wrong


def test_only_one_room_unpacks_and_packs_files():
    assert not [
        f"{module} imports {name}"
        for module, path in SOURCES
        if room(module) != "tfeff.tflite"
        for name in imports(path)
        if "schema_py_generated" in name or name.startswith("flatbuffers")
    ]


def test_rooms_have_no_circle():
    seen = {}

    def depth(name, path=()):
        assert name not in path, f"a circle: {' -> '.join((*path, name))}"
        if name not in seen:
            seen[name] = 1 + max((depth(other, (*path, name)) for other in MAY_IMPORT[name] or ()), default=0)
        return seen[name]

    for name in MAY_IMPORT:
        depth(name)


def test_light_rooms_never_name_tensorflow():
    found = {
        (module, name.split(".")[0])
        for module, path in SOURCES
        if module.startswith(LIGHT)
        for name in imports(path)
        if name.split(".")[0] in HEAVY
    }
    assert found == {("tfeff.data.fashion_mnist", "keras")}  # its own download, on explicit demand


def test_modules_have_no_circle():
    """Neither at the top of a file nor in a function: what imports when it is called depends too."""
    known = {module for module, _ in SOURCES}
    needs = {
        module: {name if name in known else name.rpartition(".")[0] for name in imports(path)} & known - {module}
        for module, path in SOURCES
    }
    done = set()

    def visit(module, path=()):
        assert module not in path, f"a circle: {' -> '.join((*path[path.index(module) :], module))}"
        if module not in done:
            for other in needs[module]:
                visit(other, (*path, module))
            done.add(module)

    for module in needs:
        visit(module)


COMMANDS = (
    ["--help"], ["--version"], ["list"], ["list", "--json"], ["export", "--help"], ["bench", "--help"],
    ["compare", "--help"], ["list", "--pretrained"], ["import-weights", "--help"],
    ["import-weights", "no.npz", "--network", "vargnet_v1_10_g8", "--out", "w.npz"],
    ["export", "pp_lcnet_050", "--weights", "no.npz"], ["export", "vargnet_v1_10_g8"],
    ["bench", "no.tflite"], ["profile", "no.tflite", "--on", "adb"], ["compare", "no.tflite"], ["check", "--help"],
    ["qat", "--help"], ["demo", "--help"], ["demo", "no.tflite", "--out", "a.apk"],
    ["qat", "no.tflite", "--epochs", "1"],
    ["check", "no.tflite", "--target", "edgetpu"], ["debug", "--help"], ["debug", "no.tflite"],
    ["report", "--help"], ["report", "no.json", "--format", "md"],
    ["prune", "--help"], ["prune", "vargnet", "--sparsity", "2", "--epochs", "1"], ["cluster", "--help"],
    ["serve", "--help"], ["serve", "no.tflite"],
)  # fmt: skip


def test_commands_that_load_no_tensorflow():
    """One after the other in one process: a command that loads it is the first behind which it is there."""
    code = (
        "import contextlib, io, json, sys\n"
        "from tfeff.cli import main\n"
        "for arguments in json.loads(sys.argv[1]):\n"
        "    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()): main(arguments)\n"
        f"    loaded = {HEAVY!r} & set(sys.modules)\n"
        "    assert not loaded, (arguments, loaded)\n"
        "print('all')\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, json.dumps(COMMANDS)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "all\n"


def test_help_imports_nothing_but_click_and_ours():
    code = (
        "import sys\n"
        "from tfeff.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'numpy', 'rich', 'scipy', 'PIL'} & set(sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "export" in ran.stdout


def test_only_tasks_know_which_task_it_is():
    tasks = {each.stem for each in (ROOT / "tfeff" / "tasks").glob("*.py")} - {"__init__", "base"}
    wrong = []
    for module, path in SOURCES:
        if room(module) == "tfeff.tasks":
            continue
        for node in (node for node in ast.walk(tree(path)) if isinstance(node, ast.Compare)):
            sides = [node.left, *node.comparators]
            told = {each.value for side in sides for each in ast.walk(side) if isinstance(each, ast.Constant)} & tasks
            if told and any("task" in ast.unparse(side).lower() for side in sides):
                wrong.append(f"{module}:{node.lineno}: {ast.unparse(node)}")
    assert not wrong


# Run by another Python, perhaps an old one, without tfeff.
ELSEWHERE = {"tfeff.bench.worker", "tfeff.bench.remote_agent"}


def public_functions(body, owner=None):
    """(owner's name or None, function) of what a module or class shows: no underscore in front, but for `__init__`."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body, node.name)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (
            not node.name.startswith("_") or node.name in ("__init__", "__call__")
        ):
            yield owner, node


def test_what_is_public_is_annotated():
    """mypy checks what the types say, but takes a function without any."""
    wrong = []
    for module, path in SOURCES:
        for owner, function in public_functions(tree(path).body) if module not in ELSEWHERE else ():
            given = function.args
            arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
            static = any(ast.unparse(each) == "staticmethod" for each in function.decorator_list)
            skipped = 1 if owner is not None and not static else 0  # self, cls
            bare = [each.arg for each in arguments[skipped:] if each is not None and each.annotation is None]
            if bare:
                wrong.append(f"{module}:{function.lineno}: {function.name} takes {', '.join(bare)} of any type")
            if function.returns is None and function.name != "__init__":
                wrong.append(f"{module}:{function.lineno}: {function.name} returns what?")
    assert not wrong


def test_source_files_stay_short():
    long = {str(path.relative_to(ROOT)): n for _, path in SOURCES if (n := len(path.read_text().splitlines())) > 400}
    assert long == {}


def test_network_families_fit_on_a_screen():
    families = [p for m, p in SOURCES if room(m) == "tfeff.networks" and "register_networks(" in p.read_text()]
    families = [path for path in families if path.stem not in ("registry", "__init__")]
    assert families
    for path in families:
        assert len(path.read_text().splitlines()) < 200, path.name
