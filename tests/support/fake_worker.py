"""A worker that speaks the protocol and does as a script says instead of measuring. Standard library only.

The script is a JSON file::

    {"log": "orders.jsonl", "fifo": "reached", "actions": {"gdws": "kill", "gdws@8": "ok"}}

An action is looked up by ``variant@batch``, then by ``variant``; without one the variant is measured. Each order
is appended to ``log``. An action that waits first writes a byte to ``fifo``, so that a test can wait for it without
sleeping; it ends when the agent closes the worker's input. With ``"stamp": true`` each cell says when it was measured,
so that one which was measured again differs. ``"medians_ms": {"gdws": 2.5}`` gives the windows of a variant that
median, and has it pass parity. With ``"law": true`` networks take the times of ``latency_law``, and are profiled.

Run it in an interpreter without site-packages: a start then takes 20 ms.
"""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile

_LATENCIES = ("min", "mean", "median", "max")


def main():
    script_path, _, descriptor = sys.argv[1:]
    with open(script_path) as file:
        script = json.load(file)
    order = json.loads(sys.stdin.readline())
    with open(script["log"], "a") as file:
        file.write(json.dumps(order) + "\n")
    Worker(script, order, int(descriptor)).run()


class Worker:
    def __init__(self, script, order, descriptor):
        self.script, self.order, self.descriptor = script, order, descriptor

    def run(self):
        """Fail what fails at the build, then measure the rest together, as a real worker does."""
        measured = []
        self.stage("load")
        for variant in self.order["variants"]:
            action = self.action(variant)
            self.stage("build", variant)
            if action in ("ok", "ok-then-die", "ok-then-linger"):
                measured.append(variant)
            else:
                getattr(self, action.replace("-", "_"))(variant)
        for variant in measured:
            self.stage("measure", variant, round=0, rounds=2)
        for variant in measured:
            self.send({"event": "cell", "cell": self.measured(variant)})
            if self.action(variant) == "ok-then-die":
                os.kill(os.getpid(), signal.SIGSEGV)
            if self.action(variant) == "ok-then-linger":
                self.wait()

    def action(self, variant):
        actions = self.script.get("actions", {})
        return actions.get(f"{variant}@{self.order['batch_size']}", actions.get(variant, "ok"))

    # Actions

    def fail(self, variant):
        problem = {"type": "urn:gdws:problem:build-failed", "title": "Build failed", "status": 500, "detail": "no"}
        self.send({"event": "cell", "cell": {"key": self.key(variant), "state": "failed", "error": problem}})

    def kill(self, variant):
        os.kill(os.getpid(), signal.SIGKILL)

    def abort(self, variant):
        sys.stderr.write("terminate called after throwing 'std::bad_alloc'\n")
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGABRT)

    def exit(self, variant):
        print("the driver said no")
        sys.exit(3)

    def short(self, variant):
        print("OSError: [Errno 28] No space left on device")
        sys.exit(4)

    def short_twice(self, variant):
        with open(self.script["log"]) as file:
            if len(file.readlines()) <= 2:
                self.short(variant)
        self.send({"event": "cell", "cell": self.measured(variant)})

    def exit_unnamed(self, variant):
        self.stage("build")
        sys.exit(3)

    def leave_early(self, variant):
        sys.exit(0)

    def garbage(self, variant):
        os.write(self.descriptor, b"Segmentation fault, not JSON\n")
        self.wait()

    def foreign(self, variant):
        self.send({"event": "cell", "cell": self.measured("somebody-else")})
        self.wait()

    def close_events(self, variant):
        os.close(self.descriptor)
        self.wait()

    def chatter(self, variant):
        for _ in range(20_000):
            print("INFO: " + "chatter " * 8)
        sys.exit(5)

    def hang(self, variant):
        self.wait()

    def hoard(self, variant):
        self.hoarded = bytearray(64 * 2**20)
        self.wait()

    def hang_deaf(self, variant):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.wait()

    def hang_with_child(self, variant):
        child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
        with open(self.script["child"], "w") as file:
            file.write(str(child.pid))
        self.wait()

    # Speaking

    def wait(self):
        """Say that the place is reached, then wait for the end of the agent."""
        # Open for both, so that opening does not wait for a test that may not care.
        os.write(os.open(self.script["fifo"], os.O_RDWR), b"!")
        sys.stdin.read()
        os._exit(9)

    def stage(self, stage, variant=None, **more):
        self.send({"event": "stage", "stage": stage, "variant": variant, **more})

    def send(self, event):
        os.write(self.descriptor, json.dumps(event).encode() + b"\n")

    def key(self, variant):
        names = ("backend", "precision", "batch_size", "power_mode")
        return {"variant": variant, **{name: self.order[name] for name in names}}

    def parity(self):
        right = {"value": 0.875, "successes": 14, "count": 16}
        same = {"value": 1.0, "successes": 16, "count": 16}
        differences = {"max_abs_diff": 1e-6, "max_rel_diff": 1e-7, "tolerance_rel": 1e-3}
        accuracies = {"natural": right, "natural_host": right, "robust": right, "robust_host": right}
        return {"passed": True, "count": 16, "agreement": same, **differences, **accuracies}

    def by_law(self, variant):
        """A cell whose times follow from the manifest of the bundle."""
        sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
        import latency_law

        with zipfile.ZipFile(self.order["bundle_path"]) as archive:
            manifest = json.loads(archive.read("manifest.json"))
        layers = {
            each["name"]: [layer for step in each["steps"] if step["kind"] == "gdws" for layer in step["layers"]]
            for each in manifest["variants"]
        }
        dense = {layer["name"]: layer["macs_before"] for found in layers.values() for layer in found}
        gdws = {
            name: {layer["name"]: (layer["layout"], layer["macs_after"]) for layer in found if layer["converted"]}
            for name, found in layers.items()
        }
        cell = {"key": self.key(variant), "state": "done", "jetson_clocks": self.order["jetson_clocks"]}
        if self.order["profile"] is not None:
            rows = latency_law.profile_rows(dense, gdws[variant])
            times = [{"name": name, "source": name, "mean_ms": ms, "share": 0.0} for name, ms in rows]
            total_ms = sum(ms for _, ms in rows)
            return {**cell, "profile": {"tool": "a law", "iterations": 50, "total_ms": total_ms, "layers": times}}
        times_ms = {name: latency_law.latency_ms(name, dense, gdws[name]) for name in (variant, "dense")}
        ms, ratio = times_ms[variant], times_ms["dense"] / times_ms[variant]
        cell["latency"] = {"scope": "a law", "count": 200, **{f"{name}_ms": ms for name in _LATENCIES}}
        if variant != "dense":
            interval = {"low": 0.99 * ratio, "high": 1.01 * ratio, "method": "a law"}
            cell["speedup"] = {"ratio": ratio, "rounds": 2, "baseline": "dense", "interval": interval}
        return cell

    def measured(self, variant):
        if self.script.get("law"):
            return self.by_law(variant)
        latency = {"scope": "fake", "count": 200, "min_ms": 1.0, "mean_ms": 2.0, "median_ms": 2.0, "max_ms": 3.0}
        cell = {"key": self.key(variant), "state": "done", "latency": latency, "fps": 500.0}
        median_ms = self.script.get("medians_ms", {}).get(variant)
        if median_ms is not None:
            cell["latency"]["median_ms"] = median_ms
            windows = range(2)
            cell["rounds"] = [{"index": i, "count": 9, "median_ms": median_ms, "duration_s": 0.1} for i in windows]
            cell["parity"] = self.parity()
        if self.script.get("stamp"):
            cell["environment"] = {"measured_ns": time.monotonic_ns()}
        cell["power_mode"], cell["jetson_clocks"] = self.order["power_mode_name"], self.order["jetson_clocks"]
        baseline = self.script.get("baseline", "dense")
        if variant != baseline and baseline in self.order["variants"]:
            cell["speedup"] = {"ratio": 2.0, "rounds": 2, "baseline": baseline}
        return cell


if __name__ == "__main__":
    main()
