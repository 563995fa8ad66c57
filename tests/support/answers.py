"""Answers of the agent's interface. Runs on Python 3.8."""

from __future__ import annotations

from typing import Any

from gdws_contract.problems import CONTENT_TYPE, Problem


def problem_in(response: Any, status: int, code: str) -> Problem:
    """Check that the answer is a problem document of this kind, and return it."""
    assert (response.status_code, response.headers["content-type"]) == (status, CONTENT_TYPE), response.text
    problem = Problem.model_validate_json(response.content)
    assert (problem.status, problem.code) == (status, code), response.text
    return problem
