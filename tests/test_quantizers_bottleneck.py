import copy

import numpy as np
import pytest
import torch

from porcupine.errors import InputError
from porcupine.quantizers.bottleneck import Bottleneck
from porcupine.quantizers.sfvq import grow, initial_curve

CPU = torch.device("cpu")
DEVICES = [
    CPU,
    pytest.param(torch.device("cuda"), marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")),
]


@pytest.fixture(autouse=True)
def own_noise(one_thread):
    """A seed that no other test sees."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def draw(n, *, seed=0, dimension=5):
    """Correlated, away from the origin, of the norm of ECAPA embeddings."""
    rng = np.random.default_rng(seed)
    spread = np.linspace(90, 10, dimension) * np.linalg.qr(np.random.default_rng(1).standard_normal([dimension] * 2))[0]
    return torch.from_numpy((rng.standard_normal((n, dimension)) @ spread + 60).astype(np.float32))


def train(bottleneck, steps, *, shift=0.0, batch=64, start=0):
    """Train the curve alone, by its distortion, on embeddings that move by ``shift`` a step."""
    optimizer = torch.optim.Adam(bottleneck.parameters(), lr=0.01)
    for step in range(start, start + steps):
        vectors = draw(batch, seed=step) + shift * step
        loss = (bottleneck(vectors) - vectors).square().mean() / bottleneck.scale**2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return bottleneck


def started(dimension=3, **options):
    """In float64, with a curve whose units do not move, as derivatives take them to."""
    bottleneck = Bottleneck(dimension, bits=3, momentum=0, **options).double()
    bottleneck(draw(20, dimension=dimension).double())
    return bottleneck


def frozen(bottleneck, vectors):
    torch.manual_seed(7)
    return bottleneck(vectors)


def test_the_curve_starts_at_the_means_of_quarters_by_norm():
    bottleneck, vectors = Bottleneck(5, bits=4), draw(32)
    bottleneck(vectors)
    curve = bottleneck.mean + bottleneck.scale * bottleneck.curve[::4]
    np.testing.assert_allclose(curve.detach(), initial_curve(vectors.numpy()), rtol=1e-4)
    assert not bottleneck.curve[1::4].any()


def test_gradients_agree_with_finite_differences():
    bottleneck = started()
    vectors = draw(6, seed=3, dimension=3).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x, curve: frozen(bottleneck, x), (vectors, bottleneck.curve))


def test_gradients_reach_both_ends_of_the_segment_and_no_other_corner():
    bottleneck = started()
    frozen(bottleneck, draw(1, seed=3, dimension=3).double()).sum().backward()
    rows = bottleneck.curve.grad.any(dim=1).nonzero().ravel()
    assert len(rows) == 2 and rows.diff() == 2  # neighbours of the 4 corners, which lie in every other of 8 rows


def test_where_nothing_is_lost_the_gradient_is_the_identity_and_zero_for_the_curve():
    # All corners in one point, and embeddings there: residual and segments have no length.
    bottleneck = started()
    with torch.no_grad():
        bottleneck.curve.fill_(0.5)
    vectors = (bottleneck.mean + bottleneck.scale * bottleneck.curve[:2]).detach().requires_grad_()
    output = frozen(bottleneck, vectors)
    assert torch.equal(output, vectors)
    assert torch.autograd.gradcheck(lambda x, curve: frozen(bottleneck, x), (vectors, bottleneck.curve))
    output.sum().backward()
    assert torch.equal(vectors.grad, torch.ones_like(vectors))
    assert torch.equal(bottleneck.curve.grad, torch.zeros_like(bottleneck.curve))


def test_the_output_is_as_far_away_as_the_nearest_point_of_the_dither():
    bottleneck, vectors = started(), draw(6, seed=3, dimension=3).double()
    output = frozen(bottleneck, vectors)
    torch.manual_seed(7)
    dither = torch.rand(3, 1)
    curve = (bottleneck.mean + bottleneck.scale * bottleneck.curve[::2]).detach()
    points = (1 - dither) * curve[:-1] + dither * curve[1:]
    distance = torch.cdist(vectors, points).min(dim=1).values
    torch.testing.assert_close((output - vectors).norm(dim=1), distance)


def test_growing_keeps_the_shape_and_the_rows():
    bottleneck = started(grow_every=2)
    before = bottleneck.curve[::2].detach().clone()
    with torch.no_grad():
        bottleneck(draw(4, dimension=3).double())
        assert torch.equal(bottleneck.curve[::2], before)
        bottleneck(draw(4, dimension=3).double())
    assert torch.equal(bottleneck.curve, grow(before[None])[0])
    step = before.diff(dim=0).norm(dim=1).max()
    assert (bottleneck.curve[::2] - before).norm(dim=1).max() <= 0.0101 * step


def test_the_curve_fits_better_as_it_grows_and_stops_at_its_size():
    bottleneck = Bottleneck(5, bits=5, grow_every=80)
    errors = []
    for corners in (4, 8, 16, 32, 32):
        train(bottleneck, 80 - bool(errors), start=80 * len(errors))
        assert bottleneck.corners == corners
        measured = copy.deepcopy(bottleneck).eval()
        errors.append((measured(draw(2000, seed=99)) - draw(2000, seed=99)).square().mean().item())
        with torch.no_grad():
            bottleneck(draw(64, seed=5))  # the step that grows
    assert errors[0] > 1.2 * errors[1] > 1.2**2 * errors[2] > 1.2**3 * errors[3]


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_codes_stay_uniform_while_the_embeddings_move(shift):
    # The relative spread of the counts is that of 4096 samples to calibrate on, and of 8000 to count.
    bottleneck = train(Bottleneck(5, bits=5, grow_every=50, recent=4096), 300, shift=shift).eval()
    vectors = draw(8000, seed=10_000) + shift * 300
    counts = torch.bincount(bottleneck.encode(vectors), minlength=32).double()
    assert counts.std() / counts.mean() < 1.4 * (31 / 4096 + 31 / 8000) ** 0.5


def test_a_code_is_decoded_as_the_mean_of_its_embeddings():
    bottleneck = train(Bottleneck(5, bits=3, grow_every=10, recent=64), 30).eval()
    vectors = draw(400, seed=77)
    bottleneck.calibrate(vectors)
    codes = bottleneck.encode(vectors)
    assert codes.dtype == torch.int64 and torch.bincount(codes).tolist() == [50] * 8
    means = torch.stack([vectors[codes == code].mean(dim=0) for code in range(8)])
    torch.testing.assert_close(bottleneck.codebook, means, rtol=1e-3, atol=1e-2)
    assert torch.equal(bottleneck(vectors), bottleneck.codebook[codes])
    assert torch.equal(bottleneck.decode(codes.reshape(20, 20)), bottleneck.codebook[codes].reshape(20, 20, 5))


def test_training_on_ends_a_calibration():
    bottleneck = train(Bottleneck(5, bits=3, grow_every=10, recent=64), 30).eval()
    other = copy.deepcopy(bottleneck)
    bottleneck.calibrate(draw(400, seed=77) + 100)
    assert not torch.equal(bottleneck.encode(draw(50)), other.encode(draw(50)))
    for one in (bottleneck, other):
        one.train()(draw(8))
    assert torch.equal(bottleneck.eval().encode(draw(50)), other.eval().encode(draw(50)))


def test_the_unit_of_the_embeddings_does_not_matter():
    small, large = Bottleneck(5, bits=3, grow_every=20), Bottleneck(5, bits=3, grow_every=20)
    for step in range(60):
        with torch.random.fork_rng(devices=[]):
            output = small(draw(32, seed=step))
        assert torch.equal(large(256 * draw(32, seed=step)), 256 * output)
    assert torch.equal(small.eval().encode(draw(50)), large.eval().encode(256 * draw(50)))


def test_the_state_in_the_middle_of_growth_goes_on_as_if_nothing_had_happened():
    first = train(Bottleneck(5, bits=5, grow_every=40, recent=512), 100)
    second = Bottleneck(5, bits=5, grow_every=40, recent=512)
    second.load_state_dict(first.state_dict())
    assert first.corners == second.corners == 16
    assert torch.equal(first.encode(draw(300)), second.encode(draw(300)))
    for bottleneck in (first, second):
        torch.manual_seed(1)
        train(bottleneck, 50, start=100).eval()
    assert first.corners == 32
    assert torch.equal(first.curve, second.curve)
    assert torch.equal(first.encode(draw(300)), second.encode(draw(300)))


@pytest.mark.parametrize("device", DEVICES)
def test_a_file_keeps_the_codes_and_no_embeddings(tmp_path, device):
    bottleneck = train(Bottleneck(5, bits=5, grow_every=40), 100)
    bottleneck.save(tmp_path / "b")
    loaded = Bottleneck.load(tmp_path / "b", device=device)
    assert (tmp_path / "b").stat().st_size < 4000
    assert loaded.curve.device.type == device.type and not loaded.training
    assert torch.equal(loaded.encode(draw(300).to(device)).cpu(), bottleneck.eval().encode(draw(300)))
    assert torch.equal(loaded.codebook.cpu(), bottleneck.codebook)
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_is_no_bottleneck_is_an_error(tmp_path):
    with pytest.raises(InputError, match="nowhere: not a readable bottleneck"):
        Bottleneck.load(tmp_path / "nowhere", device=CPU)
    (tmp_path / "text").write_text("text")
    with pytest.raises(InputError, match="text: not a readable bottleneck"):
        Bottleneck.load(tmp_path / "text", device=CPU)


def test_a_seed_repeats_the_training():
    curves = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        curves.append(train(Bottleneck(5, bits=3, grow_every=10), 30).curve)
    assert torch.equal(curves[0], curves[1])
    assert not torch.equal(curves[0], curves[2])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "batches",
    [
        [torch.full((20, 3), 230.0)] * 40,
        [torch.zeros(20, 3)] * 40,
        [torch.zeros(20, 3)] * 3 + [draw(20, dimension=3)] * 3,
        [draw(20, dimension=3)] + [torch.full((1, 3), 230.0)] * 40,
        [draw(1, seed=i, dimension=3) for i in range(40)],
        [1e-12 * draw(20, seed=i, dimension=3) for i in range(9)],
    ],
    ids=["equal", "zero", "zero then not", "equal later", "single", "tiny"],
)
def test_everything_is_finite(device, batches):
    bottleneck = Bottleneck(3, bits=4, grow_every=3, recent=32).to(device)
    optimizer = torch.optim.Adam(bottleneck.parameters(), lr=0.01)
    for batch in batches:
        vectors = batch.to(device).requires_grad_()
        output = bottleneck(vectors)
        output.square().sum().backward()
        assert torch.isfinite(output).all() and torch.isfinite(vectors.grad).all()
        assert bottleneck.curve.grad is None or torch.isfinite(bottleneck.curve.grad).all()
        optimizer.step()
    bottleneck.eval()
    assert torch.isfinite(bottleneck(vectors)).all() and torch.isfinite(bottleneck.codebook).all()
    assert 0 <= bottleneck.encode(vectors).min() <= bottleneck.encode(vectors).max() < bottleneck.corners


def test_the_first_few_embeddings_pass_unchanged():
    bottleneck = Bottleneck(5, bits=3)
    assert torch.equal(bottleneck(draw(15)), draw(15))
    with pytest.raises(InputError, match="15 embeddings to calibrate the first codes on: train on more batches first"):
        bottleneck.encode(draw(15))
    assert not torch.equal(bottleneck(draw(15)), draw(15))
    assert bottleneck.encode(draw(15)).max() == 3


def test_a_curve_that_outgrows_its_embeddings_cannot_be_calibrated():
    bottleneck = Bottleneck(5, bits=6, grow_every=1)
    for _ in range(8):
        bottleneck(draw(5))
    with pytest.raises(InputError, match="40 embeddings to calibrate 64 codes on"):
        bottleneck.eval()(draw(5))


def test_impossible_options_are_errors():
    for options in ({"bits": 1}, {"bits": 3, "grow_every": 0}, {"bits": 3, "momentum": 1.5}):
        with pytest.raises(InputError, match=r"dimension=5, bits=.*should be >= 1, >= 2, >= 1, and between 0 and 1"):
            Bottleneck(5, **options)
    with pytest.raises(InputError, match="recent=31, should be >= 32 to calibrate 32 codes on"):
        Bottleneck(5, bits=5, recent=31)


def test_vectors_and_codes_that_do_not_fit_are_errors():
    bottleneck = train(Bottleneck(5, bits=3), 3)
    for vectors in (draw(4, dimension=4), draw(4)[0], draw(4)[:0], draw(4).int()):
        for method in (bottleneck, bottleneck.encode, bottleneck.calibrate):
            with pytest.raises(InputError, match=r"should be float \[B, 5\]"):
                method(vectors)
    with pytest.raises(InputError, match="vectors are not finite at step 2: lower the learning rate"):
        bottleneck(draw(4) / 0)
    for codes in (torch.tensor([4]), torch.tensor([-1]), torch.tensor([0.0])):
        with pytest.raises(InputError, match=r"should be integers in 0 … K-1=3"):
            bottleneck.decode(codes)


class Coder(torch.nn.Module):
    """A network around a bottleneck."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = torch.nn.Linear(5, 4), torch.nn.Linear(4, 5)
        self.bottleneck = Bottleneck(4, bits=4, grow_every=4)

    def forward(self, vectors):
        return self.decoder(self.bottleneck(self.encoder(vectors / 60).tanh()))

    def recode(self, vectors):
        embeddings = self.encoder(vectors / 60).tanh()
        return self.decoder(self.bottleneck.decode(self.bottleneck.encode(embeddings)))


def test_compiled_networks_compute_the_same():
    plain = Coder()
    twin = copy.deepcopy(plain)
    compiled = torch.compile(twin, backend="aot_eager")
    for network in (plain, compiled):
        torch.manual_seed(1)
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
        for step in range(14):  # with the start of the curve and two doublings
            loss = (network(draw(32, seed=step)) - draw(32, seed=step)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        network.eval()
    for name, value in plain.state_dict().items():
        assert torch.equal(value, twin.state_dict()[name]), name
    assert plain.bottleneck.corners == 16
    assert torch.equal(plain(draw(50)), compiled(draw(50)))
    assert torch.equal(plain.recode(draw(50)), torch.compile(twin.recode, backend="aot_eager")(draw(50)))


def test_it_moves_to_another_device_as_a_whole():
    moved = train(Bottleneck(5, bits=3, grow_every=10), 15).to("meta")
    assert {tensor.device.type for tensor in moved.state_dict().values()} == {"meta"}
    assert not [name for name, value in vars(moved).items() if isinstance(value, torch.Tensor)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_it_converts_as_a_whole_but_for_the_thresholds_between_codes(dtype):
    bottleneck = train(Bottleneck(5, bits=6, grow_every=10), 60).eval()
    codes = bottleneck.encode(draw(1000))
    thresholds = bottleneck.thresholds.clone()
    bottleneck.to(dtype)
    types = {name: value.dtype for name, value in bottleneck.state_dict().items() if value.is_floating_point()}
    assert types.pop("thresholds") == torch.float64 and set(types.values()) == {dtype}
    assert torch.equal(bottleneck.thresholds, thresholds)
    assert (bottleneck.encode(draw(1000)) != codes).double().mean() < {torch.float64: 1e-9, torch.bfloat16: 0.05}[dtype]


@pytest.mark.parametrize("inputs", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("state", [torch.float64, torch.float32, torch.bfloat16])
def test_embeddings_keep_their_type_and_codes_their_shares(state, inputs):
    bottleneck = Bottleneck(5, bits=3, grow_every=5, recent=2048).to(state)
    for step in range(20):
        vectors = draw(128, seed=step).to(inputs).requires_grad_()
        output = bottleneck(vectors)
        assert output.dtype == inputs
        output.sum().backward()
        assert vectors.grad.dtype == inputs and torch.isfinite(vectors.grad).all()
    assert bottleneck.eval()(vectors).dtype == inputs
    counts = torch.bincount(bottleneck.encode(draw(4000, seed=99).to(inputs)), minlength=8).double()
    assert counts.std() / counts.mean() < 1.6 * (7 / 2048 + 7 / 4000) ** 0.5


def test_autocast_does_not_change_which_codeword_is_nearest():
    bottleneck = train(Bottleneck(5, bits=6, grow_every=10), 60)
    twin = copy.deepcopy(bottleneck)
    torch.manual_seed(2)
    expected = bottleneck(draw(500))
    torch.manual_seed(2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(twin(draw(500)), expected)
