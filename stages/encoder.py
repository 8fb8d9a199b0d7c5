"""Train the speaker encoder on its own speakers."""

from pathlib import Path

from dvclive import Live

from porcupine import device, ragged, storage
from porcupine.encoders.training import train_ecapa
from porcupine.params import Params
from stages.common import run, skip


def main(params: Params, manifest: Path, features: Path, encoder: Path, curves: Path) -> None:
    """Write `weights.safetensors`, `bottleneck.safetensors` if asked for, and the training curves as they grow."""
    if not params.corpus.has_audio:
        return skip("ready-made vectors need no encoder", encoder, curves)
    if not params.encoder.trained_here:
        return skip(f"{params.encoder.name} is pretrained", encoder, curves)
    rows = storage.load_table(manifest)
    chosen = rows.index[rows["role"] == "encoder"]
    with Live(dir=str(curves), dvcyaml=None, save_dvc_exp=False, report=None) as live:

        def log(record: dict[str, float]) -> None:
            live.step = int(record["epoch"])
            for name in ("loss", "eer", "learning_rate"):
                live.log_metric(name, record[name])
            live.make_summary()

        trained, bottleneck = train_ecapa(
            ragged.Ragged(features).select(chosen),
            rows.loc[chosen, "speaker"].tolist(),
            params.encoder,
            hop_seconds=params.features.hop_seconds,
            device=device.resolve(params.compute.device),
            on_epoch=log,
            description="train encoder",
        )
    trained.save(encoder / "weights.safetensors")
    if bottleneck:
        bottleneck.save(encoder / "bottleneck.safetensors")
    return None


if __name__ == "__main__":
    run(main)
