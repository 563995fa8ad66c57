import pytest

from gdws_agent.backends.packages import has_file, is_installed, release, version_of


def test_what_is_installed():
    assert is_installed("pytest")
    assert not is_installed("no_such_package")
    assert version_of("no-such-package", "pytest") == pytest.__version__
    assert version_of("no-such-package") is None


def test_a_file_of_a_package_is_found_without_importing_it():
    assert has_file("pydantic", "main.py")
    assert not has_file("pydantic", "no_such.so")
    assert not has_file("no_such_package", "main.py")
    assert not has_file("this", "main.py")  # a module that is one file


@pytest.mark.parametrize(
    ("version", "expected"),
    [("1.16.3", (1, 16)), ("2.14.1+cu130", (2, 14)), ("2.0", (2, 0)), ("2", (0, 0)), ("", (0, 0)), ("2.x1", (0, 0))],
)
def test_a_release_is_major_and_minor(version, expected):
    assert release(version) == expected
