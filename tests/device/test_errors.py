import errno
import inspect

import pytest

from gdws_agent import errors
from gdws_agent.errors import TABLE, AgentError, StartupError, make_problem, problem_of
from gdws_contract import errors as contract_errors
from gdws_contract.problems import Problem


def public_errors(module, base):
    found = [kind for _, kind in inspect.getmembers(module, inspect.isclass)]
    return [kind for kind in found if issubclass(kind, base) and kind.__module__ == module.__name__]


#: Bases, and what only a host raises, which alone opens plans.
_NOT_SERVED = (AgentError, contract_errors.BundleError, contract_errors.PlanFormatError)
SERVED = [
    kind
    for kind in public_errors(errors, AgentError) + public_errors(contract_errors, contract_errors.ContractError)
    if not issubclass(kind, StartupError) and kind not in _NOT_SERVED
]


@pytest.mark.parametrize("kind", SERVED)
def test_every_error_has_a_line_of_its_own_in_the_table(kind):
    status, code = TABLE[kind]

    assert 400 <= status < 600
    assert Problem(type=f"urn:gdws:problem:{code}", title=code, status=status).code == code


def test_codes_are_not_used_twice():
    codes = [code for _, code in TABLE.values()]

    assert len(set(codes)) == len(codes)


def test_every_error_is_drawn_in_the_tree():
    for kind in public_errors(errors, AgentError):
        assert kind.__name__ in (errors.__doc__ or "")


def test_a_problem_carries_what_the_error_knows():
    problem = problem_of(errors.UnknownVariant("no x", field="variants[0]", hint="it has y"))

    assert (problem.status, problem.code, problem.title) == (422, "unknown-variant", "Unknown variant")
    assert (problem.detail, problem.field, problem.hint) == ("no x", "variants[0]", "it has y")


def test_a_subclass_without_a_line_takes_that_of_its_base():
    class Special(errors.ModelNotFound):
        pass

    assert problem_of(Special("gone")).code == "model-not-found"


def test_the_text_of_an_unforeseen_error_is_not_shown():
    problem = problem_of(RuntimeError("password=1234"))

    assert (problem.status, problem.code) == (500, "internal-error")
    assert "1234" not in problem.model_dump_json()


def test_bundle_errors_keep_their_field():
    problem = problem_of(contract_errors.BundleCorrupt("wrong hash", field="a.onnx", hint="copy again"))

    assert (problem.status, problem.code, problem.field) == (422, "bundle-corrupt", "a.onnx")


def test_exit_codes_of_startup_errors_differ_from_those_of_python():
    assert errors.SettingsInvalid.exit_code == 2
    assert errors.AddressUnusable.exit_code == 3
    assert errors.StoreUnsupported.exit_code == errors.DataUnusable.exit_code == 4


def test_make_problem_leaves_out_what_is_unknown():
    assert make_problem(404, "a-b", "c").model_dump(exclude_none=True) == {
        "type": "urn:gdws:problem:a-b",
        "title": "A b",
        "status": 404,
        "detail": "c",
    }


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM])
def test_what_the_machine_lacks_is_no_error_of_the_agents_own(number):
    problem = problem_of(OSError(number, "of the machine"))
    assert (problem.status, problem.code) == (503, "machine-short")
    assert problem_of(RuntimeError("can't start new thread")).status == 503
    assert problem_of(OSError(errno.ENOENT, "no such file")).status == 500
