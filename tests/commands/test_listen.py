"""``minirnn listen``: what it writes down, and what it refuses."""

import wave

import numpy as np
import pytest

import minirnn as mr
from minirnn import cli
from minirnn.commands import listen
from minirnn.experiments import speech


def write_wav(path, samples, rate):
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", "not compressed"))
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return str(path)


def tone(rate, seconds=0.5):
    t = np.arange(round(rate * seconds)) / rate
    return 0.5 * np.sin(2 * np.pi * 300 * t) * (t > 0.1)


@pytest.fixture
def model(tmp_path):
    """An untrained one, that says a digit at some steps."""
    layers = mr.LSTM(52, 4, rng=0), mr.LSTM(52, 4, rng=1)
    net = mr.Sequential(mr.Bidirectional(*layers), mr.Linear(8, 11, rng=2))
    net.params["1.W"][...] *= 10
    speech.keep(tmp_path, net)
    return tmp_path / "speech.npz"


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_a_recording_of_any_rate_is_written_down(rate, model, tmp_path, capsys):
    file = write_wav(tmp_path / "said.wav", tone(rate), rate)
    assert cli.main(["listen", file, "--model", str(model), "--out", str(tmp_path / "o")]) == 0
    said = capsys.readouterr().out
    assert f"0.50 s, {rate} samples a second" in said
    digits = said.split("digits: ")[1].split("\n")[0].split()
    assert len(digits) >= 1 and said.count(" s  ") == len(digits)
    assert (tmp_path / "o" / "said.png").stat().st_size > 1000


def test_each_digit_has_the_time_at_which_the_network_is_surest():
    logits = np.full((9, 1, 11), -9.0)
    logits[:, 0, 0] = 0
    for t, digit, value in ((1, 4, 1.0), (2, 4, 8.0), (3, 4, 2.0), (5, 4, 5.0), (6, 0, 5.0)):
        logits[t, 0, digit + 1] = value
    digits, times = listen.heard(logits, 1, 0.02)
    assert digits == [4, 4, 0]
    assert times == pytest.approx([0.05, 0.11, 0.13])
    assert listen.heard(logits, 8, 0.02) == (digits, times)


@pytest.mark.parametrize(
    ("samples", "rate", "match"),
    [
        (tone(4000), 4000, "said.wav: expected at least 8000 samples a second, got 4000"),
        (np.zeros(800), 8000, "said.wav: expected a recording, got silence"),
        (np.zeros(8000 * 121), 8000, "said.wav: expected at most 120 seconds, got 121"),
        (np.zeros(0), 8000, "said.wav: expected at least one sample, got none"),
    ],
)
def test_what_is_no_recording_is_refused(samples, rate, match, model, tmp_path, capsys):
    file = write_wav(tmp_path / "said.wav", samples, rate)
    assert cli.main(["listen", file, "--model", str(model)]) == 1
    assert match in capsys.readouterr().err


def test_a_missing_or_another_model_is_refused(tmp_path, capsys):
    file = write_wav(tmp_path / "said.wav", tone(8000), 8000)
    missing = str(tmp_path / "none.npz")
    assert cli.main(["listen", file, "--model", missing]) == 1
    assert "--model: there is no" in capsys.readouterr().err
    mr.save(mr.Linear(2, 3), tmp_path / "other.npz")
    assert cli.main(["listen", file, "--model", str(tmp_path / "other.npz")]) == 1
    assert "--model: expected what 'minirnn speech' has saved" in capsys.readouterr().err
    assert cli.main(["listen", str(tmp_path / "no.wav"), "--model", missing]) == 1


def test_speech_is_cut_where_it_is_silent():
    rng = np.random.default_rng(0)
    loud = [rng.normal(0, 0.3, n) for n in (3000, 1600)]
    quiet = rng.normal(0, 0.001, 1600)
    samples = np.concatenate([quiet, loud[0], quiet, loud[1], quiet])
    parts = speech.pieces(samples, 20, 6)
    assert len(parts) == 2
    for part, n in zip(parts, (3000, 1600), strict=True):
        assert len(part) == pytest.approx(n, abs=400)
    assert len(speech.pieces(samples, 20, 40)) == 1  # the silence is too short for this
