from pathlib import Path

import cv2
import numpy as np
import pytest

from mmvan.errors import DataError
from mmvan.inference.inputs import Source, Video, find_sources


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_folders_patterns_files_and_cameras_each_once(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "1.jpg", tmp_path / "a" / "deep" / "2.PNG", tmp_path / "a" / "notes.txt")
    touch(tmp_path / "b" / "1.jpg", tmp_path / "clip.mp4")
    inputs = [str(tmp_path / "a"), str(tmp_path / "*" / "1.jpg"), str(tmp_path / "clip.mp4"), "0"]
    sources, failures = find_sources(inputs)
    assert [(each.name, each.kind) for each in sources] == [
        ("1.jpg", "image"),
        ("deep/2.PNG", "image"),
        ("b/1.jpg", "image"),  # The plain name is taken.
        ("clip.mp4", "video"),
        ("camera0", "camera"),
    ]
    assert failures == []


def test_what_is_nothing_says_why(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    inputs = [str(tmp_path / name) for name in ("empty", "no.jpg", "*.gif")]
    sources, failures = find_sources(inputs)
    assert sources == []
    assert [each.name for each in failures] == inputs
    assert [each.reason for each in failures] == [
        "no image or video in this folder",
        "no such file or folder",
        "no file fits this pattern",
    ]


def test_frames_of_a_video(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5, (64, 48))
    for value in (0, 120, 240):
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
    video = Video(Source("clip.avi", "video", path))
    assert (video.rate, video.frames) == (5, 3)
    assert [round(float(frame.mean()), -1) for frame in video] == [0, 120, 240]


def test_a_file_that_is_no_video(tmp_path: Path) -> None:
    touch(tmp_path / "clip.mp4")
    with pytest.raises(DataError, match="not a readable video"):
        Video(Source("clip.mp4", "video", tmp_path / "clip.mp4"))
