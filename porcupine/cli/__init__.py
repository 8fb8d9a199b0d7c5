"""The command `porcupine`: quantise speaker embeddings that are in a file, and tell what their codes disclose.

    fit      vectors -> codebook.npz
    encode   vectors -> codes
    decode   codes -> vectors
    audit    vectors or codes -> folder with a report
    show     codebook.npz -> what it is

Exit codes: 0 done; 1 an input cannot be used, with one line on stderr that says which and why; 2 wrong usage.
A command imports what does the work (`porcupine.cli.tasks`) when it is called: `--help` does not wait for that.
"""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from porcupine.errors import InputError

BITS = 6
MOST_BITS = 16

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Privacy of speaker embeddings: quantise them, and tell in bits what their codes disclose.",
    epilog="Files are .npy, .npz, .safetensors or .parquet; FILE:NAME is one array, tensor or column of several.",
)


class Method(StrEnum):
    """Those of `quantizers.registry.METHODS`, which takes a second to import."""

    BALANCED = "balanced"
    CURVE = "curve"
    TREE = "tree"
    KMEANS = "kmeans"
    VQ = "vq"
    SFVQ = "sfvq"
    DIVEQ = "diveq"
    SF_DIVEQ = "sf_diveq"


class _Command(TyperCommand):
    """A command that says in one line what is wrong with its input."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (InputError, OSError, MemoryError) as error:
            told = " ".join(str(error).split()) or "out of memory"
            typer.echo(f"porcupine {self.name}: {told}", err=True)
            raise typer.Exit(1) from error


def _examples(*commands: str) -> str:
    return "\n\n".join(["[bold]Examples[/bold]", *commands])


Codebook = Annotated[Path, typer.Option("--codebook", "-c", metavar="FILE", help="Written by [bold]fit[/bold].")]
Target = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="In any of the formats.")]
How = Annotated[Method, typer.Option(help="How to quantise; vq and those after it need torch.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same result.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Neither progress bar nor summary.")]
Json = Annotated[bool, typer.Option("--json", help="Print what was done as one JSON record.")]


def _version(asked: bool) -> None:
    if asked:
        from importlib import metadata

        typer.echo(f"porcupine {metadata.version('porcupine')}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(
    cls=_Command,
    epilog=_examples(
        "porcupine fit train.npy -o codebook.npz",
        "porcupine fit train.parquet:embedding -o tree.npz --method tree --bits 8",
    ),
)
def fit(
    train: Annotated[str, typer.Argument(metavar="TRAIN", help="Floats, one row a sample, at least 2^bits of them.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.npz", help="The codebook, one small file.")],
    method: How = Method.BALANCED,
    bits: Annotated[int, typer.Option(min=1, max=MOST_BITS, help="Length of a code: of 2^bits codewords.")] = BITS,
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Fit a quantiser to vectors."""
    from porcupine import files
    from porcupine.cli import tasks
    from porcupine.quantizers import fitted

    files.require_target(output, [".npz"], inputs=[train])
    samples = files.read_vectors(train)
    with files.naming(train):
        quantizer, origin = tasks.Fit(method.value, bits, seed)(samples, progress=_shows(quiet))
    fitted.save_one(output, quantizer, origin)
    record = {"input": train, "output": str(output), "method": method.value, "bits": bits, "seed": seed}
    record |= tasks.sizes(samples, quantizer)
    summary = f"{output}: {method.value}, {quantizer.size} codewords, from {len(samples)} vectors"
    _tell("fit", record, summary, quiet=quiet, as_json=as_json)


