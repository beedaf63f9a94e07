"""Runs a container of a manifest as a process on this machine: its command, arguments, environment and mounted files.

Only the parts that a container runtime provides are replaced: the mounted folders, the broker's address and ports.
"""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from testkit.processes import ManagedProcess

PROGRAMS = Path(sys.executable).parent  # stands for the image's PATH


class Workload(NamedTuple):
    """One container's process.

    Attributes:
        command: program and arguments, paths and addresses already replaced.
        environment: the container's environment, and nothing of ours but PATH.
        folder: where it starts.
        log: file that takes its output.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    log: Path

    def start(self) -> ManagedProcess:
        """Start it; leaving the context ends it."""
        variables = (f"{name}={value}" for name, value in self.environment.items())
        command = ["env", "--ignore-environment", f"--chdir={self.folder}", *variables, *self.command]
        return ManagedProcess(command, self.log, name=" ".join(self.command))

    def run(self, seconds: float) -> None:
        """Run it to its end, which must be exit code 0."""
        with self.start() as process:
            process.finish(seconds)


def from_pod(
    pod: Mapping[str, Any], config_maps: Mapping[str, Mapping[str, str]], folder: Path, replace: Mapping[str, str]
) -> Workload:
    """The process of a pod's only container.

    Args:
        pod: a pod spec.
        config_maps: name → file name → content.
        folder: where its volumes are put.
        replace: text → text, in arguments, environment and mounted files.
    """
    (container,) = pod["containers"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    paths = {mount["mountPath"]: folder / mount["name"] for mount in container["volumeMounts"]}
    for mount in container["volumeMounts"]:
        volume, path = volumes[mount["name"]], folder / mount["name"]
        path.mkdir(parents=True, exist_ok=True)
        assert "configMap" in volume or "emptyDir" in volume, f"cannot stand in for {volume}"
        for item in volume.get("configMap", {}).get("items", []):
            content = config_maps[volume["configMap"]["name"]][item["key"]]
            (path / item["path"]).write_text(replaced(content, paths, replace), encoding="utf-8")
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    return _workload(
        [*container["command"], *container["args"]], environment, container["workingDir"], paths, folder, replace
    )


def from_service(
    service: Mapping[str, Any], entrypoint: list[str], project: Path, folder: Path, replace: Mapping[str, str]
) -> Workload:
    """The process of a compose service.

    Args:
        service: an entry of `services`.
        entrypoint: the image's, used unless the service has its own.
        project: folder of the compose file.
        folder: where its mounts are put.
        replace: text → text, in arguments, environment and mounted files.
    """
    paths = {"/tmp": folder / "tmp", "/var/lib/fusionlog": folder / "data"}  # noqa: S108 (the container's)
    for path in paths.values():
        path.mkdir(parents=True, exist_ok=True)
    for volume in service.get("volumes", []):
        source, target = volume.split(":")[:2]
        if not source.startswith("./"):
            continue  # a named volume: one of the folders above
        held = project / source
        assert held.is_file(), f"{held} must be a file of the repository"
        paths[target] = folder / Path(target).name
    for target, path in paths.items():
        mounted = [volume for volume in service.get("volumes", []) if volume.split(":")[1] == target]
        if mounted and not path.is_dir():
            content = (project / mounted[0].split(":")[0]).read_text(encoding="utf-8")
            path.write_text(replaced(content, paths, replace), encoding="utf-8")
    command = [*service.get("entrypoint", entrypoint), *service["command"]]
    environment = {key: str(value) for key, value in service.get("environment", {}).items()}
    return _workload(command, environment, "/var/lib/fusionlog", paths, folder, replace)


def replaced(text: str, paths: Mapping[str, Path], replace: Mapping[str, str]) -> str:
    """The text with mount paths and the given texts put in place, in one pass."""
    table = {path: str(local) for path, local in paths.items()} | dict(replace)
    pattern = "|".join(re.escape(key) for key in sorted(table, key=len, reverse=True))
    return re.sub(rf"(?<![\w./-])(?:{pattern})(?![\w.-])", lambda match: table[match[0]], text)


def _workload(
    command: list[str],
    environment: Mapping[str, str],
    working_folder: str,
    paths: Mapping[str, Path],
    folder: Path,
    replace: Mapping[str, str],
) -> Workload:
    program, *arguments = (replaced(str(part), paths, replace) for part in command)
    return Workload(
        (str(PROGRAMS / program), *arguments),
        {
            "PATH": f"{PROGRAMS}{os.pathsep}{os.defpath}",
            **{name: replaced(value, paths, replace) for name, value in environment.items()},
        },
        paths[working_folder],
        folder / "output.log",
    )
