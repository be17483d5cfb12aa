"""The programs that `compare` runs: how to install or build them, and how to read their output."""

import gzip
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


@dataclass(frozen=True)
class Model:
    what: str
    batch: int
    # The same for every Python peer, where they share initial weights and batches.
    first_losses: tuple = ()


@dataclass(frozen=True)
class Peer:
    label: str
    device: str = ""  # of a Rust peer
    script: str = ""  # of a Python peer
    packages: tuple = ()
    environment: tuple = ()
    models: tuple = ("tutorial", "larger")

    @property
    def repetitions(self):
        """Python peers repeat the steps and report the median; for Rust peers the last epoch counts."""
        return 3 if self.script else 1


MODELS = {
    "tutorial": Model("the tutorial's network, MSE, batch 32", 32, (0.329609, 0.304844, 0.278125)),
    "larger": Model("two wide convolutions, cross-entropy, batch 64", 64, (2.746789, 3.569275, 3.107888)),
    "lenet5": Model("LeNet-5, cross-entropy, batch 64", 64),
    "resnet8": Model("ResNet-8, cross-entropy, batch 64", 64),
    "resnet20": Model("ResNet-20, cross-entropy, batch 64", 64),
}
ALL = tuple(MODELS)
DAWN = ("tinygrad", "dawn-python", "numpy")
PEERS = {
    "torch": Peer("PyTorch {version}, eager", "", "peer_torch.py", ("torch", "numpy"), (), ALL),
    "jax": Peer("JAX {version}, jit", "", "peer_jax.py", ("jax", "numpy")),
    "tinygrad-webgpu": Peer("tinygrad {version}, Dawn", "", "peer_tinygrad.py", DAWN, (("DEV", "WEBGPU"),)),
    "tinygrad-cpu": Peer(
        "tinygrad {version}, clang", "", "peer_tinygrad.py", ("tinygrad", "numpy"), (("DEV", "CPU"),)
    ),
    "burn-wgpu": Peer("Burn 0.22.1, wgpu", "wgpu", models=ALL),
    "burn-flex": Peer("Burn 0.22.1, flex", "flex", models=ALL),
    "candle": Peer("candle 0.11.1", "cpu"),
}


class Failure(Exception):
    """A one-line reason why a program is unavailable or failed."""


def call(what, command, **more):
    """Installs or builds; the command's output goes to the terminal."""
    print(f"{what}: {' '.join(map(str, command))}", file=sys.stderr, flush=True)
    try:
        status = subprocess.run(command, stdout=sys.stderr, check=False, **more).returncode
    except OSError as error:
        raise Failure(error) from error
    if status:
        raise Failure(f"`{Path(command[0]).name} …` failed with exit status {status}, see above")


