"""Bundles by hand: `model import`, `model show`, `model export`, `model renew`, `model prepare`, `model bench`."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgfm_clinical.cli.common import JsonOption, gathered, progress, progress_console, say, will_write, write_json

if TYPE_CHECKING:
    from ecgfm.bench.device import DeviceFigures
    from ecgfm.checkpoint import Bundle
    from ecgfm.cost import Cost
    from ecgfm.records import Recordings
    from ecgfm.runtimes.choosing import Choice
    from ecgfm.runtimes.preparation import Measurement

app = typer.Typer(help="Model bundles: import, show, export, renew, prepare and time them.", no_args_is_help=True)

BundleArgument = Annotated[Path, typer.Argument(help="Folder of a model bundle.")]
CacheOption = Annotated[
    Path | None, typer.Option("--cache", help="Folder for prepared files; beside the bundle if not given.")
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores if not given.")]


@app.command("import")
def import_checkpoint(
    file: Annotated[Path, typer.Argument(help="A fairseq-signals checkpoint (.pt), pretrained or finetuned.")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle to write; must not exist yet.")],
    name: Annotated[str, typer.Option(help="Name of the model; the file's name if not given.")] = "",
    version: Annotated[str, typer.Option(help="Version, as it will stand in every result.")] = "1",
    labels: Annotated[
        str, typer.Option(help="Comma-separated labels in logit order, where the file is not the published one.")
    ] = "",
    attention_heads: Annotated[int | None, typer.Option(help="Where the file does not say; published: 12.")] = None,
    pre_norm: Annotated[
        bool | None, typer.Option(help="Where the file does not say; published: --no-pre-norm.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Convert a published or fairseq-trained checkpoint to a bundle. Nothing in the file is executed."""
    from ecgfm.fairseq.importing import import_checkpoint as convert

    given = [label.strip() for label in labels.split(",")] if labels else None
    bundle = convert(
        file,
        out,
        name=name,
        version=version,
        labels=given,
        heads=attention_heads,
        pre_norm=pre_norm,
        at=datetime.now(UTC),
    )
    _tell(bundle, as_json)


@app.command("show")
def show(bundle: BundleArgument, as_json: JsonOption = False) -> None:
    """What a bundle is: its name and digest, its heads with their labels and thresholds,
    where its weights come from; how many encoders it has, and so how many passes an ECG takes.
    """
    from ecgfm.checkpoint import Bundle

    _tell(Bundle.read(bundle), as_json)


