"""`import workbench` is light, complete, and says so when something of the user's is in its way."""

from __future__ import annotations

import subprocess
import sys

import pytest

import workbench as wb


def python(code: str, cwd) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=120
    )


@pytest.mark.process
def test_importing_loads_nothing_heavy(tmp_path):
    heavy = ("torch", "transformers", "panel", "gradio", "holoviews", "pandas")
    code = f"import sys, workbench; print([m for m in {heavy!r} if m in sys.modules])"
    assert python(code, tmp_path).stdout.strip() == "[]"


def test_every_public_name_is_there():
    for name in wb.__all__:
        assert getattr(wb, name) is not None
    assert set(wb.__all__) <= set(dir(wb))
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        _ = wb.lode


@pytest.mark.process
@pytest.mark.parametrize("stray", ["hooks.py", "hooks/__init__.py"])
def test_a_stray_file_of_the_same_name_is_named(tmp_path, stray):
    file = tmp_path / stray
    file.parent.mkdir(exist_ok=True)
    file.write_text("")
    done = python("import workbench as wb; wb.capture", tmp_path)
    assert "Another 'hooks' is in the way" in done.stderr
    assert "Rename your 'hooks'" in done.stderr


@pytest.mark.process
def test_a_folder_without_init_is_not_in_the_way(tmp_path):
    (tmp_path / "ui").mkdir()
    assert python("import workbench as wb; wb.explore", tmp_path).returncode == 0
