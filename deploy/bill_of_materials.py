"""What a deployment is made of: exact versions, an SBOM and the licences, read from the environment that runs this
script.

    python deploy/bill_of_materials.py FOLDER            # of the package with all extras that are installed here
    python deploy/bill_of_materials.py FOLDER --without-hashes   # asks no package index

writes into FOLDER

- `lock.txt`: name, exact version and SHA-256 of every package. `pip install --require-hashes -r lock.txt` makes the
  same environment again on the same kind of machine.
- `constraints.txt`: names and versions alone, for any kind of machine:
  `pip install -c constraints.txt 'ecgfm-clinical[score]'`.
- `sbom.cdx.json`: the same packages with licences and dependencies, CycloneDX 1.6.
- `licences.csv`: name, version, licence; and why it may be shipped where that needs a reason.

Exits with 1 where a package has a licence that must not be shipped, or none that can be read. Needs the extra `test`
(cyclonedx-python-lib, pip-licenses, packaging).
"""

import argparse
import csv
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PROJECT = "ecgfm-clinical"
#: Extras of the project that are tools of its makers and never part of a deployment.
NOT_SHIPPED = frozenset({"docs", "test"})

#: Licences under which we ship nothing: copyleft that reaches the program using the library, and terms that bind its
#: use.
FORBIDDEN = re.compile(
    r"\bA?L?GPL|GNU .*General Public|Affero|SSPL|Server Side Public|BUSL|Business Source|Commons Clause"
    r"|EUPL|Proprietary",
    re.IGNORECASE,
)

#: Package (or the beginning of its name, with `*`) -> why it may be shipped all the same.
EXCEPTIONS: Mapping[str, str] = {
    "paramiko": "LGPL-2.1: an unmodified library of its own, installed beside the program, that a user can replace",
    "pyphen": "GPL-2.0 or LGPL-2.1 or MPL-1.1, as one chooses: MPL-1.1 is chosen",
    "psycopg": "LGPL-3.0: an unmodified library of its own, installed beside the program, that a user can replace",
    "psycopg-binary": "LGPL-3.0: as psycopg, of which it is the compiled part",
    "nvidia-*": "NVIDIA's own terms: comes with a CUDA build of torch, installed by the user, never shipped by us",
    "cuda-*": "NVIDIA's own terms: comes with a CUDA build of torch, installed by the user, never shipped by us",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One installed distribution."""

    name: str
    version: str
    needs: tuple[str, ...] = ()  #: names of the packages that it asks for and that are installed
    licence: str = ""
    sha256: str = ""
    reason: str = field(default="")  #: why it may be shipped in spite of its licence

    @property
    def refused(self) -> bool:
        """Whether it must not be shipped."""
        return not self.reason and (not self.licence or FORBIDDEN.search(self.licence) is not None)


# --- what is there ----------------------------------------------------------------------------------------------------


def extras_of(project: str) -> frozenset[str]:
    """The project's extras that are shipped."""
    return frozenset(distribution(project).metadata.get_all("Provides-Extra") or ()) - NOT_SHIPPED


def closure(project: str, extras: Iterable[str]) -> list[Package]:
    """Every installed package that the project with these extras asks for, directly or not; without the project
    itself.
    """
    found: dict[str, Package] = {}
    asked: set[tuple[str, frozenset[str]]] = set()
    waiting = [(canonicalize_name(project), frozenset(extras))]
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in asked:
            continue
        asked.add((name, wanted))
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            continue  # an extra that is not installed here is no part of this deployment
        needed = list(_needed(installed.requires or (), wanted))
        waiting += [(canonicalize_name(one.name), frozenset(one.extras)) for one in needed]
        names = {canonicalize_name(one.name) for one in needed} | set(found[name].needs if name in found else ())
        found[name] = Package(name=name, version=installed.version, needs=tuple(sorted(names)))
    found.pop(canonicalize_name(project), None)
    return [replace(one, needs=tuple(n for n in one.needs if n in found)) for _, one in sorted(found.items())]


def _needed(lines: Iterable[str], extras: frozenset[str]) -> Iterable[Requirement]:
    for line in lines:
        requirement = Requirement(line)
        if requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in (*sorted(extras), "")
        ):
            yield requirement


# --- licences ---------------------------------------------------------------------------------------------------------


def with_licences(packages: Sequence[Package]) -> list[Package]:
    """The packages with the licence that each one's metadata names: expression, else classifiers, else the free
    text.
    """
    command = [sys.executable, "-m", "piplicenses", "--from=all", "--format=json", "--with-system", "--packages"]
    told = subprocess.run(
        [*command, *(one.name for one in packages)], check=True, capture_output=True, text=True
    ).stdout
    named = {canonicalize_name(row["Name"]): _licence(row) for row in json.loads(told)}
    return [replace(one, licence=named.get(one.name, ""), reason=_reason(one.name)) for one in packages]


