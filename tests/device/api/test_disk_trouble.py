"""What is lost or damaged on the disk while the agent serves: told by a problem that says what helps, and mended."""

import errno
import shutil

import pytest

from gdws_agent.errors import BUNDLE_CODES, make_problem
from gdws_agent.jobs.events import JobEvent
from support.agents import PATIENCE_S, cell, resolved
from support.answers import problem_in

pytestmark = pytest.mark.timeout(PATIENCE_S)


def send(client, bundle, way):
    """Send the bundle in one of the ways there are."""
    if way == "raw":
        return client.post("/models", content=bundle)
    return client.post("/models" if way == "form" else "/benchmark", files={"bundle": bundle})


WAYS = ["raw", "form", "benchmark"]


# Bundles that are of no use any more


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("left", [None, b"", b"PK\x03\x04 cut off"])
def test_a_damaged_bundle_is_a_problem_until_it_is_sent_again(client, service, bundle, left, way):
    model_id = client.post("/models", content=bundle).json()["id"]
    shown = client.get(f"/models/{model_id}").json()
    path = service.library.path(model_id)
    path.unlink() if left is None else path.write_bytes(left)

    problem = problem_in(client.get(f"/models/{model_id}"), 404, "model-damaged")
    assert "again" in problem.hint
    problem_in(client.post("/benchmark", json={"model_id": model_id}), 404, "model-damaged")
    problem_in(client.post("/profile", json={"model_id": model_id}), 404, "model-damaged")
    assert client.get(f"/models/{model_id}/manifest").json() == shown["manifest"]

    assert send(client, bundle, way).status_code in (200, 202)
    assert client.get(f"/models/{model_id}").json() == shown
    assert client.post("/benchmark", json={"model_id": model_id}).status_code == 202


def test_a_damaged_bundle_can_be_removed(client, service, bundle):
    model_id = client.post("/models", content=bundle).json()["id"]
    service.library.path(model_id).write_bytes(b"")
    assert client.delete(f"/models/{model_id}").status_code == 204
    problem_in(client.get(f"/models/{model_id}"), 404, "model-not-found")


@pytest.mark.parametrize("code", sorted(BUNDLE_CODES))
def test_a_cell_that_could_not_read_the_bundle_has_it_checked_again(client, service, bundle, monkeypatch, code):
    model_id = client.post("/models", content=bundle).json()["id"]
    job = service.jobs.submit(resolved(model_id))
    distrusted = []
    monkeypatch.setattr(service.library, "distrust", distrusted.append)

    service.jobs.events.tell(JobEvent(job.id, cell=cell(state="failed")))
    failed = cell(state="failed").model_copy(update={"error": make_problem(422, code, "no")})
    service.jobs.events.tell(JobEvent(job.id, cell=failed))

    assert distrusted == [model_id]


# Folders that vanish, disks that do not serve


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("names", [["uploads"], ["models"], ["uploads", "models", "cache"]])
def test_folders_that_vanished_are_made_anew(client, service, bundle, way, names):
    for name in names:
        shutil.rmtree(str(service.folder.path / name))

    assert send(client, bundle, way).status_code in (201, 202)

    (model,) = client.get("/models").json()["models"]
    assert client.get(f"/models/{model['id']}").status_code == 200
    assert client.delete(f"/models/{model['id']}").status_code in (204, 409)


@pytest.mark.parametrize("way", WAYS)
def test_a_data_folder_that_vanished_is_told(client, service, bundle, way):
    shutil.rmtree(str(service.folder.path))
    problem = problem_in(send(client, bundle, way), 503, "storage-failed")
    assert "data folder" in problem.hint
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["uploads", "models"])
def test_a_file_in_place_of_a_folder_is_told(client, service, bundle, way, name):
    (service.folder.path / name).rmdir()
    (service.folder.path / name).write_bytes(b"")
    problem_in(send(client, bundle, way), 503, "storage-failed")


#: Functions that ask the disk, each of which may fail for each reason.
CALLS = ["os.fsync", "os.replace", "shutil.disk_usage", "pathlib.Path.mkdir", "gdws_contract.archive.read_directory"]
STATUSES = {
    errno.ENOSPC: 507,
    errno.EDQUOT: 507,
    errno.EROFS: 503,
    errno.EIO: 503,
    errno.EMFILE: 503,
    errno.EACCES: 503,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("number", STATUSES, ids=errno.errorcode.get)
def test_whatever_the_disk_refuses_is_told_as_such(client, service, bundle, monkeypatch, way, call, number):
    def refuse(*arguments, **options):
        raise OSError(number, "no")

    monkeypatch.setattr(call, refuse)
    response = send(client, bundle, way)
    monkeypatch.undo()

    problem_in(response, STATUSES[number], "storage-full" if STATUSES[number] == 507 else "storage-failed")
    assert list(service.folder.uploads.iterdir()) == list(service.folder.models.iterdir()) == []
    assert client.get("/models").json()["models"] == []


@pytest.mark.parametrize("number", [errno.EROFS, errno.EIO])
def test_a_removal_that_the_disk_refuses_is_told(client, service, bundle, monkeypatch, number):
    def refuse(*arguments, **options):
        raise OSError(number, "no")

    model_id = client.post("/models", content=bundle).json()["id"]
    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    problem_in(client.delete(f"/models/{model_id}"), 503, "storage-failed")
