"""Images in numpy and Pillow: what every mode becomes, what is refused and with which words."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnspec import vision
from cnnspec.diagnostics import MissingError, RunError

RED, GREY_OF_RED = [255, 0, 0], 76


def palette() -> Image.Image:
    image = Image.new("P", (2, 1), 1)
    image.putpalette([0, 255, 0, 255, 0, 0])
    return image


def clear_palette() -> Image.Image:
    image = palette()
    image.putpixel((1, 0), 0)
    image.info["transparency"] = 0
    return image


def wide_grey(value: int) -> Image.Image:
    return Image.fromarray(np.full((1, 2), value, np.uint16))


# file, image, first pixel as RGB, as grey
MODES = [
    ("a.png", Image.new("L", (2, 1), 100), [100] * 3, 100),
    ("a.png", Image.new("RGB", (2, 1), (255, 0, 0)), RED, GREY_OF_RED),
    ("a.png", Image.new("1", (2, 1), 1), [255] * 3, 255),
    ("a.png", palette(), RED, GREY_OF_RED),
    ("a.png", clear_palette(), RED, GREY_OF_RED),
    ("a.png", Image.new("RGBA", (2, 1), (255, 0, 0, 255)), RED, GREY_OF_RED),
    ("a.png", Image.new("RGBA", (2, 1), (255, 0, 0, 0)), [255] * 3, 255),
    ("a.png", Image.new("RGBA", (2, 1), (0, 0, 0, 51)), [204] * 3, 204),
    ("a.png", Image.new("LA", (2, 1), (0, 0)), [255] * 3, 255),
    ("a.png", wide_grey(65535), [255] * 3, 255),
    ("a.png", wide_grey(257 * 100), [100] * 3, 100),
    ("a.png", wide_grey(0), [0] * 3, 0),
    ("a.ppm", Image.new("RGB", (2, 1), (255, 0, 0)), RED, GREY_OF_RED),
    ("a.bmp", Image.new("RGB", (2, 1), (255, 0, 0)), RED, GREY_OF_RED),
    ("a.webp", Image.new("RGB", (2, 1), (255, 255, 255)), [255] * 3, 255),
    ("a.jpg", Image.new("CMYK", (2, 1), (0, 0, 0, 255)), [0] * 3, 0),
    ("a.jpg", Image.new("CMYK", (2, 1), (0, 0, 0, 0)), [255] * 3, 255),
]


@pytest.mark.parametrize(("name", "image", "colour", "grey"), MODES)
def test_every_mode_has_its_rule(tmp_path: Path, name: str, image: Image.Image, colour: list[int], grey: int) -> None:
    image.save(tmp_path / name, lossless=True)  # for WebP; the others have no use for it
    for channels, due in ((3, colour), (1, [grey])):
        loaded = vision.load(tmp_path / name, channels)
        assert loaded.dtype == np.uint8
        assert loaded.shape == (1, 2, channels)
        assert loaded[0, 0].tolist() == due


def test_a_transparent_palette_entry_lies_over_white(tmp_path: Path) -> None:
    clear_palette().save(tmp_path / "a.png")
    assert vision.load(tmp_path / "a.png", 3)[0].tolist() == [RED, [255] * 3]


def test_a_photo_stands_as_its_exif_data_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    Image.new("L", (4, 2)).save(tmp_path / "a.jpg", exif=exif)
    assert vision.load(tmp_path / "a.jpg", 1).shape == (4, 2, 1)


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (2, 1), "white"), Image.new("RGB", (2, 1), "black")
    first.save(tmp_path / "a.webp", save_all=True, append_images=[second], lossless=True)
    assert vision.load(tmp_path / "a.webp", 1)[0, 0, 0] == 255


def bomb(side: int) -> bytes:
    """A PNG of side x side pixels that says so and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def photo() -> bytes:
    from io import BytesIO

    file = BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    Image.fromarray(noise).save(file, "JPEG")
    return file.getvalue()


def tiff() -> bytes:
    from io import BytesIO

    file = BytesIO()
    Image.new("L", (2, 2)).save(file, "TIFF")
    return file.getvalue()


UNKNOWN = "a: no image in a known format (PNG, JPEG, WEBP, BMP, PPM)"
REFUSED = [
    (b"", UNKNOWN),
    (b"this is text", UNKNOWN),
    (tiff(), UNKNOWN),
    (photo()[:2], UNKNOWN),
    (photo()[:700], "a: the image cannot be decoded: image file is truncated"),
    (bomb(20_000), "a: 400000000 pixels, the limit is 67108864"),
    (bomb(9_000), "a: 81000000 pixels, the limit is 67108864"),
    (bomb(8_192), "a: the image cannot be decoded: "),  # at the limit it is read
]