def _licence(row: Mapping[str, str]) -> str:
    for source in ("License-Expression", "License-Classifier", "License-Metadata"):
        text = row.get(source, "").strip()
        if text and text != "UNKNOWN":
            return text.splitlines()[0][:200]
    return ""


def _reason(name: str) -> str:
    for pattern, reason in EXCEPTIONS.items():
        if name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1])):
            return reason
    return ""


# --- hashes -----------------------------------------------------------------------------------------------------------


def with_hashes(packages: Sequence[Package]) -> list[Package]:
    """The packages with the SHA-256 of the file that the package index serves for this machine; nothing is
    installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        pins, report = Path(folder) / "pins.txt", Path(folder) / "report.json"
        pins.write_text("".join(f"{one.name}=={one.version}\n" for one in packages), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps"]
        done = subprocess.run([*command, "--report", str(report), "-r", str(pins)], capture_output=True, check=False)
        if done.returncode != 0:
            raise SystemExit(
                "the package index does not answer, or no longer has one of these versions: the lock has no hashes; "
                "repeat with --without-hashes"
            )
        rows = json.loads(report.read_text(encoding="utf-8"))["install"]
    served = {canonicalize_name(row["metadata"]["name"]): row["download_info"]["archive_info"] for row in rows}
    return [replace(one, sha256=served[one.name].get("hashes", {}).get("sha256", "")) for one in packages]


# --- files ------------------------------------------------------------------------------------------------------------


def lock(packages: Sequence[Package]) -> str:
    """One line a package: name, exact version, SHA-256 where it is known."""
    return "".join(
        f"{one.name}=={one.version}" + (f" --hash=sha256:{one.sha256}" if one.sha256 else "") + "\n" for one in packages
    )


def constraints(packages: Sequence[Package]) -> str:
    """Names and versions without the build (`+cpu`), so that any machine's build of the same version fits."""
    return "".join(f"{one.name}=={Version(one.version).public}\n" for one in packages)


def sbom(packages: Sequence[Package]) -> str:
    """CycloneDX 1.6 as JSON: the project, its packages, and who asks for whom."""
    bom = Bom()
    root = _component(PROJECT, distribution(PROJECT).version, ComponentType.APPLICATION, "Apache-2.0", "")
    bom.metadata.component = root
    made = {
        one.name: _component(one.name, one.version, ComponentType.LIBRARY, one.licence, one.sha256) for one in packages
    }
    for component in made.values():
        bom.components.add(component)
    asked_by_another = {name for one in packages for name in one.needs}
    bom.register_dependency(root, [made[one.name] for one in packages if one.name not in asked_by_another])
    for one in packages:
        bom.register_dependency(made[one.name], [made[name] for name in one.needs])
    return str(JsonV1Dot6(bom).output_as_string(indent=2)) + "\n"


def _component(name: str, version: str, kind: ComponentType, licence: str, sha256: str) -> Component:
    where = PackageURL("pypi", name=name, version=version)
    return Component(
        name=name,
        version=version,
        type=kind,
        bom_ref=str(where),
        purl=where,
        licenses=[DisjunctiveLicense(name=licence)] if licence else [],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)] if sha256 else [],
    )


def write(folder: Path, packages: Sequence[Package]) -> None:
    """The four files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lock.txt").write_text(lock(packages), encoding="utf-8")
    (folder / "constraints.txt").write_text(constraints(packages), encoding="utf-8")
    (folder / "sbom.cdx.json").write_text(sbom(packages), encoding="utf-8")
    with (folder / "licences.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("package", "version", "licence", "shipped because"))
        rows.writerows((one.name, one.version, one.licence, one.reason) for one in packages)


def main(words: Sequence[str] | None = None) -> int:
    """The command; see the module's text."""
    parser = argparse.ArgumentParser(description="Write lock, constraints, SBOM and licences of this environment.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--without-hashes", action="store_true", help="ask no package index")
    asked = parser.parse_args(words)
    packages = with_licences(closure(PROJECT, extras_of(PROJECT)))
    write(asked.folder, packages if asked.without_hashes else with_hashes(packages))
    refused = [one for one in packages if one.refused]
    for one in refused:
        print(f"{one.name} {one.version}: licence {one.licence or 'not stated'} must not be shipped", file=sys.stderr)
    print(f"{len(packages)} packages in {asked.folder}; {len(refused)} must not be shipped")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
