"""WAV files, right and broken; cepstra, step by step and against other libraries; recordings."""

import io
import struct
import tarfile
import wave

import numpy as np
import pytest

from minirnn.datasets import cepstra, speech


def wav(samples, width=2, rate=8000, channels=1):
    """The bytes of a WAV file with samples as whole numbers, of all channels in turn."""
    raw = [int(v) + 128 if width == 1 else int(v) for v in samples]
    content = b"".join(v.to_bytes(width, "little", signed=width > 1) for v in raw)
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((channels, width, rate, 0, "NONE", "not compressed"))
        out.writeframes(content)
    return file.getvalue()


def extensible(data):
    """The same file with the longer header, that programs write for more than 16 bits."""
    guid = b"\1\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
    bits = struct.unpack("<H", data[34:36])[0]
    fmt = b"\xfe\xff" + data[22:36] + struct.pack("<HHI", 22, bits, 0) + guid
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + data[36:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("header", [lambda data: data, extensible], ids=["plain", "extensible"])
def test_samples_of_every_width_are_read_exactly(tmp_path, width, header):
    top = 2 ** (8 * width - 1)
    values = np.array([0, 1, -1, top - 1, -top, top // 3])
    (tmp_path / "a.wav").write_bytes(header(wav(values, width)))
    samples, rate = speech.read_wav(tmp_path / "a.wav")
    assert rate == 8000
    assert samples.dtype == np.float64
    assert np.array_equal(samples * top, values)


def test_channels_are_mixed_down_to_their_mean():
    samples, rate = speech.decoded(wav([100, 300, -7, 8], channels=2, rate=44100), "a")
    assert rate == 44100
    assert (samples * 2**15).tolist() == [200, 0.5]


def test_a_file_that_was_written_into_a_pipe_has_no_length():
    data = bytearray(wav([1, 2, 3]))
    for size in (0xFFFFFFFF, 0x7FFFFFFF - 36):
        data[40:44] = struct.pack("<I", size)
        assert len(speech.decoded(bytes(data), "a")[0]) == 3


def floats(data):
    return data[:20] + b"\3\0" + data[22:]


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda d: b"", r"a.wav: expected a WAV file with PCM samples \(it is cut off"),
        (lambda d: d[:30], "a.wav: expected a WAV file"),
        (lambda d: b"ID3" + d, r"a.wav: expected a WAV file .*RIFF"),
        (lambda d: d[:8] + b"AVI " + d[12:], "a.wav: expected a WAV file"),
        (floats, r"a.wav: expected a WAV file .*format: 3"),
        (lambda d: d[:22] + b"\0\0" + d[24:], "a.wav: expected a WAV file .*channels"),
        (lambda d: d[:24] + bytes(4) + d[28:], "expected samples of .* got 16 bits, 0 a second"),
        (lambda d: d[:34] + b"\x40\0" + d[36:], "expected samples of .* got 64 bits"),
        (lambda d: d[:-2], "a.wav: expected 3 samples, as its header says, got 2: it is cut off"),
        (lambda d: d[:40] + bytes(4), "a.wav: expected at least one sample, got none"),
        (lambda d: d[:36], "a.wav: expected a WAV file"),
    ],
)
def test_what_is_no_wav_file_is_refused(tmp_path, spoil, match):
    (tmp_path / "a.wav").write_bytes(spoil(wav([1, 2, 3])))
    with pytest.raises(ValueError, match=match):
        speech.read_wav(tmp_path / "a.wav")


def test_random_damage_is_refused_or_read():
    whole, rng = wav(np.arange(40), 3, channels=2), np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(whole[: rng.integers(0, len(whole) + 1)])
        for at in rng.integers(0, max(1, min(60, len(data))), 2):
            data[at : at + 1] = bytes([rng.integers(256)])
        try:
            samples, _ = speech.decoded(bytes(data), "a.wav")
        except ValueError as error:
            assert str(error).startswith("a.wav: expected")
        else:
            assert np.abs(samples).max() <= 1


# ---- Rates --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [16000, 44100, 48000, 6000])
def test_a_tone_is_the_same_tone_at_another_rate(rate):
    t = np.arange(rate) / rate
    there = speech.resampled(np.sin(2 * np.pi * 440 * t) * np.hanning(rate), rate, 8000)
    here = np.arange(8000) / 8000
    expected = np.sin(2 * np.pi * 440 * here) * np.hanning(8000)
    assert len(there) == 8000
    np.testing.assert_allclose(there[20:-20], expected[20:-20], atol=2e-3)