@pytest.mark.parametrize(("data", "text"), REFUSED)
def test_what_is_no_whole_image_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a").write_bytes(data)
    with pytest.raises(RunError) as caught:
        vision.load("a", 3)
    assert str(caught.value).removeprefix("error: ").startswith(text)


def test_any_cut_or_flipped_byte_gives_an_image_or_a_named_error(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8), np.uint8)).save(tmp_path / "a.png")
    whole, random = (tmp_path / "a.png").read_bytes(), np.random.default_rng(1)
    named = set()
    for at in range(len(whole)):
        flipped = bytearray(whole)
        flipped[at] ^= int(random.integers(1, 256))
        for data in (whole[:at], bytes(flipped)):
            (tmp_path / "a.png").write_bytes(data)
            try:
                vision.load(tmp_path / "a.png", 1)
            except RunError as error:
                named.add(error.message.startswith(str(tmp_path / "a.png")))
    assert named == {True}


def test_a_missing_file_and_a_folder_are_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"cannot read .*nope.png: No such file or directory"):
        vision.load(tmp_path / "nope.png", 1)
    with pytest.raises(MissingError, match="Is a directory"):
        vision.load(tmp_path, 1)


def test_other_channels_than_1_and_3_are_refused() -> None:
    with pytest.raises(RunError, match="an image has 1 or 3 channels, the network wants 4"):
        vision.load("a.png", 4)


def ramp(height: int, width: int, channels: int = 1) -> vision.Pixels:
    columns = np.arange(width, dtype=np.uint8) * (250 // width)
    return np.broadcast_to(columns[None, :, None], (height, width, channels)).copy()


@pytest.mark.parametrize("channels", [1, 3])
def test_resizing_to_the_same_size_changes_nothing(channels: int) -> None:
    assert np.array_equal(vision.resize(ramp(5, 7, channels), 5, 7), ramp(5, 7, channels))


def test_stretching_is_torchvision_s_bilinear_with_smoothing() -> None:
    import torch
    from torchvision.transforms import v2

    image = np.random.default_rng(0).integers(0, 255, (3, 40, 60), np.uint8)
    theirs = v2.functional.resize(torch.from_numpy(image).float(), [24, 32], antialias=True)
    ours = vision.resize(np.moveaxis(image, 0, -1), 24, 32)
    assert np.abs(np.moveaxis(ours, -1, 0) - theirs.numpy()).max() <= 1  # both round to whole numbers on the way


@pytest.mark.parametrize(("rows", "columns"), [(8, 16), (16, 8), (8, 8)])
def test_cropping_takes_the_centre_in_proportion(rows: int, columns: int) -> None:
    image = np.zeros((rows, columns, 1), np.uint8)
    middle = (slice(rows // 2 - 4, rows // 2 + 4), slice(columns // 2 - 4, columns // 2 + 4))
    image[middle] = ramp(8, 8) + 5
    assert np.array_equal(vision.resize(image, 8, 8, "crop", margin=1.0), ramp(8, 8) + 5)


def test_the_margin_of_a_crop_is_what_the_papers_leave_out() -> None:
    """256 pixels wide, 224 seen: the 16 at each side do not count."""
    image = np.full((256, 300, 3), 200, np.uint8)
    image[:16], image[-16:], image[:, :38], image[:, -38:] = 0, 0, 0, 0
    assert vision.resize(image, 224, 224, "crop").min() == 200


def test_normalizing_gives_maps_of_mean_0_and_spread_1() -> None:
    image = np.array([[[0, 51, 255]]], np.uint8)
    result = vision.normalize(image, [0.0, 0.2, 0.5], [1.0, 0.5, 0.25])
    assert result.shape == (3, 1, 1)
    assert result.dtype == np.float32
    assert result[:, 0, 0] == pytest.approx([0, 0, 2], abs=1e-6)


def test_softmax_does_not_overflow() -> None:
    result = vision.softmax(np.array([1e30, 1e30, -1e30], np.float32))
    assert result.tolist() == [0.5, 0.5, 0]


@pytest.mark.parametrize(
    ("k", "due"), [(1, [2]), (3, [2, 0, 1]), (9, [2, 0, 1, 3]), (0, [])], ids=["first", "ties", "all", "none"]
)
def test_top_k_ranks_and_takes_the_first_of_equals(k: int, due: list[int]) -> None:
    ranked = vision.top_k(np.array([0.2, 0.2, 0.5, 0.1], np.float32), k)
    assert [index for index, _ in ranked] == due