@app.command("export")
def export(
    bundle: BundleArgument,
    onnx: Annotated[Path, typer.Option("--onnx", help="ONNX file to write.")],
    opset: Annotated[
        int | None, typer.Option(help="ONNX opset; the newest that every runtime reads if not given.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write one ONNX file with dynamic batch and its meaning inside, checked against torch before it is kept."""
    from ecgfm.checkpoint import Bundle
    from ecgfm.runtimes.onnx_export import OPSET, export_onnx
    from ecgfm_clinical.extras import need

    will_write(onnx)
    need("onnx", "exporting to ONNX")
    with progress_console().status("Exporting"):
        exported = export_onnx(Bundle.read(bundle), onnx, opset=opset or OPSET)
    if as_json:
        write_json(asdict(exported))
        return
    say(
        f"{exported.path}: opset {exported.opset}, model {exported.model_id[:16]}, "
        f"largest change of a logit {exported.largest_logit_difference:.1e}"
    )


@app.command("renew")
def renew(
    bundle: BundleArgument,
    out: Annotated[Path, typer.Option(help="Folder of the bundle to write; must not exist yet.")],
    as_json: JsonOption = False,
) -> None:
    """Copy a bundle so that a recording of 10 s by its clock gives two segments; weights and thresholds stay.

    It is another model: `evaluate` and `promote` it as any candidate. The bundle that it is made of stays as it is.
    """
    from ecgfm.checkpoint import Bundle
    from ecgfm.signal import BY_CLOCK
    from ecgfm_clinical.errors import InputError

    old = Bundle.read(bundle)
    if old.preprocessing == BY_CLOCK:
        raise InputError(f"{old.path} cuts recordings by their clock already; use it as it is")
    renewed = Bundle.write(
        out,
        old.network(),
        name=old.name,
        version=f"{old.version}-by-clock",
        demo=old.demo,
        provenance=old.provenance.after(old.named, old.provenance.heads),
        heads=old.heads,
        preprocessing=BY_CLOCK,
    )
    _tell(renewed, as_json)


@app.command("prepare")
def prepare(
    bundle: BundleArgument,
    runtime: Annotated[
        str,
        typer.Option(
            help="onnx, openvino, openvino-bf16, torch-bf16, torch-fp16, tensorrt; auto times the exact ones, reduced "
            "measures float16 and bfloat16 and names the nearer."
        ),
    ],
    ecgs: Annotated[
        list[Path] | None,
        typer.Argument(
            help="ECG files or folders, best this site's own; those that ship with the package if not given."
        ),
    ] = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    cache: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure on real ECGs how far a runtime is from torch float32, and keep the record; refused above its limit.

    `auto` times the exact runtimes of this machine in turns and keeps which is the fastest, as a model's first
    opening does.
    """
    from ecgfm.checkpoint import Bundle
    from ecgfm.runtimes import AUTO, choosing, opening
    from ecgfm_clinical.shipped.measuring import shipped_recordings

    read = Bundle.read(bundle)
    recordings = _named(ecgs) if ecgs else shipped_recordings()
    if runtime == AUTO:
        choosing.forget(read, device=device, threads=threads, cache=cache)
        choice = choosing.choose(
            read, device=device, threads=threads, cache=cache, recordings=lambda: recordings, small=0
        )
        write_json(asdict(choice)) if as_json else _print_choice(choice)
        return
    if runtime == "reduced":
        both = opening.prepare_reduced(read, recordings, device=device, threads=threads, cache=cache)
        write_json([asdict(one) for one in both]) if as_json else _print_reduced(both)
        return
    found = opening.prepare(read, runtime, recordings, device=device, threads=threads, cache=cache)
    if as_json:
        write_json(asdict(found))
        return
    _print_measurement(found)


def _print_reduced(found: "Sequence[Measurement]") -> None:
    for one in found:
        _print_measurement(one)
    say(f'the nearest to float32 here is runtime = "{found[0].runtime}"')


def _print_measurement(found: "Measurement") -> None:
    say(
        f"{found.runtime} ({found.engine}): largest change of a probability {found.largest_probability_change:.1e} "
        f"over {found.segments} segments, limit {found.limit:.0e}; measured on {found.measured_on}"
    )


def _print_choice(choice: "Choice") -> None:
    say(str(choice))
    for trial in choice.trials:
        if trial.reason:
            say(f"{trial.runtime:<10} {trial.reason}")


def _print_figures(runtime: str, batch: int, found: "DeviceFigures") -> None:
    """Why the device is as fast as it is, in three lines."""
    driver = f", driver {found.driver}" if found.driver else ""
    limits, p50 = found.limits, found.one_ecg_milliseconds
    say(f"\n{runtime} at {batch} segments a call on {found.device}{driver}, torch {found.torch}")
    say(
        f"  plain product of {limits.side}³: {limits.product_tflops:.3g} TFLOP/s, {limits.at_product:.1f} segments/s "
        f"at its rate; the network's own products alone: {limits.at_own_products:.1f} segments/s"
    )
    alone = f" ({found.on_device:.1f} without transfers)" if found.on_device else ""
    one_ecg = f"; one ECG at a shape of 2: p50 {p50:.1f} ms" if p50 else ""
    memory = f"; {found.gpu_megabytes:.0f} MB on the GPU" if found.gpu_megabytes else ""
    shares = f"{found.share_of_product:.0%} of the product, {found.share_of_own_products:.0%} of its own products"
    say(f"  reached: {found.segments_per_second:.1f} segments/s{alone}: {shares}{one_ecg}{memory}")


@app.command("bench")
def bench(
    bundle: BundleArgument,
    ecgs: Annotated[
        list[Path] | None,
        typer.Argument(help="ECG files or folders to measure Δp on; those that ship with the package if not given."),
    ] = None,
    batch: Annotated[
        list[int] | None, typer.Option(help="Segments a call; repeat for several. 2 is one 10 s ECG.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds in turns.")] = 7,
    limits: Annotated[
        bool, typer.Option("--limits", help="Also what the device reaches in plain products, and each runtime's share.")
    ] = False,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    cache: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """Time every runtime of this machine in turns with the plain eager network: only the ratios mean something.

    On a busy machine use --threads 1 and read `× cpu`, the ratio of processor time.
    """
    from ecgfm.bench.timing import bench as measure
    from ecgfm.checkpoint import Bundle
    from ecgfm.devices import choose_device
    from ecgfm.runtimes import choosing
    from ecgfm_clinical.shipped.measuring import shipped_recordings

    with progress_console().status("Timing"):
        timings = measure(
            Bundle.read(bundle),
            _named(ecgs) if ecgs else shipped_recordings(),
            batches=batch or [2],
            rounds=rounds,
            device=device,
            threads=threads,
            cache=cache,
            limits=limits or choose_device(device).type == "cuda",
        )
    if as_json:
        write_json([asdict(timing) | {"ecgs_per_second": timing.ecgs_per_second} for timing in timings])
        return
    say(
        f"{'runtime':<15}{'batch':>6}{'ms/ECG':>10}{'ECG/s':>8}{'× eager':>9}{'× cpu':>7}"
        f"{'load s':>8}{'peak MB':>9}{'Δp':>9}"
    )
    for one in timings:
        if one.reason:
            say(f"{one.runtime:<15}{one.batch:>6}  {one.reason}")
            continue
        say(
            f"{one.runtime:<15}{one.batch:>6}{one.milliseconds_per_ecg:>10.1f}{one.ecgs_per_second:>8.1f}{one.ratio:>9.2f}"
            f"{one.processor_ratio:>7.2f}"
            f"{one.load_seconds:>8.1f}{one.peak_megabytes:>9.0f}{one.largest_probability_change:>9.0e}"
        )
    for one in timings:
        if one.figures:
            _print_figures(one.runtime, one.batch, one.figures)
    encoders = len(Bundle.read(bundle).encoders)
    if limits and encoders > 1:
        say(f"limits: not measured, they are of one encoder and this bundle has {encoders}")
    choice = choosing.kept(Bundle.read(bundle), device=device, threads=threads, cache=cache)
    say(str(choice) if choice else "auto: not measured here yet; `model prepare BUNDLE --runtime auto` does")


def _named(paths: Sequence[Path]) -> "Recordings":
    """What can be read of the files named; a folder may hold anything,
    and what could not be used stands in the record.
    """
    from ecgfm.records import Record, Recordings
    from ecgfm_clinical.errors import InputError
    from ecgfm_clinical.files.reading import read_ecgs

    records: list[Record] = []
    unreadable = 0
    for path in progress(gathered(paths), "Reading"):
        try:
            records += [Record(signal=ecg.signal, sampling_rate=ecg.sampling_rate) for ecg in read_ecgs(path)]
        except InputError:
            unreadable += 1
    about = f"{len(records)} recordings given ({unreadable} more files could not be read)"
    return Recordings(records=tuple(records), about=about)


def _tell(bundle: "Bundle", as_json: bool) -> None:
    """A bundle on disk, for people or as JSON."""
    from ecgfm.cost import cost

    costs = cost(bundle)
    if as_json:
        write_json(bundle.manifest() | {"model_id": bundle.model_id, "cost": asdict(costs)})
    else:
        _print(bundle, costs)


def _print(bundle: "Bundle", costs: "Cost") -> None:
    from ecgfm_clinical.wording import brief

    lines = [
        f"{bundle.name} {bundle.version}{'  (demo: not for clinical use)' if bundle.demo else ''}",
        f"  folder         {bundle.path}",
        f"  model_id       {bundle.model_id}",
        f"  preprocessing  {bundle.preprocessing}",
        f"  cost           {costs}",
        *(
            f"  encoder        {config.layers} layers, width {config.width}, {config.heads} heads, "
            f"{own.parameters / 1e6:.2f} million weights, for {', '.join(own.heads) or 'no head'}"
            for config, own in zip(bundle.encoders, costs.encoders, strict=True)
        ),
        *(f"  {key:<14} {brief(value)}" for key, value in bundle.provenance.to_json().items()),
    ]
    for head in bundle.heads:
        lines.append(f"  head {head.name}: {'calibrated' if head.calibration else 'not calibrated'}; {head.target}")
        for label in head.labels:
            threshold, shift = head.threshold(label), head.prior_shifts.get(label)
            point = "no operating point" if threshold is None else f"positive from {threshold:g}"
            point += f", moved from a prevalence of {shift.learnt:g} to {shift.stated:g}" if shift else ""
            lines.append(f"    {label}: {head.aggregation[label]} over segments, {point}")
        for site, points in head.site_operating_points.items():
            told = ", ".join(f"{label} positive from {head.threshold(label, site):g}" for label in points)
            lines.append(f"    at {site}: {told}")
    if not bundle.heads:
        lines.append("  no head: it gives embeddings, and is where a head is trained from")
    say("\n".join(lines))