def test_a_tone_that_the_lower_rate_cannot_hold_vanishes():
    tone = np.sin(2 * np.pi * 5000 * np.arange(16000) / 16000)
    assert np.abs(speech.resampled(tone, 16000, 8000)[100:-100]).max() < 1e-2


def test_a_constant_stays_one_and_equal_rates_change_nothing():
    x = np.full(99, 0.25)
    np.testing.assert_allclose(speech.resampled(x, 44100, 8000), 0.25)
    assert np.array_equal(speech.resampled(x, 8000, 8000), x)
    with pytest.raises(ValueError, match=r"rate: expected a finite number in \(0, inf\], got 0"):
        speech.resampled(x, 0, 8000)


# ---- Cepstra ------------------------------------------------------------------------------------

X = np.random.default_rng(0).normal(size=1234)


def test_frames_overlap_and_the_last_is_filled_up():
    f = cepstra.frames(np.arange(1, 8.0), 4, 2)
    assert f.tolist() == [[1, 2, 3, 4], [3, 4, 5, 6], [5, 6, 7, 0]]
    assert cepstra.frames(np.ones(2), 4, 2).tolist() == [[1, 1, 0, 0]]
    assert cepstra.frames(np.ones(4), 4, 2).shape == (1, 4)


def test_the_power_of_a_tone_stands_at_its_frequency():
    tone = np.sin(2 * np.pi * 1000 * np.arange(256) / 8000)
    power = cepstra.power_spectrum(tone[None], 256)
    assert power[0].argmax() == 32  # 1000 of 8000 Hz, 256 parts
    # Parseval: the sum over all frequencies, of which two thirds of ours count twice.
    assert 2 * power.sum() == pytest.approx(np.sum((tone * np.hamming(256)) ** 2), rel=1e-6)


def test_mel_filters_are_triangles_side_by_side():
    filters = cepstra.mel_filters(20, 512, 8000)
    corners = cepstra.hertz(np.linspace(0, cepstra.mel(4000), 22)) / 8000 * 512
    inner = slice(int(corners[1]) + 1, int(corners[-2]))
    np.testing.assert_allclose(filters[inner].sum(axis=1), 1)
    assert (filters.argmax(axis=0) == np.round(corners[1:-1])).mean() > 0.9
    assert cepstra.mel(1000) == pytest.approx(1000, abs=0.1)


def test_the_cosine_transform_keeps_lengths():
    a = np.random.default_rng(0).normal(size=(5, 12))
    c = cepstra.cosine_transform(a, 12)
    np.testing.assert_allclose((c**2).sum(axis=1), (a**2).sum(axis=1))
    np.testing.assert_allclose(cepstra.cosine_transform(np.ones((1, 12)), 4)[0, 1:], 0, atol=1e-14)


def test_deltas_are_the_slope_of_the_nearest_line():
    c = np.random.default_rng(0).normal(size=(9, 3))
    d = cepstra.deltas(c)
    for t in range(2, 7):
        slopes = np.polyfit(np.arange(-2, 3), c[t - 2 : t + 3], 1)[0]
        np.testing.assert_allclose(d[t], slopes, atol=1e-14)
    assert not cepstra.deltas(np.ones((1, 3))).any()


