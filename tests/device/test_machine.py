import errno
import os

import pytest

from gdws_agent.backends.errors import typed
from gdws_agent.errors import BuildFailed, RunFailed
from gdws_agent.machine import is_machine_fault, tells_of_machine


def os_error(number):
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize("name", ["EMFILE", "ENFILE", "EAGAIN", "ENOMEM", "ENOSPC", "EDQUOT", "EIO"])
def test_errors_that_are_shortages_of_the_machine(name):
    assert is_machine_fault(os_error(getattr(errno, name)))


@pytest.mark.parametrize("name", ["ENOENT", "EACCES", "EINVAL", "EPIPE"])
def test_errors_that_are_not(name):
    assert not is_machine_fault(os_error(getattr(errno, name)))


def test_the_cause_counts_whatever_it_was_wrapped_in():
    failed = RunFailed("the runtime's profile cannot be read")
    assert not is_machine_fault(failed)
    failed.__cause__ = os_error(errno.ENOSPC)
    assert is_machine_fault(failed)


@pytest.mark.parametrize(
    "text",
    [
        "std::system_error: Resource temporarily unavailable",
        "open file /x/y fail, errcode = 24 - Too many open files",
        "can't start new thread",
        "[Errno 28] No space left on device: 'a.cache'",
    ],
)
def test_runtimes_tell_of_it_in_text(text):
    assert tells_of_machine(text)
    assert is_machine_fault(typed(RuntimeError(text), BuildFailed, "the model could not be loaded"))


@pytest.mark.parametrize("text", ["", "bad_alloc", "Could not find an implementation for Relu", "std::bad_alloc"])
def test_other_messages_are_faults_of_the_network(text):
    assert not tells_of_machine(text)
    assert not is_machine_fault(typed(RuntimeError(text), BuildFailed, "the model could not be loaded"))


def test_causes_in_a_circle_end():
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert not is_machine_fault(first)


@pytest.mark.parametrize("words", ["No space left on device", "too many open files", "can't start new thread"])
def test_a_network_that_has_these_words_for_names_is_not_believed(words):
    failed = RuntimeError(f"while running node '{words}': wrong shape")
    assert is_machine_fault(failed, quotable=b"other names")
    assert not is_machine_fault(failed, quotable=b"node " + words.upper().encode())
    assert is_machine_fault(RuntimeError(f"'{words}': Input/output error"), quotable=words.encode())
    assert is_machine_fault(OSError(errno.EMFILE, words), quotable=words.encode())