def run(command, environment, timeout):
    """The program's output lines, and the seconds from its start to the end of its first step."""
    lines, first_step, start = [], None, time.monotonic()
    try:
        process = subprocess.Popen(
            command, env=environment, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    except OSError as error:
        raise Failure(error) from error
    timer = threading.Timer(timeout, process.kill)
    timer.start()
    try:
        for line in filter(None, map(str.strip, process.stdout)):
            lines.append(line)
            if first_step is None and re.search(r"\bstep 0\b", line):
                first_step = round(time.monotonic() - start, 3)
        status = process.wait()
    finally:
        timer.cancel()
        process.kill()
    if status and time.monotonic() - start >= timeout:
        raise Failure(f"no end after {timeout:g} s")
    if status:
        raise Failure(f"exit status {status}: {lines[-1][:200] if lines else 'it said nothing'}")
    return lines, first_step


def result(lines):
    for line in lines:
        if line.startswith("RESULT "):
            return json.loads(line.removeprefix("RESULT "))
    raise Failure("it printed no RESULT")


class Programs:
    """Prepares what the options ask for: data, environment, commands."""

    def __init__(self, options):
        self.options = options
        self.environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        self.environment.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())  # else Mesa prints warnings
        if options.driver:
            for name in ("VK_DRIVER_FILES", "VK_ICD_FILENAMES"):  # new loaders, old loaders
                self.environment[name] = str(options.driver)
        self.environment["MNIST_DIR"] = str(self.unpack())
        self.wgrad = self.build_wgrad()
        self.commands = {}

    def unpack(self):
        folder = self.options.cache / "mnist"
        folder.mkdir(parents=True, exist_ok=True)
        for packed in (ROOT / "data" / "mnist").glob("*.gz"):
            if not (folder / packed.stem).exists():
                part = folder / f"{packed.stem}.part"
                part.write_bytes(gzip.decompress(packed.read_bytes()))
                part.rename(folder / packed.stem)
        return folder

    def build_wgrad(self):
        if "wgrad" in self.options.binaries:
            return self.options.binaries["wgrad"]
        call("wgrad", ["cargo", "build", "--release", "--example", "peer"], cwd=ROOT)
        target = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
        return target / "release" / "examples" / "peer"

    def prepare(self, name):
        """Installs or builds a peer if necessary, and sets its command."""
        self.commands[name] = self.python(name) if PEERS[name].script else self.rust(name)

    def python(self, name):
        peer, venv = PEERS[name], self.options.venv or self.options.cache / "venv"
        python = venv / "bin" / "python"
        if not python.exists():
            call(name, [sys.executable, "-m", "venv", venv])
        find = "import importlib.metadata as m, sys; [m.version(name) for name in sys.argv[1:]]"
        found = subprocess.run([python, "-c", find, *peer.packages], capture_output=True, check=False)
        if found.returncode:
            call(name, [python, "-m", "pip", "install", "--quiet", *peer.packages])
        return [python, HERE / "python" / peer.script]

    def rust(self, name):
        program = self.options.binaries.get(name)
        if program is None:
            sources, target = self.options.cache / "rust", self.options.cache / "target"
            shutil.copytree(HERE / "rust", sources, dirs_exist_ok=True)  # keeps its lock file
            manifest = ["--manifest-path", sources / name / "Cargo.toml"]
            call(name, ["cargo", "build", "--release", *manifest, "--target-dir", target])
            program = target / "release" / f"peer-{name}"
        return [program, "--device", PEERS[name].device, "--no-eval", "--steps-log", "1"]

    def run_wgrad(self, device, model, steps):
        command = [self.wgrad, "--model", model, "--steps", str(steps)]
        command += ["--data", ROOT / "data" / "mnist", "--device", device]
        if device == "gpu" and self.options.adapter:
            command += ["--adapter", self.options.adapter]
        try:
            said = result(run(command, self.environment, self.options.timeout)[0])
        except Failure as failure:
            raise Failure(f"wgrad: {failure}") from failure
        return {"device": said["adapter"] if device == "gpu" else "CPU", "steps": steps, **said}

    def run_peer(self, name, model, steps):
        if model not in PEERS[name].models:
            raise Failure("it is not written for that network")
        measure = self.run_python if PEERS[name].script else self.run_rust
        said, first_step = measure(name, model, steps)
        return {**said, "first_step_s": first_step, "steps": steps}

    def run_rust(self, name, model, steps):
        # Two passes over the images, which are on the device beforehand; the second counts.
        images = min(steps * MODELS[model].batch, 60000)
        command = [*self.commands[name], "--model", model, "--n", str(images), "--epochs", "2"]
        lines, first_step = run(command, self.environment, self.options.timeout)
        rates = re.findall(r"img_per_s=([\d.]+)", "\n".join(lines))
        if not rates:
            raise Failure("it printed no images per second")
        device = "its best adapter" if name == "burn-wgpu" else "CPU"
        return {"ips_median": float(rates[-1]), "device": device}, first_step

    def run_python(self, name, model, steps):
        environment = {**self.environment, **dict(PEERS[name].environment)}
        for variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):  # they slow NumPy and PyTorch down
            environment.pop(variable, None)
        command = [*self.commands[name], "--model", model, "--steps", str(steps)]
        if name == "tinygrad-webgpu":
            environment.setdefault("WEBGPU_PATH", self.dawn(command[0]))
        lines, first_step = run(command, environment, self.options.timeout)
        said = result(lines)
        for got, right in zip(said["first_losses"], MODELS[model].first_losses):
            if abs(got - right) > 1e-3:
                raise Failure(f"it trains another network: first losses {said['first_losses']}")
        return said, first_step

    def dawn(self, python):
        """The path of the library in the package dawn-python."""
        where = "import sysconfig; print(sysconfig.get_path('purelib'))"
        site = subprocess.run([python, "-c", where], capture_output=True, text=True, check=True)
        end = "dylib" if platform.system() == "Darwin" else "so"
        library = f"pydawn/lib/libwebgpu_dawn_{platform.machine()}.{end}"
        return str(Path(site.stdout.strip()) / library)