def test_a_recording_s_loudness_and_microphone_are_taken_out():
    a = cepstra.features(X, 8000)
    np.testing.assert_allclose(cepstra.features(7 * X, 8000), a, atol=1e-9)
    np.testing.assert_allclose(a.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(a.std(axis=0), 1)
    assert a.shape == (1 + -(-(1234 - 200) // 80), 26)


def test_silence_has_features_too():
    assert not cepstra.features(np.zeros(1000), 8000).any()
    assert cepstra.features(np.ones(1), 8000).shape == (1, 26)


def test_python_speech_features_computes_the_same():
    base = pytest.importorskip("python_speech_features.base")
    filters = base.get_filterbanks(26, 256, 8000)  # its corners are rounded to whole frequencies
    power = cepstra.power_spectrum(cepstra.frames(cepstra.pre_emphasis(X), 200, 80), 256)
    ours = cepstra.cosine_transform(cepstra.logarithm(power @ filters.T), 13)
    theirs = base.mfcc(X, 8000, winfunc=np.hamming, nfft=256, ceplifter=0, appendEnergy=False)
    np.testing.assert_allclose(ours, theirs, atol=1e-10)
    np.testing.assert_allclose(cepstra.deltas(ours), base.delta(theirs, 2), atol=1e-10)
    with_energy = base.mfcc(X, 8000, winfunc=np.hamming, nfft=256, ceplifter=0)
    np.testing.assert_allclose(cepstra.mfcc(X, 8000)[:, 0], with_energy[:, 0], atol=1e-10)


def test_librosa_computes_the_same():
    librosa = pytest.importorskip("librosa")
    filters = librosa.filters.mel(
        sr=8000, n_fft=256, n_mels=26, htk=True, norm=None, dtype=np.float64
    )
    np.testing.assert_allclose(cepstra.mel_filters(26, 256, 8000), filters.T, atol=1e-12)
    # librosa knows frames of n_fft samples only, and does not fill up the last.
    y = X[: 256 + 80 * 12]
    window = dict(hop_length=80, window=np.hamming(256), center=False)
    mel = librosa.feature.melspectrogram(
        S=abs(librosa.stft(cepstra.pre_emphasis(y), n_fft=256, dtype=complex, **window)) ** 2 / 256,
        sr=8000, n_mels=26, htk=True, norm=None, dtype=np.float64,
    )  # fmt: skip
    theirs = librosa.feature.mfcc(S=np.log(mel), n_mfcc=13, dct_type=2, norm="ortho")
    ours = cepstra.mfcc(y, 8000, window=256 / 8000, energy=False)
    np.testing.assert_allclose(ours, theirs.T, atol=1e-8)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"samples": X[None]}, r"samples: expected shape \(n,\), got \(1, 1234\)"),
        ({"samples": X[:0]}, r"samples: expected shape \(n,\), got \(0,\): it is empty"),
        ({"samples": X * np.nan}, r"samples: expected finite numbers, got nan at \(0,\)"),
        ({"rate": 0}, r"rate: expected a finite number in \[1, inf\], got 0"),
        ({"coefficients": 27}, "coefficients: expected at most bands = 26, got 27"),
        ({"bands": 0}, "bands: expected a whole number of at least 1, got 0"),
        ({"hop": 1e-9}, r"hop: expected at least one sample, at most 2\^24, got 0"),
        ({"window": -1}, r"window: expected a finite number in \(0, inf\], got -1"),
        ({"emphasis": 2}, r"emphasis: expected a finite number in \[0, 1\], got 2"),
    ],
)
def test_settings_that_do_not_fit_are_refused(given, match):
    with pytest.raises(ValueError, match=match):
        cepstra.mfcc(**({"samples": X, "rate": 8000} | given))


# ---- Recordings of digits -----------------------------------------------------------------------


def archive(path, members):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def test_recordings_are_read_from_the_archive_in_order(tmp_path):
    top = "free-spoken-digit-dataset-1.0.10/"
    members = {
        top + "README.md": b"words", top + "recordings/3_theo_10.wav": wav([3]),
        top + "recordings/3_theo_2.wav": wav([1, 2]), top + "recordings/9_george_0.wav": wav([4]),
    }  # fmt: skip
    found = speech.read_digits(archive(tmp_path / "a.tar.gz", members))
    assert [r[1:] for r in found] == [(9, "george", 0), (3, "theo", 2), (3, "theo", 10)]
    assert (found[1].samples * 2**15).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ({"recordings/10_theo_1.wav": wav([1])}, r"10_theo_1.wav: expected recordings/DIGIT_SPE"),
        ({"recordings/1_theo_1.wav": b"RIFF"}, r"recordings/1_theo_1.wav: expected a WAV file"),
        ({"recordings/1_theo_1.wav": wav([1], rate=9)}, "expected 8000 samples a second, got 9"),
        ({"other/1_theo_1.wav": wav([1])}, "a.tar.gz: expected recordings/.* in it, found none"),
    ],
)  # fmt: skip
def test_an_archive_of_something_else_is_refused(tmp_path, members, match):
    with pytest.raises(ValueError, match=match):
        speech.read_digits(archive(tmp_path / "a.tar.gz", members))


def test_the_recordings_of_the_data_set(data):
    found = speech.digits()
    assert len(found) == 3000
    assert len({r[1:] for r in found}) == 3000
    assert len({r.speaker for r in found}) == 6
    assert {r.digit for r in found} == set(range(10))
    assert sum(len(r.samples) for r in found) / speech.RATE == pytest.approx(1312, abs=1)
    assert sum(r.number < speech.TEST for r in found) == 300


def test_joined_recordings_stand_between_gaps():
    parts, rng = [np.ones(3), np.full(2, 2.0)], np.random.default_rng(0)
    assert speech.joined(parts, [2, 1, 3], 0, rng).tolist() == [0, 0, 1, 1, 1, 0, 2, 2, 0, 0, 0]
    assert np.std(speech.joined(parts, [0, 5000, 0], 0.1, rng)[3:-2]) == pytest.approx(
        0.1, rel=0.05
    )
