import unicodedata

import pytest

from speaq.data.image_folders import ImageFolders
from speaq.errors import SpeaqError


def touch(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    return folder


def test_find_takes_known_endings_in_any_case(tmp_path):
    folder = touch(
        tmp_path / "images", "1.JPG", "2.Png", "b/3.jpeg", "4.webp", "5.BMP", "6.txt", "7.jpg.part"
    )
    folders = ImageFolders(folder)
    names = ["1.JPG", "2.Png", "b/3.jpeg", "4.webp", "5.BMP"]
    assert [folders.find(image_id) for image_id in (1, "2", "b/3", 4, 5)] == [folder / name for name in names]
    assert [folders.find(image_id) for image_id in (6, 7, "3", "../images/1")] == [
        None,
        None,
        None,
        folder / "../images/1.JPG",
    ]
    assert {path.name for path in folders.all_files()} == {"1.JPG", "2.Png", "4.webp", "5.BMP"}


def test_find_prefers_the_first_ending_and_lower_case(tmp_path):
    folder = touch(tmp_path / "images", "1.png", "1.jpg", "2.JPG", "2.jpg")
    folders = ImageFolders(str(folder))
    assert [folders.find(1), folders.find(2)] == [folder / "1.jpg", folder / "2.jpg"]


def test_find_takes_the_name_of_the_image_list_first(tmp_path):
    folder = touch(tmp_path / "images", "1.jpg", "b/photo.JPG")
    touch(tmp_path, "secret.jpg")
    folders = ImageFolders(folder)
    assert folders.find(1, "b/photo.JPG") == folder / "b/photo.JPG"
    assert folders.find(1, "b/photo.jpg") == folder / "b/photo.JPG"
    for name in ("gone.jpg", "../secret.jpg", f"{tmp_path}/secret.jpg", "", None):
        assert folders.find(1, name) == folder / "1.jpg"
    assert folders.find_all([7, 1], ["b/photo.JPG", None]) == [folder / "b/photo.JPG", folder / "1.jpg"]


def test_find_takes_decomposed_characters(tmp_path):
    name = unicodedata.normalize("NFD", "한글 é")
    folder = touch(tmp_path / "images", f"{name}.jpg")
    assert ImageFolders(folder).find(unicodedata.normalize("NFC", name)) == folder / f"{name}.jpg"


def test_several_folders_are_searched_in_order(tmp_path):
    first, second = touch(tmp_path / "a", "1.jpg"), touch(tmp_path / "b", "1.jpg", "2.jpg")
    folders = ImageFolders([first, second])
    assert [folders.find(1), folders.find(2)] == [first / "1.jpg", second / "2.jpg"]


@pytest.mark.parametrize("given", ["VG_100K", "VG_100K_2"])
def test_the_other_folder_of_visual_genome_is_searched_too(tmp_path, given):
    touch(tmp_path / "VG_100K", "1.jpg")
    touch(tmp_path / "VG_100K_2", "2.jpg")
    folders = ImageFolders(tmp_path / given)
    assert folders.find_all([1, 2]) == [tmp_path / "VG_100K/1.jpg", tmp_path / "VG_100K_2/2.jpg"]


def test_find_all_names_the_missing_images(tmp_path):
    folders = ImageFolders(touch(tmp_path / "images", "1.jpg"))
    with pytest.raises(
        SpeaqError, match=r"images: 7 of 8 images have no file \(2, 3, 4, 5, 6, ...\); expected 2.jpg"
    ):
        folders.find_all(range(1, 9))
    with pytest.raises(SpeaqError, match="nowhere: there is no such folder of images"):
        ImageFolders([tmp_path / "images", tmp_path / "nowhere"])
