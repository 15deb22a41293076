"""Precision and recall: programs with one culprit each, and healthy ones (tests/corpus)."""

import pytest

from harness import BUILD, ROOT, execute


@pytest.mark.seconds(900)
def test_culprits_are_named_and_the_healthy_left_alone():
    result = execute([ROOT / "tests" / "corpus" / "run", "--variants", "O2"],
                     env={"ULLAGE_BUILD": str(BUILD)}, timeout=850)
    assert result.status == 0, result.text() + result.stderr.decode()


@pytest.mark.seconds(300)
def test_the_healthy_are_left_alone_by_samples():
    """What all live bytes together do is exact, and tells chance from growth."""
    corpus = ROOT / "tests" / "corpus"
    result = execute([corpus / "run", "--variants", "O2", *sorted((corpus / "healthy").iterdir())],
                     env={"ULLAGE_BUILD": str(BUILD), "ULLAGE_SAMPLE": "8192"}, timeout=280)
    assert result.status == 0, result.text() + result.stderr.decode()