@app.command(
    cls=_Command,
    epilog=_examples(
        "porcupine encode vectors.npy -c codebook.npz -o codes.npy",
        "porcupine encode speakers.safetensors:xvector -c codebook.npz -o codes.parquet",
    ),
)
def encode(
    vectors: Annotated[str, typer.Argument(metavar="VECTORS", help="Floats, one row a sample.")],
    codebook: Codebook,
    output: Target,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write the code of each vector, int32."""
    from porcupine import files
    from porcupine.cli import tasks

    files.require_target(output, inputs=[vectors, codebook])
    quantizer, samples = tasks.load(codebook), files.read_vectors(vectors)
    tasks.require_dimension(samples, vectors, quantizer, codebook)
    tasks.encode(quantizer, samples, output, progress=_shows(quiet))
    record = {"input": vectors, "codebook": str(codebook), "output": str(output)} | tasks.sizes(samples, quantizer)
    _tell("encode", record, f"{output}: {len(samples)} codes of {quantizer.size}", quiet=quiet, as_json=as_json)


@app.command(cls=_Command, epilog=_examples("porcupine decode codes.npy -c codebook.npz -o vectors.npy"))
def decode(
    codes: Annotated[str, typer.Argument(metavar="CODES", help="Integers, one a sample.")],
    codebook: Codebook,
    output: Target,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write the codeword of each code, float32."""
    from porcupine import files
    from porcupine.cli import tasks

    files.require_target(output, inputs=[codes, codebook])
    quantizer, given = tasks.load(codebook), files.read_codes(codes)
    with files.naming(codes):
        tasks.decode(quantizer, given, output, progress=_shows(quiet))
    record = {"input": codes, "codebook": str(codebook), "output": str(output)} | tasks.sizes(given, quantizer)
    _tell("decode", record, f"{output}: {len(given)} vectors", quiet=quiet, as_json=as_json)


@app.command(
    cls=_Command,
    epilog=_examples(
        "porcupine audit vectors.npy -o report",
        "porcupine audit test.npy -c codebook.npz -o report --labels test.csv --speakers speaker --groups gender",
        "porcupine audit codes.npy --bits 6 -o report",
    ),
)
def audit(
    source: Annotated[str, typer.Argument(metavar="INPUT", help="Vectors, floats; or codes, integers.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="New, empty, or an earlier audit.")],
    codebook: Annotated[
        Path | None,
        typer.Option("--codebook", "-c", metavar="FILE", help="Without it, one is fitted to half of the vectors."),
    ] = None,
    bits: Annotated[
        int | None, typer.Option(min=1, max=MOST_BITS, help=f"Length of a code, without a codebook; {BITS} to fit one.")
    ] = None,
    method: Annotated[Method, typer.Option(help="How to quantise, without a codebook.")] = Method.BALANCED,
    labels: Annotated[
        Path | None, typer.Option(metavar="TABLE", help="What is known of each sample: .csv or .parquet, one row each.")
    ] = None,
    speakers: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Who each sample is of; without it, each is of someone else.")
    ] = None,
    groups: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Groups of speakers to compare, again for more; without it, all columns."),
    ] = None,
    n_train: Annotated[
        int | None, typer.Option(min=1, help="Samples behind the codes, where no codebook says how many.")
    ] = None,
    alpha: Annotated[float, typer.Option(help="The certificate holds with confidence 1 - alpha.")] = 0.05,
    population: Annotated[int, typer.Option(min=1, help="Further speakers that the certificate speaks of.")] = 10_000,
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Report what codes disclose: floors, groups of speakers, a certificate."""
    if codebook and bits:
        raise typer.BadParameter("a codebook has its own length of codes: give --codebook or --bits")
    if (speakers or groups) and not labels:
        raise typer.BadParameter("--speakers and --groups are columns of a table: give --labels")

    from porcupine import audit as auditing
    from porcupine import files
    from porcupine.cli import tasks

    files.require_folder(output)
    auditing.require_replaceable(output)
    given = files.read_either(source)
    speaker, known = tasks.labels(labels, speakers, groups, source, len(given))
    if isinstance(given, files.Samples):
        quantised = codebook or tasks.Fit(method.value, bits or BITS, seed)
        measured = tasks.of_vectors(given, source, quantised, speaker, progress=_shows(quiet))
    else:
        measured = tasks.of_codes(given, source, codebook or bits)
    with files.naming(source):
        found = auditing.audit(
            measured.codes,
            measured.n_codewords,
            n_train=n_train or measured.n_train,
            groups=None if known is None else known[measured.rows],
            speakers=None if speaker is None else speaker[measured.rows],
            distortion=measured.distortion,
            alpha=alpha,
            population=population,
            seed=seed,
        )
    provenance = {"input": source, "measured": measured.told, "seed": seed, "quantiser": measured.origin or None}
    paths = auditing.write(found, output, title=f"Audit of {Path(source).name}", provenance=provenance)
    record = {"input": source, "output": str(output), "measured": measured.told} | found.headline()
    record["files"] = [path.name for path in paths]
    _tell("audit", record, f"{measured.told} {found}\n{output / 'report.html'}", quiet=quiet, as_json=as_json)


@app.command(cls=_Command, epilog=_examples("porcupine show codebook.npz"))
def show(
    codebook: Annotated[Path, typer.Argument(metavar="CODEBOOK", help="Written by [bold]fit[/bold].")],
    as_json: Json = False,
) -> None:
    """Tell what a codebook is and what it was fitted to."""
    from porcupine.cli import tasks

    quantizer, origin = tasks.load(codebook), tasks.origin(codebook)
    n_codewords, dimension = quantizer.codebook.shape
    kind = type(quantizer).__name__
    record = {"codebook": str(codebook), "kind": kind, "n_codewords": n_codewords, "dimension": dimension}
    lines = [f"{codebook}: {kind}, {n_codewords} codewords of {dimension} dimensions"]
    lines += [f"  {name}: {_told(value)}" for name, value in origin.items()]
    _tell("show", record | {"provenance": origin}, "\n".join(lines), quiet=False, as_json=as_json)


def _told(value: Any) -> str:
    return ", ".join(f"{name} {one}" for name, one in value.items()) if isinstance(value, dict) else str(value)


def _shows(quiet: bool) -> bool:
    """Whether to show progress: on a terminal, unless told not to."""
    return not quiet and sys.stderr.isatty()


def _tell(command: str, record: dict[str, Any], summary: str, *, quiet: bool, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"command": command} | record, ensure_ascii=False, allow_nan=False))
    elif not quiet:
        typer.echo(summary)
